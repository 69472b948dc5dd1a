"""The final protocol: accuracy with all, a tenth and a hundredth of the labels (Aczel 2021, sec. 2.2 and 3.3).

Rows are dicts {fraction, subset, labels_used, <name>_accuracy...}, accuracies in [0, 1]. For the same labels
and seed every method sees the same subsets, so that methods are compared in pairs.
"""

import numpy as np

from simsiam_tf.data.subsets import stratified_subset
from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.knn import choose_neighbors, knn_accuracy
from simsiam_tf.evaluation.linear import linear_probe
from simsiam_tf.evaluation.rate import choose_rate

FRACTIONS = (1.0, 0.1, 0.01)
# What "auto" chooses from; the papers' own (Aczel 2021, sec. 2.2) come first and win a tie.
NEIGHBORS = (200, 100, 50, 20, 10, 5, 1)
TEMPERATURES = (0.1, 0.2, 0.05, 0.02, 0.01)
RATES = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)


def label_subsets(labels, fractions=FRACTIONS, subsets=3, seed=0):
    """Yields (fraction, subset, indices): `subsets` stratified draws of each fraction, of 1.0 the whole set once.

    Raises InputError for a fraction outside (0, 1].
    """
    for fraction in fractions:
        if not 0 < fraction <= 1:
            raise InputError(f"fractions: {fraction} is no share; give numbers above 0, up to 1")
        for subset in range(1 if fraction == 1 else subsets):
            yield fraction, subset, label_subset(labels, fraction, subset, seed)


def label_subset(labels, fraction, subset=0, seed=0):
    """Sorted rows of one of these draws."""
    if fraction == 1:
        return np.arange(len(labels))
    # Hashed, so that subset 1 of seed 0 is not subset 0 of seed 1.
    draw = int(np.random.SeedSequence([seed, subset]).generate_state(1)[0] >> 1)
    return stratified_subset(labels, fraction, draw)


def evaluate_features(
    train_features,
    train_labels,
    test_features,
    test_labels,
    *,
    fractions=FRACTIONS,
    subsets=3,
    seed=0,
    k=200,
    temperature=0.1,
    base_learning_rate=30.0,
    **linear_options,
):
    """kNN and linear accuracy on the test features with each share of the labels of the train features (n, d).

    k and temperature as in `knn_predict`, base_learning_rate and linear_options as in `linear_probe`, whose training
    set is repeated so that every share gets as many iterations. "auto" for one of the three has it chosen for each
    subset from that subset alone: see `choose_neighbors` and `choose_rate`. Returns a row for every subset.
    """
    train_features, train_labels = np.asarray(train_features), np.asarray(train_labels)
    rows = []
    for fraction, subset, index in label_subsets(train_labels, fractions, subsets, seed):
        # All of them as they are: they may be a file that is larger than the memory.
        features = train_features if fraction == 1 else train_features[index]
        known = features, train_labels[index], test_features, test_labels
        options = {"repeat": round(1 / fraction), "seed": seed, **linear_options}
        rates = _candidates(base_learning_rate, RATES)
        own_k, own_t = choose(*known[:2], k, temperature)
        rate = rates[0] if len(rates) == 1 else choose_rate(*known[:2], rates, **options)
        row = _row(fraction, subset, index, knn_accuracy=knn_accuracy(*known, k=own_k, temperature=own_t))
        row["linear_accuracy"] = linear_probe(*known, base_learning_rate=rate, **options).accuracy
        rows.append(row | {"neighbors": own_k, "temperature": own_t, "linear_learning_rate": rate})
    return rows


def choose(features, labels, k="auto", temperature="auto"):
    """k and T for a kNN classifier; what is "auto" is chosen by `choose_neighbors`."""
    ks, temperatures = _candidates(k, NEIGHBORS), _candidates(temperature, TEMPERATURES)
    few = len(ks) == len(temperatures) == 1
    return (k, temperature) if few else choose_neighbors(features, labels, ks, temperatures)


def _candidates(value, known):
    return known if value == "auto" else (value,)


def evaluate_supervised(
    benchmark, train_images, train_labels, test_images, test_labels, *, fractions=FRACTIONS, subsets=3, seed=0
):
    """Test accuracy of a `SupervisedBenchmark` trained on each share of the labels, a row per subset."""
    rows = []
    for fraction, subset, index in label_subsets(train_labels, fractions, subsets, seed):
        benchmark.fit(train_images[index], np.asarray(train_labels)[index])
        accuracy = benchmark.accuracy(test_images, test_labels)
        rows.append(_row(fraction, subset, index, supervised_accuracy=accuracy))
    return rows


def summarise(rows):
    """Mean and sample standard deviation over the subsets of each fraction, fractions in order of appearance.

    Returns dicts {fraction, subsets, <name>_accuracy, <name>_accuracy_std}; there is no std of a single
    subset. What was chosen for each subset (neighbors, temperature, linear_learning_rate) is listed.
    """
    summaries = []
    for fraction in dict.fromkeys(row["fraction"] for row in rows):
        group = [row for row in rows if row["fraction"] == fraction]
        summary = {"fraction": fraction, "subsets": len(group)}
        for name in (key for key in group[0] if key.endswith("_accuracy")):
            values = [row[name] for row in group]
            summary[name] = float(np.mean(values))
            if len(values) > 1:
                summary[f"{name}_std"] = float(np.std(values, ddof=1))
        for name in ("neighbors", "temperature", "linear_learning_rate"):
            if name in group[0]:
                summary[name] = [row[name] for row in group]
        summaries.append(summary)
    return summaries


def _row(fraction, subset, index, **accuracies):
    return {"fraction": fraction, "subset": subset, "labels_used": len(index), **accuracies}
