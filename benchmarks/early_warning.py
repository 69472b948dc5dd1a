"""How early the figures of the collapse monitor tell a collapse, and rules made of them: docs/collapse.md.

    python benchmarks/early_warning.py     puts its tables and docs/images/early_warning.png there

Of all committed runs with looks. What became of a run on CIFAR-10 or the digits is told by its linear probe alone: the
share of what the usual recipe gains over the untrained encoder is below a quarter in a collapse, below three quarters
in a partial one. On the photographs, of which 60 test, it is told by what was done to the run. Fixed predictors, which
learn little and do not collapse, are left out. Limits are chosen on every second run of SimSiam on CIFAR-10, in the
order of file names; all else is kept apart.
"""

import json
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import verdicts
from matplotlib import pyplot as plt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from verdicts import PAGE, RESULTS, table, write

from simsiam_tf.evaluation import verdict
from simsiam_tf.evaluation.verdict import COLLAPSED, CONFIRM, GRACE, HEALTHY

# Linear accuracy of the untrained encoder and of the usual recipe, means of the rows of verdicts_*.
SCALES = {"cifar10": (0.287, 0.415), "digits": (0.414, 0.935)}
NAMES = {"cifar10": "CIFAR-10", "digits": "digits"}
COLLAPSE, PARTIAL = "collapse", "partial collapse"
# The figures, and which way is worse.
FIGURES = {"relative_std": -1, "correlation_strength": 1, "effective_rank": -1}
TITLES = {"relative_std": "spread", "correlation_strength": "correlation", "effective_rank": "effective rank"}
TIMES = (0.1, 0.2, 1 / 3, 0.5, 1.0)
FEWEST_LOOKS = 20


@dataclass(frozen=True)
class Run:
    """One run: its data, its method, what became of it, all its looks, its epochs, and its label-free figures.

    `shares` are how far each look is into the run.
    """

    data: str
    method: str
    truth: str
    all_looks: list
    epochs: list = field(default_factory=list)
    label_free: dict = field(default_factory=dict)

    @cached_property
    def looks(self):
        """Those that count."""
        return [look for look in self.all_looks if look["step"] > GRACE]

    @property
    def shares(self):
        return np.array([look["step"] for look in self.looks]) / self.looks[-1]["step"]

    def scores(self, confirm=CONFIRM):
        """{figure: (looks,)}: how bad the best of the newest looks is: all of them have to pass a limit."""
        found = {}
        for name, sign in FIGURES.items():
            values = np.nan_to_num(sign * np.array([look[name] for look in self.looks]), nan=np.inf)
            windows = [values[max(0, i - confirm + 1) : i + 1] for i in range(len(values))]
            found[name] = np.array([w.min() if len(w) == confirm else -np.inf for w in windows])
        return found


def read():
    """Runs on CIFAR-10 and the digits, told by their accuracy, and on the photographs, by what was done to them."""
    runs = told_by_accuracy(RESULTS)
    truths = {HEALTHY: HEALTHY, COLLAPSED: COLLAPSE}
    for run in verdicts.read():
        if run.data == "photographs" and verdicts.TRUTH.get(run.row) in truths:
            runs.append(Run(run.data, "simsiam", truths[verdicts.TRUTH[run.row]], run.looks))
    return runs


def told_by_accuracy(folder):
    """Runs with results in this folder, of the networks and data that `SCALES` are of."""
    runs = []
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_bytes())
        c, figures, looks = result["configuration"], result["figures"], result.get("looks") or []
        data = c["data.name"] or c["data.source"]
        fixed = c.get("method.predictor_ratio") == 0
        usual = data in SCALES and c["backbone.name"] == "resnet18"
        if usual and len(looks) >= FEWEST_LOOKS and "linear_accuracy" in figures and not fixed:
            low, high = SCALES[data]
            gain = (figures["linear_accuracy"] - low) / (high - low)
            truth = COLLAPSE if gain < 0.25 else PARTIAL if gain < 0.75 else HEALTHY
            if not any(run.all_looks == looks for run in runs):  # the same training, evaluated in two ways
                kept = result.get("epochs") or [], figures.get("label_free", {})
                runs.append(Run(NAMES[data], c["method.name"], truth, looks, *kept))
    return runs


def parts(runs):
    """Those that limits are chosen on here, and those that neither these nor the monitor's were chosen on."""
    candidates = [run for run in runs if (run.data, run.method) == ("CIFAR-10", "simsiam")]
    chosen = candidates[::2]
    known = [run.all_looks for run in chosen] + [run.looks for run in verdicts.halves(verdicts.read())[0]]
    return chosen, [run for run in runs if run.all_looks not in known]


# === Rules: of a run, the share of it after which they first warn; infinity if never ===


def monitor(at_least, confirmed=True):
    """The monitor's own verdict at a level, 1 at risk, 2 collapsed; or what a single look says."""

    def rule(run):
        found = verdict.severities(run.all_looks)
        levels = verdict.confirmed(found) if confirmed else [each.level for each in found]
        return first(run, np.array(levels) >= at_least)

    return rule


def limit(name, value, confirm=CONFIRM):
    """One figure beyond a limit, in several looks one after the other."""
    return lambda run: first(run, run.scores(confirm)[name] > value)


def any_of(*rules):
    return lambda run: min(rule(run) for rule in rules)


def regression(chosen):
    """Logistic regression of the three figures of a look, those of a run all as what became of it."""
    x = np.concatenate([inputs(run) for run in chosen])
    y = np.concatenate([np.full(len(run.looks), run.truth != HEALTHY) for run in chosen])
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)

    def score(run):
        values = model.decision_function(inputs(run))
        return np.array(
            [values[i - CONFIRM + 1 : i + 1].min() if i >= CONFIRM - 1 else -np.inf for i in range(len(values))]
        )

    return score


def inputs(run):
    """(looks, 3): spread, correlation and the logarithm of the rank."""
    rows = [
        [look["relative_std"], look["correlation_strength"], np.log(max(look["effective_rank"], 1))]
        for look in run.looks
    ]
    return np.nan_to_num(np.array(rows), nan=0.0)


def first(run, alarmed):
    return float(run.shares[np.argmax(alarmed)]) if np.any(alarmed) else np.inf


def strictest(score, chosen):
    """The least limit that no healthy run among those chosen passes at any look."""
    return max(score(run).max() for run in chosen if run.truth == HEALTHY)


def rules(chosen):
    """{name: rule}; the limits of all but the monitor's are chosen here, so that no healthy run is warned of."""
    found = {"the monitor: at risk": monitor(1), "the monitor: collapsed": monitor(2)}
    found["the monitor: at risk in a single look"] = monitor(1, confirmed=False)
    singles = []
    for name, title in TITLES.items():
        value = strictest(lambda run, name=name: run.scores()[name], chosen)
        singles.append(limit(name, value))
        found[f"{title} {'above' if value > 0 else 'below'} {abs(value):.3g}, three looks"] = singles[-1]
    found["any of these three"] = any_of(*singles)
    value = strictest(lambda run: run.scores(1)["correlation_strength"], chosen)
    found[f"correlation above {value:.3g}, one look"] = limit("correlation_strength", value, 1)
    score = regression(chosen)
    value = strictest(score, chosen)
    found["logistic regression of the three, three looks"] = lambda run: first(run, score(run) > value)
    return found


# === The page ===


def warned(runs, rule, truth):
    """How many of the runs that became this are warned of by each of `TIMES`, and how many they are."""
    times = np.array([rule(run) for run in runs if run.truth == truth])
    return [int(np.sum(times <= time)) for time in TIMES], len(times)


def rules_table(runs, found):
    header = ["collapses warned of within", *(f"{100 * time:.0f} %" for time in TIMES[:-1]), "the run"]
    header += ["partial collapses", "healthy runs"]
    body = []
    for name, rule in found.items():
        (counts, n), (part, m), (false, k) = (warned(runs, rule, truth) for truth in (COLLAPSE, PARTIAL, HEALTHY))
        body.append([name, *(f"{count} of {n}" for count in counts), f"{part[-1]} of {m}", f"{false[-1]} of {k}"])
    return table(header, body)


def runs_table(runs, chosen):
    header, body = ["data", "method", "collapse", "partial collapse", "healthy", "chosen on"], []
    for data, method in dict.fromkeys((run.data, run.method) for run in runs):
        some = [run for run in runs if (run.data, run.method) == (data, method)]
        counts = [sum(run.truth == truth for run in some) for truth in (COLLAPSE, PARTIAL, HEALTHY)]
        body.append([data, method, *counts, sum(any(run is each for each in chosen) for run in some)])
    return table(header, body)


def draw(runs, chosen, found, path):
    """ROC of each figure within a third of the run, on runs kept apart: collapses, and partial ones."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 5), sharey=True, layout="constrained")
    score = regression(chosen)
    curves = {TITLES[name]: lambda run, name=name: run.scores()[name] for name in FIGURES} | {"all three": score}
    for axis, truth in zip(axes, (COLLAPSE, PARTIAL), strict=True):
        for title, of in curves.items():
            worst = {
                kind: np.array([of(run)[run.shares <= 1 / 3].max(initial=-np.inf) for run in runs if run.truth == kind])
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
                np.mean([found[name](run) <= 1 / 3 for run in runs if run.truth == kind]) for kind in (HEALTHY, truth)
            ]
            axis.plot(*at, marker, color="black", label=name)
        axis.set(title=f"{truth}, within a third of the run", xlabel="healthy runs warned of", xlim=(-0.02, 1.02))
        axis.grid(alpha=0.25)
        axis.legend(loc="lower right", fontsize="small")
    axes[0].set_ylabel("failing runs warned of")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    everything = read()
    chosen_on, apart = parts(everything)
    all_rules = rules(chosen_on)
    contents = {"warning runs": runs_table(everything, chosen_on), "warning rules": rules_table(apart, all_rules)}
    PAGE.write_text(write(PAGE.read_text(), contents))
    draw(apart, chosen_on, all_rules, PAGE.parent / "images" / "early_warning.png")
