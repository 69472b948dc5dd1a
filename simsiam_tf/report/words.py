"""What a run's figures say, and what to try next."""

from __future__ import annotations

from collections.abc import Sequence

from simsiam_tf.evaluation import verdict
from simsiam_tf.experiments import tables
from simsiam_tf.experiments.results import figure
from simsiam_tf.report.records import Record

ADVICE = {
    verdict.COLLAPSED: "Try half the learning rate or weight decay, and see that stop-gradient and predictor are on.",
    verdict.NOT_CONVERGING: "The predictor does not learn: see method.predictor_ratio and its weight decay.",
    verdict.OSCILLATING: "Try half the learning rate, and no BatchNorm on the predictor's output.",
    verdict.DIVERGED: "Try a tenth of the learning rate; with float16, bfloat16.",
}
WORSE = (
    "It is worse than before training: more epochs, gentler colours (augmentation.hue 0) and, in a run of few steps, "
    "ten times the weight decay are worth a try."
)
UNDECIDED = "Whether training has helped is not certain: more test images, more seeds or more epochs would tell."
PIXELS = "Pixels alone tell these pictures apart as well: an encoder pays off on pictures that are less alike."
GOOD = "It has learned: use it with embed or export."
ONE_SEED = "One seed is one draw: compare several before you choose."
WORST_FIRST = [*ADVICE.values(), WORSE, UNDECIDED, PIXELS, GOOD]
ACCURACIES = {"knn_accuracy": "kNN", "linear_accuracy": "linear", "classifier.test_accuracy": "classifier"}


def summary(seeds: Sequence[Record]) -> list[str]:
    """Sentences on runs that differ in their seed alone: how they went, their mean, the worst of them, what to try."""
    worst = min(seeds, key=_rank)
    tried = advice(worst)
    if len(seeds) == 1:
        return _of_one(worst) + tried + [ONE_SEED] * (tried == [GOOD])
    results = [record.result for record in seeds]
    said = [f"Training of {len(seeds)} seeds: {tables.outcomes(results)}."]
    samples = {name: tables.sample_of(figure(each, key) for each in results) for key, name in ACCURACIES.items()}
    means = [f"{name} {_percent(sample)}" for name, sample in samples.items() if sample]
    said += [f"Mean ± standard deviation: {', '.join(means)}."] if means else []
    return [*said, f"Seed {worst.seed} did worst.", *_of_one(worst), *tried]


def _rank(record):
    """The worst first: by what there is to try, then by kNN accuracy."""
    tried = advice(record)
    return WORST_FIRST.index(tried[0]) if tried else len(WORST_FIRST), record.figures.get("knn_accuracy", 0)


def _percent(sample):
    return f"{100 * sample.mean:.1f}" + (f" ± {100 * sample.sd:.1f} %" if sample.sd is not None else " %")


def _of_one(record):
    figures, outcome = record.figures, record.result["outcome"]
    if "classifier" in figures and outcome not in ADVICE:
        return [_classifier(figures["classifier"])]
    said = [] if outcome == verdict.NOT_WATCHED else [f"Training: {figures.get('verdict', outcome)}."]
    return said + ([f"{figures['quality']['sentence']}."] if "quality" in figures else [])


def _classifier(figures):
    right = figures.get("test_accuracy")
    tested = "no labelled test images" if right is None else f"{100 * right:.1f} % of the test images right"
    return f"Classifier by {figures['labels']} labels: {tested}."


def advice(record: Record) -> list[str]:
    """What to try."""
    if record.result["outcome"] in ADVICE:
        return [ADVICE[record.result["outcome"]]]
    against = record.figures.get("quality", {}).get("against")
    if not against:
        return []
    untrained, raw = against["untrained"], against["raw"]
    if untrained["high"] < 0:
        return [WORSE]
    if untrained["low"] <= 0:
        return [UNDECIDED]
    return [PIXELS] if raw["high"] < 0 or raw["low"] <= 0 else [GOOD]
