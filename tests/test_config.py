"""Configuration files, overrides and their errors; the command line without TensorFlow."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from simsiam_tf.cli import main as cli
from simsiam_tf.errors import InputError
from simsiam_tf.settings import files
from simsiam_tf.settings.schema import Config, SGDSettings

ROOT = Path(__file__).parents[1]
SHIPPED = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_files_are_valid_and_say_what_they_are(path):
    config = files.read(path)
    assert config.name == path.stem
    header = "".join(line for line in path.read_text().splitlines(True) if line.startswith("#"))
    assert f"simsiam-tf train --config {path.stem}" in header
    assert "Ours:" in header


def test_the_papers_recipe():
    config = files.read(files.find("cifar10"))
    o = config.optimizer
    assert (o.epochs, o.batch_size, o.learning_rate, o.weight_decay) == (800, 512, 0.03, 5e-4)
    assert (o.momentum, o.warmup_epochs, o.predictor_ratio, o.predictor_schedule) == (0.9, 0, 1.0, "constant")
    m = config.method
    assert (m.projector_layers, m.projector_hidden, m.projection_dim, m.predictor_hidden) == (2, None, 2048, 512)
    assert (config.evaluation.neighbors, config.evaluation.temperature) == (200, 0.1)


def test_write_and_read_give_the_same(tmp_path):
    config = replace(Config(), seed=7, optimizer=SGDSettings(learning_rate=1e-5, batch_size=3))
    files.write(config, tmp_path / "config.yaml")
    assert files.read(tmp_path / "config.yaml") == config
    assert files.differences(config, files.read(tmp_path / "config.yaml")) == []


@pytest.mark.parametrize("name", ["1e-3", "1e400", "12", "0x1f", "1_0", "2001-01-01", ".5", "null", "true", "~", "#"])
def test_a_name_that_looks_like_something_else_stays_a_name(tmp_path, name):
    files.write(replace(Config(), name=name), tmp_path / "config.yaml")
    assert files.read(tmp_path / "config.yaml").name == name


def parse(*arguments):
    parser = files.OneLineParser(prog="simsiam-tf train")
    files.add_config(parser)
    return files.build(parser, parser.parse_args(list(arguments)))


def test_overrides_win_over_the_file():
    config = parse("--config", "cifar10", "--optimizer.learning_rate", "5e-4", "--data.limit=12")
    assert (config.optimizer.learning_rate, config.data.limit, config.optimizer.batch_size) == (5e-4, 12, 512)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seed=3", "--config", "digits"],
        ["--seed=3", "--config=digits"],
        ["--config", "digits", "--seed=3"],
    ],
)
def test_an_option_wins_over_the_file_wherever_it_stands(arguments):
    config = parse(*files.file_first(arguments, "cifar10"))
    assert (config.seed, config.name) == (3, "digits")
    assert parse(*files.file_first(["--seed=3"], "cifar10")).name == "cifar10"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--optimizer.lr", "3"], "--optimizer.lr"),
        (["--optimizer.batch_size", "many"], "optimizer.batch_size.*int.*many"),
        (["--optimizer.batch_size", "0"], "optimizer.batch_size: 0 .* 1 or more"),
        (["--optimizer.learning_rate", "-1"], "optimizer.learning_rate: -1.0 .* above 0"),
        (["--optimizer.momentum", "1"], "optimizer.momentum: 1.0"),
        (["--optimizer.warmup_epochs", "800"], "optimizer.warmup_epochs: 800 .* fewer than optimizer.epochs"),
        (["--data.source", "webcam"], "data.source.*webcam"),
        (["--data.validation_fraction", "1.5"], "data.validation_fraction: 1.5"),
        (["--augmentation.hue", "0.6"], "augmentation.hue: 0.6 .* from 0 to 0.5"),
        (["--augmentation.recipe", "vivid"], "augmentation.recipe.*vivid"),
        (["--backbone.name", "vgg"], "backbone.name.*vgg"),
        (["--training.jit_compile", "true"], "training.jit_compile: true .* training.deterministic false"),
        (["--augmentation.flip", "2"], "augmentation.flip: 2.0 .* from 0 to 1"),
        (["--evaluation.fractions", "[0]"], r"evaluation.fractions: \(0.0,\)"),
        (["--name", "a/b"], "name: a/b .* plain folder name"),
        (["--config", "nowhere"], "--config: no file 'nowhere'.* cifar10"),
    ],
)
def test_bad_settings_are_named_in_one_line(arguments, message):
    with pytest.raises(InputError, match=message) as error:
        parse(*arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimizer: {lr: 1}", "'optimizer'.*'lr'"),
        ("optimzer: {learning_rate: 1}", "optimzer"),
        ("seed: zero", "seed.*int.*zero"),
        ("a: [1", "config"),
        ("!!python/object/apply:os.system ['true']", "config"),
    ],
)
def test_bad_files_are_named_in_one_line(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        parse("--config", str(path))
    assert "\n" not in str(error.value)


def test_print_config_shows_the_result(capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(["train", "--config", "cifar10", "--seed", "5", "--print_config"])
    assert done.value.code in (0, None)
    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["seed"], shown["optimizer"]["epochs"]) == (5, 800)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--help"], 0, "train"),
        ([], 2, "train"),
        (["fly"], 2, "'fly' is unknown"),
        (["evaluate", "nowhere"], 2, "RUN: nowhere is no run folder"),
        (["embed", "nowhere"], 2, "data"),
        (["export", "nowhere", "--format", "onnx"], 2, "RUN: nowhere"),
        (["import-weights", "nowhere"], 2, "FILE: cannot read nowhere"),
        (["train", "--optimizer.batch_size", "x"], 2, "optimizer.batch_size"),
    ],
)
def test_exit_codes(arguments, code, text, capsys):
    assert cli.main(arguments) == code
    out, err = capsys.readouterr()
    assert text in (out + err)
    assert "Traceback" not in err
    assert code == 0 or not arguments or err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["export", "--help"], ["import-weights", "--help"]]
)
def test_help_does_not_import_tensorflow(arguments):
    code = (
        "import sys; from simsiam_tf.cli.main import main\n"
        f"try: main({arguments})\n"
        "except SystemExit: pass\n"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout
