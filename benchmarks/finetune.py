"""What a share of the labels makes of a trained encoder: kNN, linear probe, classifiers on it, and the labels alone.

    python benchmarks/finetune.py --data FOLDER_WITH_TFDS --json benchmarks/results/finetune.json

The small setting (configs/small.yaml) for each seed: one run without labels, judged by kNN and the linear probe and
beside it the supervised network; then `finetune`, with the encoder frozen and trained, at each share. All see the same
draws of the labels. Every run is a process of the real command: given again, this one goes on where it was interrupted.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import record

ROWS = {  # of each fraction: the row of result.json's by_fraction, and its figure
    "kNN": ("encoder", "knn_accuracy"),
    "linear probe": ("encoder", "linear_accuracy"),
    "supervised, from scratch": ("supervised", "supervised_accuracy"),
}
# The supervised networks' own, chosen on held-out images (configs/studies/figure5_setting.yaml).
SUPERVISED = {"evaluation.supervised_steps": 1560, "evaluation.supervised_learning_rate": 0.15}
CLASSIFIERS = {"classifier, encoder frozen": ["--frozen"], "classifier, encoder trained": []}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="small", help="configuration of the run without labels")
    parser.add_argument("--data", metavar="FOLDER", help="its data.path")
    parser.add_argument("--output", default="runs/finetune", help="folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--fractions", type=float, nargs="+", default=[1.0, 0.1, 0.01])
    parser.add_argument("--subsets", type=int, default=1, help="draws of the labels at each share below 1")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of the run without labels")
    parser.add_argument("--finetune", nargs="*", default=[], metavar="KEY=VALUE", help="settings of the classifiers")
    parser.add_argument("--json", metavar="FILE", required=True)
    return parser.parse_args()


def run(*arguments):
    """One command; Ctrl-C, or its own bad end, ends this one, too."""
    subprocess.run([sys.executable, "-m", "simsiam_tf", *map(str, arguments)], check=True)


def result(folder):
    return json.loads((folder / "result.json").read_text())


def of_seed(arguments, seed):
    """{row: {fraction: mean accuracy over the draws}}, and what the classifiers chose."""
    folder = Path(arguments.output) / f"{arguments.config}-seed{seed}"
    options = {"name": folder.name, "output": folder.parent, "seed": seed, "evaluation.subsets": arguments.subsets}
    options |= {"evaluation.fractions": arguments.fractions, "evaluation.baselines": '["supervised"]'} | SUPERVISED
    options |= {"data.path": arguments.data} if arguments.data else {}
    given = [f"--{key}={value}" for key, value in options.items()] + [f"--{each}" for each in arguments.set]
    run("train", "--config", arguments.config, *given)
    by_fraction = result(folder)["by_fraction"]
    rows = {name: {each["fraction"]: each[key] for each in by_fraction[row]} for name, (row, key) in ROWS.items()}
    chosen = []
    for name, kind in CLASSIFIERS.items():
        rows[name] = {}
        for fraction in arguments.fractions:
            accuracies = []
            for subset in range(1 if fraction == 1 else arguments.subsets):
                words = arguments.config, *(word.strip("-") for word in kind), f"{fraction:g}", str(subset)
                own = "-".join([*words, f"seed{seed}"])
                labels = [f"--fraction={fraction}", f"--method.subset={subset}", f"--name={own}"]
                run("finetune", folder, *kind, *labels, *(f"--{each}" for each in arguments.finetune))
                found = result(folder.parent / own)["classifier"]
                accuracies.append(found["test_accuracy"])
                found = {key: value for key, value in found.items() if key != "class_names"}
                chosen.append({"row": name, "fraction": fraction, "subset": subset} | found)
            rows[name][fraction] = statistics.mean(accuracies)
    return {"rows": rows, "classifiers": chosen}


def main():
    arguments = parse()
    seeds = {str(seed): of_seed(arguments, seed) for seed in arguments.seeds}
    setting = {key: value for key, value in vars(arguments).items() if key not in ("json", "data", "output")}
    record.write(arguments.json, {"setting": setting, "seeds": seeds})
    print(f"{'test accuracy, %':<30}" + "".join(f"{100 * fraction:>9.4g} %" for fraction in arguments.fractions))
    for name in [*ROWS, *CLASSIFIERS]:
        means = [statistics.mean(each["rows"][name][f] for each in seeds.values()) for f in arguments.fractions]
        print(f"{name:<30}" + "".join(f"{100 * mean:>11.1f}" for mean in means))


if __name__ == "__main__":
    main()
