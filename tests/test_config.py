"""Configuration files, overrides and their errors."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from command_line import parse
from simsiam_tf.errors import InputError
from simsiam_tf.settings import files, yaml_files
from simsiam_tf.settings.backbones import BACKBONES
from simsiam_tf.settings.methods import METHODS
from simsiam_tf.settings.methods.simsiam import SimSiamSettings
from simsiam_tf.settings.optimizers import OPTIMIZERS
from simsiam_tf.settings.schema import Config, SGDSettings

SHIPPED = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


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
        (["--backbone.name", "vgg"], "backbone.name: vgg .* give one of resnet18, resnet34, resnet50, vit_small"),
        (["--training.jit_compile", "true"], "training.jit_compile: true .* training.deterministic false"),
        (
            ["--training.jit_compile=true", "--training.deterministic=false", "--training.distribution=mirrored"],
            "training.jit_compile: true, .* training.sync_batch_norm false",
        ),
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


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["--method.momentum=0.9"], "--method.momentum=0.9"),
        (["--method.name=byol", "--method.stop_gradient=false"], "--method.stop_gradient=false"),
        (["--method.name=byol", "--method.num_views=4"], "--method.num_views=4"),
        (["--optimizer.trust=0.1"], "--optimizer.trust=0.1"),
        (["--optimizer.name", "adamw", "--optimizer.momentum", "0.5"], "--optimizer.momentum 0.5"),
        (["--optimizer.beta_1", "0.5", "--optimizer.name=lars"], "--optimizer.beta_1 0.5"),
        (["--backbone.heads=6"], "--backbone.heads=6"),
        (["--backbone.name=vit_small", "--backbone.width=64"], "--backbone.width=64"),
    ],
)
def test_settings_of_another_method_optimizer_or_backbone_are_refused(arguments, key):
    with pytest.raises(InputError, match=f"^{re.escape(key)}: unknown; give an option of simsiam-tf train --help$"):
        parse(*arguments)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("method: {momentum: 0.9}", "method.momentum"),
        ("method: {name: byol, head_norm: all}", "method.head_norm"),
        ("optimizer: {name: adamw, momentum: 0.9}", "optimizer.momentum"),
        ("backbone: {name: vit_small, stem: cifar}", "backbone.stem"),
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


def test_the_name_of_a_backbone_brings_its_settings_and_keeps_the_others_of_its_family():
    """Of the file's another family has the colours alone."""
    vit = parse("--config=imagenet", "--backbone.name=vit_small", "--backbone.heads=6").backbone
    assert vit == BACKBONES["vit_small"](heads=6, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    resnet = parse("--config=imagenet", "--backbone.name=resnet18").backbone
    assert (resnet.name, resnet.stem, resnet.mean) == ("resnet18", "imagenet", vit.mean)
    assert parse("--config=small", "--backbone.name=resnet34").backbone.width == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data.image_size=30"], "data.image_size: 30 px are no whole patches of 16 px; give a multiple"),
        (["--augmentation.view_sizes=[24,32]"], "augmentation.view_sizes: 24 px are no whole patches of 16 px; give"),
        (["--backbone.heads=7"], "backbone.heads: 7 for tokens of 384; give a divisor of backbone.dim"),
        (["--backbone.dim=30", "--backbone.heads=3"], "backbone.dim: 30 with positions sincos; give a multiple of 4"),
        (
            ["--backbone.positions=learned", "--augmentation.view_sizes=[16,32]"],
            "augmentation.view_sizes: 16 px, but the learned positions are those of 32; give data.image_size, or",
        ),
        (
            ["--backbone.positions=learned", "--augmentation.views=[{size: 32}, {size: 16}]"],
            "augmentation.views.size: 16 px, but the learned positions are those of 32; give",
        ),
    ],
)
def test_a_vision_transformer_takes_whole_patches_and_learned_positions_one_size(arguments, message):
    parse("--backbone.name=vit_small", "--augmentation.view_sizes=[16,32]")
    with pytest.raises(InputError, match=f"^{message}"):
        parse("--backbone.name=vit_small", *arguments)


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
