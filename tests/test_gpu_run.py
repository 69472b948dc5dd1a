"""benchmarks/gpu/run.sh with an interpreter that only writes down what it is asked: stages, slices, commands."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from command_line import parse
from simsiam_tf.settings import files

ROOT = Path(__file__).parents[1]
STAGES = ["check", "smoke", "augmentation", "augmentation_224", "step", "epoch", "step_profile", "monitors", "startup"]
STAGES += ["train", "fast", "collect"]
SIZES = {"BUDGET", "BATCH", "WIDTH", "STEPS", "IMAGES"}
# Exits with what the file CODES has for one of the arguments, once; makes what the real one would make.
STUB = """import json, os, pathlib, sys
arguments, here = sys.argv[1:], pathlib.Path({here!r})
with (here / "asked").open("a") as file:
    print(json.dumps(arguments), file=file)
codes = json.loads((here / "codes").read_text())
own = next((each for each in arguments if each in codes), None)
code = codes.pop(own, 0)
(here / "codes").write_text(json.dumps(codes))
if "--json" in arguments:
    pathlib.Path(arguments[arguments.index("--json") + 1]).write_text("{{}}")
if "--output" in arguments:
    run = pathlib.Path(arguments[arguments.index("--output") + 1], arguments[arguments.index("--name") + 1])
    run.mkdir(parents=True, exist_ok=True)
    for name in ("result.json", "environment.json", "metrics.csv", "curves.png", "config.yaml"):
        (run / name).write_text("")
sys.exit(code)
"""


class Host:
    def __init__(self, folder):
        self.folder, self.results = folder, folder / "results"
        self.python = folder / "python"
        (folder / "stub.py").write_text(STUB.format(here=str(folder)))
        self.python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{folder}/stub.py" "$@"\n')
        self.python.chmod(0o755)

    def call(self, *options, codes=None, **environment):
        """(exit code, what the interpreter was asked, what was printed)"""
        (self.folder / "codes").write_text(json.dumps(codes or {}))
        (self.folder / "asked").write_text("")
        own = {"PYTHON": self.python, "WORK": self.folder / "work", "RESULTS": self.results, "DATA": "/tfds"}
        own = {key: str(value) for key, value in (own | environment).items()}
        command = ["bash", ROOT / "benchmarks" / "gpu" / "run.sh", *options]
        inherited = {key: value for key, value in os.environ.items() if key not in SIZES}
        done = subprocess.run(command, env=inherited | own, capture_output=True, text=True, check=False)
        asked = [json.loads(line) for line in (self.folder / "asked").read_text().splitlines()]
        return done.returncode, asked, done.stdout + done.stderr


@pytest.fixture
def host(tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    return Host(folder)


def stages(text):
    """The stages that began."""
    return [line.split()[1] for line in text.splitlines() if line.startswith("== ") and len(line.split()) == 2]


def test_every_stage_once_and_results_together(host):
    code, _, text = host.call()
    assert (code, stages(text)) == (0, STAGES)
    benchmarks = {"augmentation", "augmentation_224", "step", "epoch", "step_profile", "monitors", "startup"}
    assert {path.stem for path in host.results.glob("*.json")} == benchmarks
    for name in ("cifar10", "cifar10_fast"):
        assert len(list((host.results / name).iterdir())) == 5
    assert host.call()[:2] == (0, [])


def test_training_goes_on_in_the_next_call(host):
    code, _, text = host.call(codes={"cifar10": 75})
    assert (code, stages(text)) == (75, STAGES[:-2])
    assert "train goes on in the next call" in text
    code, _, text = host.call()
    assert (code, stages(text)) == (0, STAGES[-3:])


def test_a_failure_is_passed_on_and_tried_again(host):
    code, _, text = host.call(codes={"benchmarks/epoch.py": 3})
    assert (code, stages(text)[-1]) == (3, "epoch")
    assert "epoch failed with exit code 3" in text
    assert stages(host.call()[2]) == STAGES[5:]


def test_a_stage_without_enough_time_waits(host):
    code, asked, text = host.call(BUDGET=80)
    assert (code, asked) == (75, [])
    assert "check waits for the next call" in text


def test_its_commands_are_the_programs_own(host, monkeypatch):
    """Every option is one that the benchmark or the command has, on a small run on a CPU as by default."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    small = {"BATCH": 16, "WIDTH": 8, "STEPS": 1, "IMAGES": 512}
    asked = host.call("--optimizer.epochs=3", "--optimizer.warmup_epochs=1", **small)[1]
    known = {}
    for script, *options in asked:
        if script.startswith("benchmarks/"):
            monkeypatch.setattr(sys, "argv", [script, *options])
            known[Path(script).stem] = import_module(Path(script).stem).parse()
        elif script == "-m":
            _, verb, *rest = options
            assert verb == "train"
            known[rest[rest.index("--name") + 1]] = parse(*files.file_first(rest, "cifar10"))
    assert (known["step"].batch_size, known["step"].width, known["step"].steps) == (16, 8, 1)
    assert (known["monitors"].images, known["epoch"].images, known["step_profile"].precision) == (512, 512, "bfloat16")
    assert [known[name].optimizer.epochs for name in ("smoke", "cifar10", "cifar10_fast")] == [2, 3, 3]
    assert known["cifar10"].data.path == known["cifar10_fast"].data.path == "/tfds"
    assert len(known["time_to_accuracy"].files) == 2
