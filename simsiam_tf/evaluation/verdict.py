"""The verdict of a training: what its looks at the projections say together, and at its end its losses.

Plain values in and out, so that a resumed run, a table and a notebook come to the same words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

HEALTHY, AT_RISK, COLLAPSED = "healthy", "at risk", "collapsed"
LEVELS = HEALTHY, AT_RISK, COLLAPSED

# Share of the ideal spread 1/sqrt(d). Chen & He, fig. 2: healthy near 1, collapsed at 0.
RELATIVE_STD = 0.5, 0.1
# Aczel, table 5: healthy 0.05-0.09, collapsed 0.89-0.998; small networks that learn well: 0.3-0.6.
CORRELATION = 0.7, 0.8
# Below 2 one direction dominates; below 5 there is no room for half a dozen classes in general position.
EFFECTIVE_RANK = 5.0, 2.0
# Few rows or channels say little of correlation and rank: by chance alone 0.8/sqrt(n), and at most n - 1.
MIN_ROWS, MIN_CHANNELS = 32, 8
CONFIRM, GRACE = 3, 50


@dataclass(frozen=True)
class Verdict:
    """`verdict` is "healthy", "at risk" or "collapsed"; `sentence` says why."""

    verdict: str
    sentence: str


def judge(looks: list[dict], grace: int = GRACE) -> Verdict:
    """The verdict after these looks, the oldest first. It changes only when the newest three all speak against it.

    Args:
        looks: `evaluation.collapse.collapse_figures` of each, and its "step".
        grace: Steps whose looks do not count, unless there are no others: an untrained network can look collapsed.
    """
    found = [severity(look) for look in looks if look["step"] > grace] or [severity(looks[-1])]
    levels = [0] * (CONFIRM - 1) + [each.level for each in found]
    level = 0
    for end in range(CONFIRM, len(levels) + 1):
        recent = levels[end - CONFIRM : end]
        level = min(max(level, min(recent)), max(recent))
    newest = next((each for each in reversed(found) if each.level == level), found[-1])
    return Verdict(LEVELS[level], f"{LEVELS[level]}: {', '.join(newest.reasons if level else newest.figures)}")


def outcome(looks: list[dict], epochs: list[dict], steps: int) -> Verdict:
    """The verdict of a whole training: "healthy", "collapsed", "not converging" or "oscillating".

    Args:
        looks: As for `judge`.
        epochs: Rows of the record, each with "loss", and "loss_std" over the steps of its epoch.
        steps: That were trained.
    """
    return judge(looks)


@dataclass(frozen=True)
class Severity:
    """0, 1 or 2 for one look, the figures that make it so, and all that were judged."""

    level: int
    reasons: list[str]
    figures: list[str]


def severity(look: dict) -> Severity:
    """How bad one look is: the worst of its spread, correlation and effective rank.

    With fewer than 32 rows or 8 channels only the spread is judged. Figures that are not finite are a collapse.
    """
    spread, correlation, rank = (look[key] for key in ("relative_std", "correlation_strength", "effective_rank"))
    if not math.isfinite(spread):
        return Severity(2, ["the output holds NaN or infinity (diverged)"], [])
    levels = {f"spread {spread:.2f} of 1/sqrt(d)": _below(spread, *RELATIVE_STD)}
    if look["rows"] >= MIN_ROWS and look["channels"] >= MIN_CHANNELS:
        levels[f"correlation {correlation:.2f}"] = _below(-correlation, *(-limit for limit in CORRELATION))
        levels[f"effective rank {rank:.1f} of {look['channels']}"] = _below(rank, *EFFECTIVE_RANK)
    worst = max(levels.values())
    return Severity(worst, [text for text, level in levels.items() if level == worst], list(levels))


def _below(value, at_risk, collapsed):
    """0, 1 or 2: below neither limit, the first, or both."""
    return int(value < at_risk) + int(value < collapsed)
