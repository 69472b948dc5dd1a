"""What became of the committed runs, told without the figures of the collapse monitor.

On CIFAR-10 and the digits by the linear probe alone: the share of what the usual recipe gains over the untrained
encoder is below a quarter in a collapse, below three quarters in a partial one. On the photographs, of which 60 test,
by what was done to the run. Fixed predictors, which learn little and do not collapse, are left out.
"""

import json
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import verdicts
from verdicts import RESULTS

from simsiam_tf.evaluation.verdict import COLLAPSED, CONFIRM, GRACE, HEALTHY
from simsiam_tf.settings.methods import METHODS

# By data and epochs of the probe, linear accuracy of the untrained encoder and of the usual recipe: means over the
# seeds of verdicts_* (10 epochs) and stop_gradient_small (100).
SCALES = {("cifar10", 10): (0.282, 0.413), ("cifar10", 100): (0.297, 0.418), ("digits", 10): (0.414, 0.924)}
EPOCHS = {"cifar10": 5, "digits": 40}  # of the runs that are told
NAMES = {"cifar10": "CIFAR-10", "digits": "digits"}
COLLAPSE, PARTIAL = "collapse", "partial collapse"
# The figures, and which way is worse.
FIGURES = {"relative_std": -1, "correlation_strength": 1, "effective_rank": -1}
FEWEST_LOOKS = 20


@dataclass(frozen=True)
class Run:
    """One run: its data, method and seed, what became of it, its looks, label-free figures, and its epochs' figures.

    `shares` are how far each look is into the run.
    """

    data: str
    method: str
    truth: str
    all_looks: list
    label_free: dict = field(default_factory=dict)
    epochs: list = field(default_factory=list)
    seed: int = 0

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
    runs = told_by_accuracy()
    truths = {HEALTHY: HEALTHY, COLLAPSED: COLLAPSE}
    for run in verdicts.read():
        if run.data == "photographs" and verdicts.TRUTH.get(run.row) in truths:
            runs.append(Run(run.data, "simsiam", truths[verdicts.TRUTH[run.row]], run.looks))
    return runs


def told_by_accuracy(folder=RESULTS):
    """Runs of the networks and data that `SCALES` are of."""
    runs = []
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_bytes())
        c, figures, looks = result["configuration"], result["figures"], result.get("looks") or []
        data = c["data.name"] or c["data.source"]
        fixed = c.get("method.predictor_ratio") == 0
        scale = SCALES.get((data, c["evaluation.linear_epochs"]))
        usual = scale and c["backbone.name"] == "resnet18" and METHODS[c["method.name"]].can_collapse
        usual = usual and c["evaluation.split"] == "auto" and c["optimizer.epochs"] == EPOCHS[data]
        if usual and len(looks) >= FEWEST_LOOKS and "linear_accuracy" in figures and not fixed:
            low, high = scale
            gain = (figures["linear_accuracy"] - low) / (high - low)
            truth = COLLAPSE if gain < 0.25 else PARTIAL if gain < 0.75 else HEALTHY
            if not any(run.all_looks == looks for run in runs):  # the same training, evaluated in two ways
                label_free = figures.get("label_free", {})
                known = label_free, result["epochs"], c["seed"]
                runs.append(Run(NAMES[data], c["method.name"], truth, looks, *known))
    return runs
