"""The training step over the best of PyTorch's three, from small to large: ResNet-18 by batch, pixels, width and stem.

    python benchmarks/grid.py --json benchmarks/results/grid.json --figure benchmarks/results/grid.png

Each cell is measured by step.py in a process of its own, ours and torch's in turn. The file has the cells that are
done: interrupted, the same command goes on. Steps of more than --most are left out. Of torch's three those that die
of a cell, as two do in float32 at width 8 and 224 px, are left out of it and named.
"""

import argparse
import datetime
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import record
from matplotlib import pyplot as plt
from twin import VARIANTS

HERE = Path(__file__).resolve().parent
BATCHES, WIDTHS = (16, 64, 256, 512), (8, 16, 64)
SIDES = {"cifar": (16, 32, 64), "imagenet": (64, 224)}
# Multiplications and additions of a view's way forward, width 64: at 32 px with CIFAR's stem, 224 with ImageNet's.
FORWARD = {"cifar": 1.11e9 / 32**2, "imagenet": 3.64e9 / 224**2}
HEADS = 2 * (2 * 2048 * 512)  # of the predictor, and of the projector 2 (d^2 + 2048 d), d features
BLOCK = 2.5e10  # operations of a timed block, half a second of a small network, in whole steps
PRECISIONS = ("float32", "bfloat16")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=float, default=0.7, help="10^12 operations of a step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", required=True)
    parser.add_argument("--figure", metavar="FILE")
    return parser.parse_args()


def cells(most):
    """[(stem, side, width, batch, operations of a step)], the cheap ones first."""
    every = [(stem, side) for stem, sides in SIDES.items() for side in sides]
    found = [
        (stem, side, width, batch, 6 * batch * (FORWARD[stem] * side**2 * (width / 64) ** 2 + heads(8 * width)))
        for (stem, side), width, batch in itertools.product(every, WIDTHS, BATCHES)
    ]
    return sorted((cell for cell in found if cell[-1] <= most * 1e12), key=lambda cell: cell[-1])


def heads(d):
    """Operations of projector and predictor on d features."""
    return HEADS + 2 * (d**2 + 2048 * d)


def measured(cell, precision, rounds):
    """{precision, ours, torch, ratio, died} of a cell; `torch` is its fastest, in seconds, as ours is."""
    stem, side, width, batch, flop = cell
    options = {"stem": stem, "image-size": side, "width": width, "batch-size": batch, "precision": precision}
    options |= {"steps": max(1, round(BLOCK / flop))}
    command = [sys.executable, HERE / "step.py", *(f"--{key}={value}" for key, value in options.items())]
    died = []
    if (found := results(command, rounds)) is None:
        died = [each for each in VARIANTS if results([*command, "--variants", each], 1) is None]
        found = results([*command, "--variants", "ours", *(each for each in VARIANTS if each not in died)], rounds)
    if found is None:
        raise SystemExit(f"{precision}, {cell[:-1]}: the process dies with ours in it")
    return row(found, precision) | {"died": died}


def results(command, rounds):
    """What step.py finds; None if a signal ends it. Whatever else is wrong ends this, too."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        done = subprocess.run([*command, "--rounds", str(rounds), "--json", file.name], stdout=subprocess.DEVNULL)
        if done.returncode < 0:
            return None
        done.check_returncode()
        return json.loads(Path(file.name).read_bytes())["results"]


def row(measurements, precision):
    """What step.py's results say of one precision."""
    found = {each["variant"]: each for each in measurements}
    ours = found.pop("ours")
    best = min(found, key=lambda name: found[name]["step_seconds"]["median"])
    seconds = {"ours": ours["step_seconds"], "torch": found[best]["step_seconds"], "torch_is": best}
    ratio = seconds["torch"]["median"] / seconds["ours"]["median"]
    return {"precision": precision, "ratio": ratio, "share_of_matrix_rate": ours["share_of_matrix_rate"]} | seconds


def draw(rows, path):
    """A square for each cell: batch by size and width, a panel for each stem and precision."""
    figure, axes = plt.subplots(2, 2, figsize=(13, 9), layout="constrained")
    for axis, (stem, precision) in zip(axes.flat, itertools.product(SIDES, PRECISIONS), strict=True):
        kinds = list(itertools.product(SIDES[stem], WIDTHS))
        axis.set(title=f"{stem} stem, {precision}: speed over the best of torch", xlabel="batch size")
        axis.set_xticks(range(len(BATCHES)), BATCHES)
        axis.set_yticks(range(len(kinds)), [f"{side} px, width {width}" for side, width in kinds])
        axis.set(xlim=(-0.5, len(BATCHES) - 0.5), ylim=(-0.5, len(kinds) - 0.5))
        for each in rows:
            if (each["stem"], each["precision"]) == (stem, precision):
                place = BATCHES.index(each["batch"]), kinds.index((each["side"], each["width"]))
                shade = plt.get_cmap("RdYlGn")(min(1.0, each["ratio"] / 2))
                axis.add_patch(plt.Rectangle((place[0] - 0.5, place[1] - 0.5), 1, 1, color=shade))
                axis.text(*place, f"{each['ratio']:.2f}", ha="center", va="center")
    figure.savefig(path, dpi=110)


def main():
    arguments = parse()
    path = Path(arguments.json)
    known = json.loads(path.read_bytes()) if path.is_file() else {"cells": []}
    rows = known["cells"]
    if rows and known["machine"]["processor"] != record.processor():
        raise SystemExit(f"json: {path} is of another machine; give another file")
    keys = ("stem", "side", "width", "batch")
    done = {tuple(each[key] for key in (*keys, "precision")) for each in rows}
    every = itertools.product(cells(arguments.most), PRECISIONS)
    todo = [(cell, precision) for cell, precision in every if (*cell[:-1], precision) not in done]
    for i, (cell, precision) in enumerate(todo):
        when = {"rounds": arguments.rounds, "simsiam_tf": record.revision(), "date": str(datetime.date.today())}
        rows.append(dict(zip(keys, cell[:-1], strict=True)) | measured(cell, precision, arguments.rounds) | when)
        record.write(path, {"cells": rows})
        stem, side, width, batch, _ = cell
        said = f"{stem}, {side} px, width {width}, batch {batch}, {precision}: {rows[-1]['ratio']:.2f} x"
        print(f"[{i + 1}/{len(todo)}] {said}", flush=True)
    if arguments.figure:
        draw(rows, arguments.figure)


if __name__ == "__main__":
    main()
