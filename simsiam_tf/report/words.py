"""What a run's figures say, and what to try next."""

from __future__ import annotations

from simsiam_tf.evaluation import verdict
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
GOOD = "It has learned: use it with embed or export. One seed is one draw: compare several before you choose."


def summary(record: Record) -> list[str]:
    """Sentences: how the training went, how good the encoder is, and what to try."""
    figures, outcome = record.figures, record.result["outcome"]
    if "classifier" in figures and outcome not in ADVICE:
        return [_classifier(figures["classifier"])]
    said = [] if outcome == verdict.NOT_WATCHED else [f"Training: {figures.get('verdict', outcome)}."]
    if "quality" in figures:
        said.append(f"{figures['quality']['sentence']}.")
    return said + advice(record)


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
