"""Faults for longer than a test may take: many deaths of runs, and the memory of a long one.

    python benchmarks/soak.py --json benchmarks/results/soak.json

Every run that has died and gone on must end in the same folder as one that nothing disturbed, bit for bit; the first
that does not ends this command with what differs. tests/faults does the same with fewer deaths and epochs.
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import killing
import memory
import record


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deaths", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=500, help="of the run whose memory is watched")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of death")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    return parser.parse_args()


def main():
    arguments = parse()
    figures = {"seed": arguments.seed}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder)
        if arguments.deaths:
            reference = killing.undisturbed(output)
            for name, each in (("train", reference), ("finetune", killing.classifier_of(reference))):
                figures[name] = killing.campaign(output / name, each, arguments.deaths, arguments.seed)
                done = figures[name]
                print(f"{name}: {done['deaths']} deaths, {done['runs_to_the_end']} runs to the end, all alike")
        if arguments.epochs:
            rows = memory.samples(output / "long", output / "log", arguments.epochs)
            figures["memory"] = memory.summary(rows)
            print(figures["memory"])
    if arguments.json:
        record.write(arguments.json, figures)


if __name__ == "__main__":
    main()
