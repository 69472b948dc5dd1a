"""The limits of the collapse monitor on healthy and failing runs: those that they were chosen on, and the rest.

    python benchmarks/verdicts.py          puts its tables into docs/collapse.md

The runs are those of the studies verdicts_*. The limits were chosen on every second run on CIFAR-10 and the digits, in
the order of seeds and rows; the others and all runs on photographs were kept apart.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from matplotlib import pyplot as plt
from matplotlib.lines import Line2D

from simsiam_tf.cli.sweep import parser
from simsiam_tf.evaluation import verdict
from simsiam_tf.evaluation.verdict import COLLAPSED, HEALTHY, NOT_CONVERGING
from simsiam_tf.experiments.results import Results
from simsiam_tf.experiments.study import Study
from simsiam_tf.settings import yaml_files

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "collapse.md"
RESULTS = ROOT / "benchmarks" / "results" / "cells"
STUDIES = {"verdicts_cifar10": "CIFAR-10", "verdicts_digits": "digits", "verdicts_photos": "photographs"}
TRUTH = {
    "healthy": HEALTHY,
    "half the rate": HEALTHY,
    "no output BatchNorm": HEALTHY,
    "BatchNorm on the predictor's output": HEALTHY,
    "no stop-gradient": COLLAPSED,
    "no predictor": COLLAPSED,
    "decay too high": COLLAPSED,
    "fixed predictor": NOT_CONVERGING,
}
MIXED = "BatchNorm on the predictor's output at five times the rate"
OUTCOMES = (HEALTHY, COLLAPSED, NOT_CONVERGING, verdict.OSCILLATING)
COLOURS = {HEALTHY: "tab:green", COLLAPSED: "tab:red", NOT_CONVERGING: "tab:orange"}
FIGURES = {"correlation_strength": verdict.CORRELATION, "effective_rank": verdict.EFFECTIVE_RANK}
LIMITS = ("RELATIVE_STD", "CORRELATION", "EFFECTIVE_RANK", "FALL", "FALL_BELOW", "MIN_COSINE")


@dataclass(frozen=True)
class Run:
    """One run: what was done to it, and what its looks say after each of them."""

    data: str
    row: str
    looks: list[dict]
    epochs: list[dict]
    cosine: float

    @property
    def outcome(self):
        return verdict.outcome(self.looks, self.epochs, self.cosine).verdict

    def first(self, level):
        """The share of the run after which the verdict is first at this level, or above; None if never."""
        found = verdict.severities(self.looks)
        steps = [look["step"] for look in self.looks][-len(found) :]
        reached = (step for step, now in zip(steps, verdict.confirmed(found), strict=True) if now >= level)
        return next((step / steps[-1] for step in reached), None)

    @property
    def warned(self):
        return self.first(1)

    @property
    def wrong(self):
        """Whether a healthy run was warned of, or one that fails has another outcome or, if it collapses, is not named
        within a third of its run."""
        truth = TRUTH[self.row]
        if truth == HEALTHY:
            return self.warned is not None or self.outcome != HEALTHY
        late = truth == COLLAPSED and (self.warned or 1) > 1 / 3
        return late or self.outcome != truth


def read():
    """All runs that are there, in the order of studies, seeds and rows."""
    results, runs = Results(RESULTS), []
    for study, data in STUDIES.items():
        for cell in Study.read(yaml_files.find(study, "studies")).cells(parser, ["--data.path", "photos"])[1]:
            if result := results.find(cell.config):
                cosine = result["figures"]["cosine"]
                runs.append(Run(data, cell.row, result["looks"], result["epochs"], cosine))
    return runs


def halves(runs):
    """Those that the limits were chosen on, and those that were kept apart."""
    chosen = [run for run in runs if run.data != "photographs"][::2]
    parts = chosen, [run for run in runs if run not in chosen]
    return [[run for run in part if run.row in TRUTH] for part in parts]


def table(header, body):
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in [header, rule, *body]) + "\n"


def confusion(runs):
    counts = Counter((TRUTH[run.row], run.outcome) for run in runs)
    kinds = [kind for kind in OUTCOMES if any(counts[kind, name] for name in OUTCOMES)]
    return table(["what it is", *OUTCOMES], [[kind, *(counts[kind, name] for name in OUTCOMES)] for kind in kinds])


def when(runs):
    """For each kind of failure and data, the latest of its runs."""
    body = []
    for data in dict.fromkeys(run.data for run in runs):
        for row in [row for row, truth in TRUTH.items() if truth == COLLAPSED]:
            these = [run for run in runs if (run.data, run.row) == (data, row)]
            if these:
                warned, named = (max(share(run.first(level)) for run in these) for level in (1, 2))
                body.append([data, row, len(these), f"{100 * warned:.0f} %", f"{100 * named:.0f} %"])
    return table(["data", "removed or spoilt", "runs", "warned by", "named collapsed by"], body)


def share(first):
    return 1.0 if first is None else first


def margins(runs):
    """How far each limit can be moved, the others as they are, until a run among these is judged wrongly."""
    body = []
    for name in LIMITS:
        value = getattr(verdict, name)
        parts = enumerate(value) if isinstance(value, tuple) else [(None, value)]
        for part, limit in parts:
            kind = "" if part is None else (", at risk", ", collapsed")[part]
            body.append([f"`{name}`{kind}", f"{limit:g}", *(bound(runs, name, part, limit, sign) for sign in (-1, 1))])
    return table(["limit", "is", "lowest", "highest"], body)


def bound(runs, name, part, limit, sign):
    """The farthest value, in steps of a fortieth, at which no run is wrong yet; "any" beyond a factor of two."""
    for step in range(41):
        moved = limit * (1 + sign * step / 40)
        value = (
            moved if part is None else tuple(moved if i == part else v for i, v in enumerate(getattr(verdict, name)))
        )
        with patch.object(verdict, name, value):
            if any(run.wrong for run in runs):
                return f"{limit * (1 + sign * (step - 1) / 40):.3g}" if step else "none"
    return "any"


def kept_apart(runs):
    known, (_, apart) = [run for run in runs if run.row in TRUTH], halves(runs)
    healthy = [run for run in apart if TRUTH[run.row] == HEALTHY]
    warned = sum(run.warned is not None for run in healthy)
    return (
        f"{len(apart)} runs kept apart, of {len(known)}:\n\n{confusion(apart)}\n"
        f"{warned} of the {len(healthy)} healthy runs among them were warned of.\n"
    )


def page(runs):
    """The content of each mark."""
    chosen, _ = halves(runs)
    mixed = Counter(run.outcome for run in runs if run.row == MIXED)
    counts = ", ".join(f"{count} {name}" for name, count in mixed.items())
    return {
        "confusion": kept_apart(runs),
        "when": when([run for run in runs if run.row in TRUTH]),
        "margins": f"{len(chosen)} runs:\n\n{margins(chosen)}",
        "mixed": f"{sum(mixed.values())} runs with {MIXED}: {counts}.\n",
    }


def draw(runs, path):
    """Correlation and effective rank of every run over its looks, by data, with the limits."""
    figure, axes = plt.subplots(2, len(STUDIES), figsize=(11, 6), sharex=True, sharey="row", layout="constrained")
    for column, data in zip(axes.T, STUDIES.values(), strict=True):
        for axis, (key, limits) in zip(column, FIGURES.items(), strict=True):
            for run in (run for run in runs if run.data == data and run.row in TRUTH):
                share = [look["step"] / run.looks[-1]["step"] for look in run.looks]
                axis.plot(share, [look[key] for look in run.looks], color=COLOURS[TRUTH[run.row]], linewidth=0.8)
            for limit, style in zip(limits, (":", "--"), strict=True):
                axis.axhline(limit, color="black", linestyle=style, linewidth=1)
        column[0].set_title(data)
        column[1].set_yscale("log")
        column[1].set_xlabel("share of the run")
    axes[0, 0].set_ylabel("correlation strength")
    axes[1, 0].set_ylabel("effective rank")
    lines = [Line2D([], [], color=colour, label=name) for name, colour in COLOURS.items()]
    lines += [Line2D([], [], color="black", linestyle=":", label="limit of at risk")]
    lines += [Line2D([], [], color="black", linestyle="--", label="limit of collapsed")]
    figure.legend(handles=lines, loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(path, dpi=110)


def write(text, contents):
    """The page with each content between its mark and the next end."""
    for mark, content in contents.items():
        section = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = section.sub(lambda found, new=content: found[1] + new + found[2], text)
    return text


if __name__ == "__main__":
    everything = read()
    PAGE.write_text(write(PAGE.read_text(), page(everything)))
    draw(everything, PAGE.parent / "images" / "collapse.png")
