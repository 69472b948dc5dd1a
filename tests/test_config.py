"""Configuration files, overrides and their errors; the command line without TensorFlow."""

import math
import os
import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml

from simsiam_tf.cli import main as cli
from simsiam_tf.errors import InputError
from simsiam_tf.settings import files, yaml_files
from simsiam_tf.settings.augmentation import RecipeSettings
from simsiam_tf.settings.data import PLACES
from simsiam_tf.settings.methods import METHODS, MethodSettings
from simsiam_tf.settings.methods.simsiam import SimSiamSettings
from simsiam_tf.settings.optimizers import OPTIMIZERS
from simsiam_tf.settings.schema import Config, SGDSettings

ROOT = Path(__file__).parents[1]
SHIPPED = sorted((ROOT / "configs").glob("*.yaml"))
STUDIES = sorted(path.stem for path in (ROOT / "configs" / "studies").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_files_are_valid_and_say_what_they_are(path):
    config = files.read(path)
    assert config.name == path.stem
    header = "".join(line for line in path.read_text().splitlines(True) if line.startswith("#"))
    assert f"simsiam-tf train --config {path.stem}" in header
    assert "Ours:" in header


def test_the_papers_recipe():
    config = files.read(yaml_files.find("cifar10"))
    o = config.optimizer
    assert (o.epochs, o.batch_size, o.learning_rate, o.weight_decay) == (800, 512, 0.03, 5e-4)
    assert (o.momentum, o.warmup_epochs) == (0.9, 0)
    m = config.method
    assert (m.predictor_ratio, m.predictor_schedule, m.head_norm) == (1.0, "constant", "default")
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
    return files.parse(files.OneLineParser(prog="simsiam-tf train"), list(arguments))[1]


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
        (["--optimizer.lr", "3"], "--optimizer.lr 3: unknown; give an option of simsiam-tf train --help"),
        (["--optimizer.batch_size", "many"], "optimizer.batch_size: many .* give a whole number"),
        (["--optimizer.batch_size", "0"], "optimizer.batch_size: 0 .* 1 or more"),
        (["--optimizer.learning_rate", "-1"], "optimizer.learning_rate: -1.0 .* above 0"),
        (["--optimizer.momentum", "1"], "optimizer.momentum: 1.0 .* from 0 to below 1"),
        (["--optimizer.warmup_epochs", "800"], "optimizer.warmup_epochs: 800 .* fewer than optimizer.epochs"),
        (["--data.validation_fraction", "1.5"], "data.validation_fraction: 1.5 .* from 0 to below 1"),
        (["--augmentation.hue", "0.6"], "augmentation.hue: 0.6 .* from 0 to 0.5"),
        (["--augmentation.recipe", "vivid"], "augmentation.recipe: vivid .* give cifar10 or .* or none"),
        (["--backbone.name", "vgg"], "backbone.name: vgg .* give resnet18 or resnet34 or resnet50"),
        (["--training.jit_compile", "true"], "training.jit_compile: true .* training.deterministic false"),
        (["--augmentation.flip", "2"], "augmentation.flip: 2.0 .* from 0 to 1"),
        (["--evaluation.fractions", "[0]"], r"evaluation.fractions: \[0.0\] .* above 0 to 1"),
        (["--evaluation.fractions", "[]"], r"evaluation.fractions: \[\] is empty; give a share"),
        (["--name", "a/b"], "name: 'a/b' .* plain folder name"),
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
        ("optimizer: {lr: 1}", "^optimizer.lr: unknown; give an option of simsiam-tf train --help$"),
        ("optimzer: {learning_rate: 1}", "^optimzer.learning_rate: unknown; give an option of"),
        ("seed: zero", "^seed: zero is no value of it; give a whole number$"),
        ("augmentation: {views: [{colour: 1}]}", "^augmentation.views.colour: unknown; give an option of [^;]*$"),
        ("method: 3", "^method: 3 is no value of it; give"),
        ("method: {name: [1]}", r"^method.name: \[1\] is unknown; give one of simsiam"),
        ("a: [1", "^--config: .* is no YAML .*; give key: value lines$"),
        ("[1]", "^--config: .* holds list; give key: value lines$"),
        ("!!python/object/apply:os.system ['true']", "^--config: .* is no YAML .*; give key: value lines$"),
    ],
)
def test_bad_files_are_named_in_one_line(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        parse("--config", str(path))
    assert "\n" not in str(error.value)


# For each key, but for those of a recipe or of one method only, a value that it cannot have, and what to give instead.
OUT_OF_RANGE = {
    "name": ("a/b", "one, such as run"),
    "output": ("a\nb", "text"),
    "seed": (-1, "a whole number 0 or more"),
    "data.source": ("webcam", " or ".join(PLACES)),
    "data.name": ("a\nb", "text or null"),
    "data.path": ("a\nb", "text or null"),
    "data.image_size": (0, "a whole number 1 or more"),
    "data.store_size": (0, "a whole number 1 or more or null"),
    "data.validation_fraction": (1.0, "a number from 0 to below 1"),
    "data.train_split": ("a\nb", "text"),
    "data.test_split": ("a\nb", "text"),
    "data.limit": (0, "a whole number 1 or more or null"),
    "data.test_limit": (0, "a whole number 1 or more or null"),
    "data.memory_limit_gb": (-0.5, "a number 0 or more"),
    "augmentation.view_sizes": ([24, 0], "a list of each a whole number 1 or more"),
    "augmentation.views": ("[{width: 3}]", "an option of simsiam-tf train --help"),
    "backbone.name": ("vgg", "resnet18 or resnet34 or resnet50"),
    "backbone.stem": ("flower", "cifar or imagenet"),
    "backbone.width": (0, "a whole number 1 or more"),
    "backbone.zero_init_residual": ("perhaps", "true or false"),
    "backbone.mean": ([0.5, 0.5], "a list of 3 .*"),
    "backbone.std": ([0.5, 0.5, 0.0], "a list of 3 values, each a number above 0"),
    "method.name": ("magic", "one of simsiam.*"),
    "method.weight_average": (1.0, "a number from 0 to below 1"),
    "optimizer.name": ("magic", "one of sgd.*"),
    "optimizer.learning_rate": (0.0, "a number above 0"),
    "optimizer.batch_size": (0, "a whole number 1 or more"),
    "optimizer.epochs": (0, "a whole number 1 or more"),
    "optimizer.warmup_epochs": (-1, "a whole number 0 or more"),
    "optimizer.weight_decay": (-0.5, "a number 0 or more"),
    "optimizer.momentum": (1.0, "a number from 0 to below 1"),
    "training.distribution": ("some", "none or mirrored or multi_worker"),
    "training.sync_batch_norm": ("perhaps", "true or false"),
    "training.precision": ("float8", "auto or float32 or bfloat16 or float16"),
    "training.jit_compile": ("perhaps", "true or false or auto"),
    "training.deterministic": ("perhaps", "true or false or auto"),
    "training.micro_batches": (0, "a whole number 1 or more"),
    "training.steps_per_execution": (0, "a whole number 1 or more or auto"),
    "training.compilation_cache": ("a\nb", "text or null"),
    "training.stop_after_steps": (0, "a whole number 1 or more or null"),
    "training.checkpoint_epochs": (0, "a whole number 1 or more"),
    "training.keep_checkpoints": (0, "a whole number 1 or more"),
    "monitor.knn_epochs": (-1, "a whole number 0 or more"),
    "monitor.knn_bank": (0, "a whole number 1 or more"),
    "monitor.linear_probe": ("perhaps", "true or false"),
    "monitor.collapse_epochs": (-1, "a whole number 0 or more or auto"),
    "monitor.collapse_patience": (0, "a whole number 1 or more"),
    "monitor.stop_on_collapse": ("perhaps", "true or false"),
    "monitor.tensorboard": ("perhaps", "true or false"),
    "evaluation.fractions": ([1.0, 0.0], "a list of each a number above 0 to 1"),
    "evaluation.subsets": (0, "a whole number 1 or more"),
    "evaluation.baselines": (["raw", "best"], "(a list of each )?raw or untrained or supervised"),
    "evaluation.split": ("train", "auto or test or validation"),
    "evaluation.neighbors": (0, "a whole number 1 or more or auto"),
    "evaluation.temperature": (0.0, "a number above 0 or auto"),
    "evaluation.linear_learning_rate": (0.0, "a number above 0 or auto"),
    "evaluation.linear_optimizer": ("adam", "sgd or lars"),
    "evaluation.linear_batch_size": (0, "a whole number 1 or more"),
    "evaluation.linear_epochs": (0, "a whole number 1 or more"),
    "evaluation.supervised_steps": (0, "a whole number 1 or more"),
    "evaluation.supervised_learning_rate": (0.0, "a number above 0"),
}


@pytest.mark.parametrize("key", OUT_OF_RANGE)
def test_every_setting_has_a_range(key):
    """As an option and, where a script builds the settings, as an argument."""
    value, wanted = OUT_OF_RANGE[key]
    with pytest.raises(InputError, match=f"^{key}[.:].*; give {wanted}$") as error:
        parse(f"--{key}={value}")
    assert "\n" not in str(error.value)
    section, _, name = key.rpartition(".")
    if name == "name" or value == "[{width: 3}]":
        return

    def build():
        part = {name: value}
        replace(Config(), **{section: replace(getattr(Config(), section), **part)} if section else part)

    with pytest.raises(InputError, match=f"^{key}: .* is no value of it; give {wanted}$"):
        build()


def test_the_ranges_are_those_of_all_settings():
    common = {f"method.{each.name}" for each in fields(MethodSettings)}
    recipe = {f"augmentation.{each.name}" for each in fields(RecipeSettings)}
    known = {key for key in files.flat(Config()) if not key.startswith("method.")}
    assert OUT_OF_RANGE.keys() == (known | common) - recipe


CHOICES = [("augmentation", RecipeSettings)]
CHOICES += [("method", each) for each in METHODS.values()] + [("optimizer", each) for each in OPTIMIZERS.values()]


@pytest.mark.parametrize(("section", "settings"), CHOICES, ids=lambda value: getattr(value, "__name__", value))
def test_every_setting_of_a_recipe_and_of_every_method_and_optimizer_has_a_range(section, settings):
    chosen = [f"--{section}.name={settings.name}"] if hasattr(settings, "name") else []
    for each in fields(settings):
        for value in ("perhaps", math.nan) if isinstance(each.default, bool | str) else (-1, math.nan, "perhaps"):
            with pytest.raises(InputError, match=f"^{section}.{each.name}: {value} is no value of it; give "):
                settings(**{each.name: value})
            with pytest.raises(InputError, match=f"^{section}.{each.name}[.:].*; give "):
                parse(*chosen, f"--{section}.{each.name}={value}")


@pytest.mark.parametrize("value", [True, 1.5, "3", None, 2**31])
def test_a_whole_number_is_nothing_else(value):
    shown = {True: "true", None: "null"}.get(value, value)
    with pytest.raises(InputError, match=f"^optimizer.batch_size: {shown} is no value of it; give a whole number"):
        SGDSettings(batch_size=value)


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ("{count: 0}", r"^augmentation.views.count: 0 is no value of it; give a whole number 1 or more$"),
        ("{size: 0}", r"^augmentation.views.size: 0 is no value of it; give a whole number 1 or more or null$"),
        ("{flip: 2}", r"^augmentation.views.flip: 2.0 is no value of it; give a number from 0 to 1 or null$"),
        (
            "{recipe: vivid}",
            r"^augmentation.views.recipe: vivid is no value of it; give cifar10 or .* or none or null$",
        ),
    ],
)
def test_a_kind_of_views_has_the_same_ranges(view, message):
    with pytest.raises(InputError, match=message):
        parse(f"--augmentation.views=[{{recipe: cifar10}}, {view}]")


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["--method.momentum=0.9"], "--method.momentum=0.9"),
        (["--method.name=byol", "--method.stop_gradient=false"], "--method.stop_gradient=false"),
        (["--method.name=byol", "--method.num_views=4"], "--method.num_views=4"),
        (["--optimizer.trust=0.1"], "--optimizer.trust=0.1"),
        (["--optimizer.name", "adamw", "--optimizer.momentum", "0.5"], "--optimizer.momentum 0.5"),
        (["--optimizer.beta_1", "0.5", "--optimizer.name=lars"], "--optimizer.beta_1 0.5"),
    ],
)
def test_settings_of_another_method_or_optimizer_are_refused(arguments, key):
    with pytest.raises(InputError, match=f"^{re.escape(key)}: unknown; give an option of simsiam-tf train --help$"):
        parse(*arguments)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("method: {momentum: 0.9}", "method.momentum"),
        ("method: {name: byol, head_norm: all}", "method.head_norm"),
        ("optimizer: {name: adamw, momentum: 0.9}", "optimizer.momentum"),
    ],
)
def test_settings_of_another_method_in_a_file_are_refused(tmp_path, text, key):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(InputError, match=f"^{key}: unknown; give an option of simsiam-tf train --help$"):
        parse("--config", str(tmp_path / "a.yaml"))


def test_the_name_of_a_method_brings_its_settings():
    config = parse("--method.name=byol", "--method.momentum=0.5", "--optimizer.name", "lars", "--optimizer.trust=0.01")
    assert config.method == METHODS["byol"](momentum=0.5)
    assert config.optimizer == OPTIMIZERS["lars"](trust=0.01)


BEFORE = """
method: {name: simsiam, projector_output_norm: false, stop_gradient: true, num_views: 2, ema_momentum: 0.9}
optimizer: {learning_rate: 0.03, batch_size: 512, epochs: 800, predictor_ratio: 0.5, predictor_schedule: cosine}
"""


def test_a_file_of_an_earlier_version_is_read(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(BEFORE)
    settings = {"weight_average": 0.9, "head_norm": "hidden", "predictor_ratio": 0.5, "predictor_schedule": "cosine"}
    assert files.read(path) == Config(method=SimSiamSettings(**settings))
    path.write_text(BEFORE.replace("projector_output_norm: false", "projector_output_norm: true"))
    assert files.read(path) == Config(method=SimSiamSettings(**settings | {"head_norm": "default"}))
    assert parse("--config", str(path), "--method.predictor_ratio=2").method.predictor_ratio == 2
    path.write_text("optimizer: {predictor_ratio: 0.25}")  # the section that it moves to is not there
    assert files.read(path).method == SimSiamSettings(predictor_ratio=0.25)


def test_a_setting_under_its_old_and_its_new_name_is_refused(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("method: {ema_momentum: 0.9, weight_average: 0.9}")
    message = r"^method.ema_momentum: it is method.weight_average now, which is there, too; give one of them$"
    with pytest.raises(InputError, match=message):
        files.read(path)


@pytest.mark.parametrize(
    ("option", "new"),
    [
        (["--optimizer.predictor_ratio", "0.5"], "method.predictor_ratio"),
        (["--optimizer.predictor_schedule=cosine"], "method.predictor_schedule"),
        (["--method.ema_momentum=0.9"], "method.weight_average"),
        (["--method.projector_output_norm", "false"], "method.head_norm"),
    ],
)
def test_an_option_that_has_another_name_now_is_refused_with_it(option, new):
    old = option[0].split("=")[0].removeprefix("--")
    with pytest.raises(InputError, match=f"^{old}: it has another name now; give {new}$"):
        parse(*option)


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
        (["import-weights", "nowhere"], 2, "FILE: nowhere cannot be read"),
        (["train", "--optimizer.batch_size", "x"], 2, "optimizer.batch_size"),
        (["evaluate"], 2, "run"),
        (["import-weights"], 2, "file"),
        (["train", "--config"], 2, "config"),
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


# For each source that needs a path: one of another kind, and a folder without files of its types.
WRONG = [
    (source, "letter" if place.endings else "run", f"is of another kind; give {place.words}")
    for source, place in PLACES.items()
    if place
] + [
    (source, "run", f"has no files of these types; give {place.words}: {' '.join(place.endings)}")
    for source, place in PLACES.items()
    if place and place.endings
]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "--config=digits", "--data.source=tfds"],
            "data.name: none given, but data.source tfds needs one; give",
        ),
        (["sweep"], "--config: none given; give a study"),
        (["sweep", "--config=digits"], f"--config: no file 'digits'; give a YAML file or one of: {STUDIES[0]}"),
        (["train", "--data.source=folder"], "data.path: none given, but data.source folder needs one; give a folder"),
        (["train", "--data.source=arrays", "--data.path=nowhere.npz"], "data.path: nowhere.npz is not there; give an"),
        *(
            (["train", f"--data.source={source}", f"--data.path={path}"], f"data.path: {path} {why}")
            for source, path, why in WRONG
        ),
        (["train", "--data.source=digits", "--seed=-1"], "seed: -1 is no value of it; give a whole number 0 or more"),
        (["evaluate", "run", "--data.path=nowhere"], "data.path: nowhere is not there; give a folder of image files"),
        (["evaluate", "run", "--seed=3"], "seed: 3 is not the trained run's; give only"),
        (["embed", "run", "--data=nowhere", "--output=f.npz"], "data.path: nowhere is not there; give a folder of"),
        (["embed", "run", "--data=nowhere.npy", "--output=f.npz"], "data.path: nowhere.npy is not there; give an .npz"),
        (["embed", "run", "--data=test", "--output=f.csv"], "output: f.csv ends in neither .parquet nor .npz; give"),
        (["embed", "run", "--data=test", "--output=no/f.npz"], "output: folder no does not exist; make it first"),
        (["export", "run", "--format=tflite"], "format: 'tflite' is unknown; give one of keras, saved_model, onnx"),
        (["export", "run", "--format=onnx", "--output=m.pb"], "output: m.pb does not end in .onnx, which format onnx"),
        (["export", "run", "--format=keras", "--output=m.keras"], "output: m.keras exists; give another one or del"),
        (["import-weights", "nowhere.pth"], "FILE: nowhere.pth cannot be read (No such file or directory); give a"),
        (["import-weights", "letter"], "letter is no PyTorch checkpoint"),
        (["import-weights", "letter", "--method.name=magic"], "method.name: magic is unknown; give one of simsiam"),
    ],
)
def test_what_is_not_there_is_refused_before_tensorflow_and_leaves_nothing(tmp_path, arguments, message):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("data: {source: folder, path: pictures}\n")
    (tmp_path / "letter").write_text("dear")
    (tmp_path / "m.keras").touch()
    before = sorted(tmp_path.rglob("*"))
    code = (
        "import sys; from simsiam_tf.cli.main import main\n"
        f"code = main({arguments})\n"
        "sys.exit(100 if 'tensorflow' in sys.modules or 'keras' in sys.modules else code)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("simsiam-tf: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
