"""How early the figures of the collapse monitor tell a collapse, and rules made of them: docs/collapse.md.

    python benchmarks/early_warning.py     puts its tables and docs/images/early_warning.png there, and a sentence into
                                           docs/guide.md

Of all committed runs with looks; fates.py says what became of them. A rule's limit is as far out as it can be while it
warns of every collapse that it is chosen on within a third of the run: every second run of each data set, method and
fate, in the order of file names. All else, but for the runs that the monitor's limits were chosen on, is kept apart.
"""

from unittest.mock import patch

import numpy as np
import verdicts
from fates import COLLAPSE, FIGURES, PARTIAL, read
from matplotlib import pyplot as plt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from verdicts import PAGE, table, write

from simsiam_tf.evaluation import verdict
from simsiam_tf.evaluation.verdict import CONFIRM, HEALTHY

TITLES = {"relative_std": "spread", "correlation_strength": "correlation", "effective_rank": "effective rank"}
GUIDE = PAGE.with_name("guide.md")
THIRD = 1 / 3
TIMES = (0.1, 0.2, THIRD, 0.5, 1.0)
VARIANTS = (4, 2), (4, 3), (5, 1), (5, 3)  # of the monitor: limit of the rank, looks
LOOKS = {1: "one look", 2: "two looks", 3: "three looks"}


def parts(runs):
    """Those that limits are chosen on here, and those that neither these nor the monitor's were chosen on."""
    alike = {}
    for run in runs:
        alike.setdefault((run.data, run.method, run.truth), []).append(run)
    chosen = [run for some in alike.values() for run in some[::2]]
    return chosen, [run for run in unseen(runs) if not any(run.all_looks == each.all_looks for each in chosen)]


def unseen(runs):
    """Those that the monitor's limits were not chosen on."""
    known = [run.looks for run in verdicts.halves(verdicts.read())[0]]
    return [run for run in runs if run.all_looks not in known]


# === Rules: of a run, the share of it after which they first warn; infinity if never ===


def monitor(at_least):
    """The monitor's own verdict at a level: 1 at risk, 2 collapsed."""
    return lambda run: first(run.shares, np.array(verdict.confirmed(verdict.severities(run.all_looks))) >= at_least)


def variant(rank, confirm):
    """At risk by the monitor's limits, but for that of the effective rank, in so many looks one after the other."""

    def rule(run):
        with patch.object(verdict, "EFFECTIVE_RANK", (rank, verdict.EFFECTIVE_RANK[1])):
            bad = np.array([each.level > 0 for each in verdict.severities(run.all_looks)])
        ends = np.arange(1, len(bad) + 1)
        return first(run.shares, np.array([end >= confirm and bad[end - confirm : end].all() for end in ends]))

    return rule


def limit(name, value, confirm=CONFIRM):
    """One figure beyond a limit, in several looks one after the other."""
    return lambda run: first(run.shares, run.scores(confirm)[name] > value)


def regression(chosen):
    """Logistic regression of the three figures of a look, those of a run all as what became of it: (looks,)."""
    x = np.concatenate([inputs(run) for run in chosen])
    y = np.concatenate([np.full(len(run.looks), run.truth != HEALTHY) for run in chosen])
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    return lambda run: model.decision_function(inputs(run))


def inputs(run):
    """(looks, 3): spread, correlation and the logarithm of the rank."""
    rows = [
        [look["relative_std"], look["correlation_strength"], np.log(max(look["effective_rank"], 1))]
        for look in run.looks
    ]
    return np.nan_to_num(np.array(rows), nan=0.0)


def first(shares, alarmed):
    return float(shares[np.argmax(alarmed)]) if np.any(alarmed) else np.inf


def furthest(score, chosen):
    """The limit that all collapses among those chosen pass within a third of the run, as far out as can be."""
    worst = [score(run)[run.shares <= THIRD].max(initial=-np.inf) for run in chosen if run.truth == COLLAPSE]
    return float(np.nextafter(min(worst), -np.inf))


def rules(chosen):
    """{name: rule}; the limits of all but the monitor's are chosen here."""
    found = {"the monitor: at risk": monitor(1), "the monitor: collapsed": monitor(2)}
    for rank, confirm in VARIANTS:
        found[f"at risk below a rank of {rank}, {LOOKS[confirm]}"] = variant(rank, confirm)
    for name, title in TITLES.items():
        for confirm, looks in LOOKS.items():
            value = furthest(lambda run, name=name, confirm=confirm: run.scores(confirm)[name], chosen)
            side = "above" if FIGURES[name] > 0 else "below"
            found[f"{title} {side} {abs(value):.3g}, {looks}"] = limit(name, value, confirm)
    score = regression(chosen)
    value = furthest(score, chosen)
    found["logistic regression of the three, one look"] = lambda run: first(run.shares, score(run) > value)
    return found


# === The page ===


def warned(runs, rule, truth, within=TIMES):
    """How many of the runs that became this are warned of within these shares of a run, and how many they are."""
    times = np.array([rule(run) for run in runs if run.truth == truth])
    return [int(np.sum(times <= time)) for time in within], len(times)


def rules_table(runs, found):
    header = ["collapses warned of within", *(f"{100 * time:.0f} %" for time in TIMES[:-1]), "the run"]
    header += ["partial collapses", "healthy runs, by the end"]
    body = []
    for name, rule in found.items():
        (counts, n), (part, m), (false, k) = (warned(runs, rule, truth) for truth in (COLLAPSE, PARTIAL, HEALTHY))
        partial = f"{', '.join(map(str, part))} of {m}"
        body.append([name, *(f"{count} of {n}" for count in counts), partial, f"{false[-1]} of {k}"])
    return table(header, body)


def runs_table(runs, chosen):
    header, body = ["data", "method", "collapse", "partial collapse", "healthy", "chosen on"], []
    for data, method in dict.fromkeys((run.data, run.method) for run in runs):
        some = [run for run in runs if (run.data, run.method) == (data, method)]
        counts = [sum(run.truth == truth for run in some) for truth in (COLLAPSE, PARTIAL, HEALTHY)]
        body.append([data, method, *counts, sum(any(run is each for each in chosen) for run in some)])
    return table(header, body)


def sentence(runs, found):
    """What the guide says of the monitor's rule."""
    rule = found["the monitor: at risk"]
    (caught, n), (part, m), (false, k) = (warned(runs, rule, truth) for truth in (COLLAPSE, PARTIAL, HEALTHY))
    return (
        f"On runs that did not decide its limits, most of them other seeds of recipes that did, it warned of\n"
        f"{caught[2]} of {n} collapses within a third of the run, of {part[-1]} of {m} partial ones,\n"
        f"most of which it does not see, and of {false[-1]} of {k} healthy runs.\n"
    )


def draw(runs, chosen, found, path):
    """ROC of each figure in one look within a third of the run, on runs kept apart: collapses, and partial ones."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 5), sharey=True, layout="constrained")
    score = regression(chosen)
    curves = {TITLES[name]: lambda run, name=name: run.scores(1)[name] for name in FIGURES} | {"all three": score}
    for axis, truth in zip(axes, (COLLAPSE, PARTIAL), strict=True):
        for title, of in curves.items():
            worst = {
                kind: np.array([of(run)[run.shares <= THIRD].max(initial=-np.inf) for run in runs if run.truth == kind])
                for kind in (truth, HEALTHY)
            }
            limits = np.unique(np.concatenate([*worst.values(), [np.inf]]))[::-1]
            points = [[np.mean(worst[kind] >= each) for each in limits] for kind in (HEALTHY, truth)]
            area = (
                np.mean(worst[truth][:, None] > worst[HEALTHY]) + np.mean(worst[truth][:, None] == worst[HEALTHY]) / 2
            )
            axis.plot(*points, label=f"{title}: area {area:.2f}", drawstyle="steps-post")
        for name, marker in (("the monitor: at risk", "o"), ("the monitor: collapsed", "s")):
            at = [
                np.mean([found[name](run) <= THIRD for run in runs if run.truth == kind]) for kind in (HEALTHY, truth)
            ]
            axis.plot(*at, marker, color="black", label=name)
        failing, healthy = (sum(run.truth == kind for run in runs) for kind in (truth, HEALTHY))
        axis.set(title=f"{truth} ({failing} runs), within a third of the run", xlim=(-0.02, 1.02))
        axis.set(xlabel=f"share of the {healthy} healthy runs warned of")
        axis.plot([0, 1], [0, 1], color="gray", linestyle=":", linewidth=1)
        axis.grid(alpha=0.25)
        axis.legend(loc="lower right", fontsize="small")
    axes[0].set_ylabel("share of the failing runs warned of")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    everything = read()
    chosen_on, apart = parts(everything)
    all_rules = rules(chosen_on)
    contents = {"warning runs": runs_table(everything, chosen_on), "warning rules": rules_table(apart, all_rules)}
    contents["warning rules chosen"] = rules_table(chosen_on, all_rules)
    PAGE.write_text(write(PAGE.read_text(), contents))
    GUIDE.write_text(write(GUIDE.read_text(), {"warned": sentence(apart, all_rules)}))
    draw(apart, chosen_on, all_rules, PAGE.parent / "images" / "early_warning.png")
