"""The verdict of a training: what its looks at the projections say together, and at its end its losses.

Plain values in and out, so that a resumed run, a table and a notebook come to the same words. The limits were chosen on
healthy and failing runs, and tried on others: docs/collapse.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

HEALTHY, AT_RISK, COLLAPSED = "healthy", "at risk", "collapsed"
LEVELS = HEALTHY, AT_RISK, COLLAPSED
DIVERGED, NOT_CONVERGING, OSCILLATING = "diverged", "not converging", "oscillating"
SO_FAR, NOT_WATCHED = "healthy so far", "not watched"  # too few looks count; there were none

# Each with the limit of "at risk" and that of "collapsed".
# Share of the ideal spread 1/sqrt(d). Chen & He, fig. 2: healthy near 1, collapsed at 0. SwAV, MoCo: 0.4 to 0.9.
RELATIVE_STD = 0.3, 0.1
# Aczel, table 5: healthy 0.05-0.09, collapsed 0.89-0.998; small networks that learn well: 0.3-0.6.
CORRELATION = 0.8, 0.9
# Below 3 one or two directions dominate; below 4 there is no room for five classes in general position.
EFFECTIVE_RANK = 4.0, 3.0
# At risk, too: an effective rank below 20 that has more than halved within five looks.
FALL, WINDOW, FALL_BELOW = 0.5, 5, 20.0
# Few rows or channels say little of correlation and rank: by chance alone 0.8/sqrt(n), and at most n - 1.
MIN_ROWS, MIN_CHANNELS = 32, 8
# Looks that agree before a verdict changes, but for a first warning; steps whose looks do not count.
CONFIRM, GRACE = 3, 50

# Before so many steps the losses say nothing: they have hardly begun to fall.
MIN_STEPS = 500
# Not converging: predictions that are no closer to their targets than this cosine.
MIN_COSINE = 0.4
# Oscillating: in the second half of at least four epochs, shares of the whole fall of the loss: its deviation within an
# epoch (median), and the largest change from one epoch to the next.
WITHIN, BETWEEN, MIN_EPOCHS = 0.2, 0.25, 4


@dataclass(frozen=True)
class Verdict:
    """`verdict` is its name, `sentence` says why."""

    verdict: str
    sentence: str


def judge(looks: list[dict], grace: int = GRACE) -> Verdict:
    """healthy, at risk or collapsed, after these looks.

    A bad look is a risk at once. Otherwise the verdict changes only when the newest three all speak against it.

    Args:
        looks: `evaluation.collapse.collapse_figures` of each, and its "step"; the oldest first.
        grace: Steps whose looks do not count: an untrained network can look collapsed.
    """
    found = severities(looks, grace)
    if not found:
        newest = severity(looks[-1])
        early = f"{SO_FAR}, which is too early to say: {', '.join(newest.figures)}"
        return Verdict(HEALTHY, early) if newest.figures else _verdict(newest, newest.level)
    level = confirmed(found)[-1]
    return _verdict(next((each for each in reversed(found) if each.level >= level), found[-1]), level)


def _verdict(found: Severity, level: int) -> Verdict:
    said = found.reasons if level else found.figures
    return Verdict(LEVELS[level], f"{LEVELS[level]}: {', '.join(said)}")


def severities(looks: list[dict], grace: int = GRACE) -> list[Severity]:
    """How bad each of the looks is that count."""
    counting = [look for look in looks if look["step"] > grace]
    return [severity(look, counting[max(0, i - WINDOW) : i]) for i, look in enumerate(counting)]


def confirmed(found: list[Severity]) -> list[int]:
    """The level of the verdict after each look: as far as the newest three looks agree, at least 1 after a bad one."""
    levels, level, history = [0] * (CONFIRM - 1) + [each.level for each in found], 0, []
    for end in range(CONFIRM, len(levels) + 1):
        recent = levels[end - CONFIRM : end]
        level = max(min(max(level, min(recent)), max(recent)), min(1, recent[-1]))
        history.append(level)
    return history


def outcome(looks: list[dict], epochs: list[dict], cosine: float | None = None, grace: int = GRACE) -> Verdict:
    """What became of a whole training: healthy, collapsed, not converging or oscillating.

    A run whose last verdict is "at risk" has the outcome "healthy", and the sentence of its verdict.

    Args:
        looks, grace: As for `judge`.
        epochs: Rows of the record, each with "step", "loss", and "loss_std" over the steps of its epoch.
        cosine: Between predictions and targets in the newest epoch, where the method has such; see
            `Method.cosine_of`.
    """
    judged = _at_the_end(looks, grace)
    oscillates = _oscillates(epochs)
    if judged.verdict == COLLAPSED:
        return Verdict(COLLAPSED, judged.sentence + f"; {oscillates}" * bool(oscillates))
    if not epochs or epochs[-1]["step"] < MIN_STEPS:
        return Verdict(HEALTHY, judged.sentence)
    if cosine is not None and cosine < MIN_COSINE:
        reason = f"predictions meet their targets with a cosine of {cosine:.2f} after {epochs[-1]['step']:.0f} steps"
        return Verdict(NOT_CONVERGING, f"{NOT_CONVERGING}: {reason}; {judged.sentence}")
    if oscillates:
        return Verdict(OSCILLATING, f"{OSCILLATING}: {oscillates}; {judged.sentence}")
    return Verdict(HEALTHY, judged.sentence)


def _at_the_end(looks, grace):
    """As `judge`, but of only one or two looks nothing will confirm what all of them say."""
    found = severities(looks, grace)
    if not 0 < len(found) < CONFIRM or not found[-1].level:
        return judge(looks, grace)
    return _verdict(found[-1], max(1, min(each.level for each in found)))


@dataclass(frozen=True)
class Severity:
    """0, 1 or 2 for one look, the figures that make it so, and all that were judged."""

    level: int
    reasons: list[str]
    figures: list[str]


def severity(look: dict, before: list[dict] = ()) -> Severity:
    """How bad one look is: the worst of its spread, correlation, effective rank and that rank's fall.

    With fewer than 32 rows or 8 channels only the spread is judged. Figures that are not finite are a collapse.

    Args:
        before: The looks before it, up to five.
    """
    spread, correlation, rank = (look[key] for key in ("relative_std", "correlation_strength", "effective_rank"))
    if not math.isfinite(spread):
        return Severity(2, ["the output holds NaN or infinity (diverged)"], [])
    levels = {f"spread {spread:.2f} of 1/sqrt(d)": _below(spread, *RELATIVE_STD)}
    if look["rows"] >= MIN_ROWS and look["channels"] >= MIN_CHANNELS:
        levels[f"correlation {correlation:.2f}"] = _below(-correlation, *(-limit for limit in CORRELATION))
        text, level = f"effective rank {rank:.1f} of {look['channels']:.0f}", _below(rank, *EFFECTIVE_RANK)
        highest = max((each["effective_rank"] for each in before), default=0.0)
        if not level and rank < min(FALL * highest, FALL_BELOW):
            text, level = f"{text}, from {highest:.1f} within {len(before)} looks", 1
        levels[text] = level
    worst = max(levels.values())
    return Severity(worst, [text for text, level in levels.items() if level == worst], list(levels))


def _below(value, at_risk, collapsed):
    """0, 1 or 2: below neither limit, the first, or both."""
    return int(value < at_risk) + int(value < collapsed)


def _oscillates(epochs):
    """The words for a loss that swings, or None."""
    epochs = [row for row in epochs if "loss_std" in row]  # not in records of earlier versions
    losses = [row["loss"] for row in epochs]
    if len(losses) < MIN_EPOCHS or not all(map(math.isfinite, losses)):
        return None
    fall = losses[0] + 2 * epochs[0]["loss_std"] - min(losses)
    late = epochs[len(epochs) // 2 :]
    within = median(row["loss_std"] for row in late)
    between = max(abs(after["loss"] - before["loss"]) for before, after in pairwise(late))
    if fall <= 0 or within < WITHIN * fall or between < BETWEEN * fall:
        return None
    return f"the loss swings by {100 * between / fall:.0f} % of its whole fall from one epoch to the next"
