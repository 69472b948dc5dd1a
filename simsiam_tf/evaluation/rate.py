"""Which of several learning rates a linear probe is trained with, chosen from its training labels alone."""

import numpy as np
from scipy.special import log_softmax

from simsiam_tf.evaluation.features import IN_MEMORY, as_features, as_labels, full_float32, in_batches
from simsiam_tf.evaluation.linear import TRUST, fit_probes


@full_float32()
def choose_rate(
    features,
    labels,
    base_learning_rates,
    *,
    optimizer="sgd",
    batch_size=256,
    epochs=100,
    momentum=0.9,
    weight_decay=0.0,
    repeat=1,
    seed=0,
    most_steps=1000,
) -> float:
    """The rate of the smallest cross entropy on held-out features, by probes on the other four fifths of them.

    Stratified fifths, each of them held out once; from 2,000 features on the first only. All rates are trained side by
    side, on the same batches from the same kernel. Of equals the rate named first is taken; one that diverges only if
    all do. Features may be a memory-mapped file, of which no more is read at a time than `linear_probe` reads.
    Not by held-out accuracy, which is as good as chance where a class has one or two labels; and not by a class's only
    label, which a classifier that never saw the class can but doubt. Where every class has one label only, the rate is
    the least one that fits most of them.

    Args:
        features: (n, d); labels: (n,) integers from 0.
        base_learning_rates: candidates; the rest as in `linear_probe`.
        most_steps: Fewer epochs if they would take more steps than this: on CIFAR-10 at 16 px that chose as the full
            length does, or the neighbouring rate (pixels, untrained encoder; 100 to 10,000 labels).

    Raises:
        InputError: shapes that do not fit, NaN or infinity.
    """
    x = as_features("features", features)
    y = as_labels("labels", labels, len(x))
    num_classes, fold = int(y.max()) + 1, _folds(y, seed)
    loss = np.zeros(len(base_learning_rates))

    def fit(rows):
        steps = max(1, len(rows) * repeat // batch_size)
        few = min(epochs, max(1, most_steps // steps))
        options = num_classes, batch_size, few, (momentum, weight_decay, TRUST[optimizer]), repeat, seed
        return fit_probes(x, y, base_learning_rates, *options, rows=rows)

    if len(np.unique(y)) == len(y) > 1:
        return _least_that_fits(x, y, base_learning_rates, *fit(np.arange(len(y))))
    for held_out in range(1 if len(x) >= 2000 else fold.max() + 1):
        known = fold != held_out
        asked = (fold == held_out) & np.isin(y, y[known])
        if not asked.any():
            continue
        loss += _loss(x, y, np.flatnonzero(asked), *fit(np.flatnonzero(known)))
    return base_learning_rates[int(np.where(np.isfinite(loss), loss, np.inf).argmin())]


def _loss(x, y, rows, kernels, biases):
    """Cross entropy (rates,) of these rows, summed up; of so many at a time as keeps to a quarter of IN_MEMORY."""
    loss = 0
    size = max(1, IN_MEMORY // 4 // (x[0].nbytes + 28 * biases.size))  # logits as float32, three times as float64
    for some in in_batches(rows, size):
        with np.errstate(invalid="ignore", over="ignore"):
            logits = (x[some] @ kernels + biases[:, None]).astype(np.float64)  # (rates, n, k)
            shares = log_softmax(logits, axis=2)
        loss = loss - shares[:, np.arange(len(some)), y[some]].sum(axis=1)
    return loss


def _least_that_fits(x, y, base_learning_rates, kernels, biases):
    """Of the rates whose probes give most of the features their own labels, the least."""
    with np.errstate(invalid="ignore", over="ignore"):
        logits = x @ kernels + biases[:, None]
    right = ((logits.argmax(axis=2) == y) & np.isfinite(logits).all(axis=2)).sum(axis=1)  # (rates,)
    return min(rate for rate, count in zip(base_learning_rates, right, strict=True) if count == right.max())


def _folds(labels, seed, folds=5):
    """For each label the number of its part: classes are shuffled and dealt out one after the other."""
    order = np.random.default_rng([seed, 2]).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(len(labels), int)
    fold[order] = np.arange(len(labels)) % folds
    return fold
