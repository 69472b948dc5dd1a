"""Every setting has a range, and what lies outside of it is refused with what to give instead."""

import math
import re
from dataclasses import fields, replace

import pytest

from command_line import parse
from simsiam_tf.errors import InputError
from simsiam_tf.settings import files
from simsiam_tf.settings.augmentation import RecipeSettings
from simsiam_tf.settings.backbones import BACKBONES
from simsiam_tf.settings.data import PLACES
from simsiam_tf.settings.methods import METHODS, MethodSettings
from simsiam_tf.settings.optimizers import OPTIMIZERS
from simsiam_tf.settings.schema import Config, SGDSettings

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
    "data.service": ("a\nb", "text or null"),
    "data.order": ("shuffled", "epochs or single_pass or accumulate or last or hybrid"),
    "data.chunks": (0, "a whole number 1 or more or null"),
    "data.rounds": (0, "a whole number 1 or more"),
    "data.switch_epoch": (0, "a whole number 1 or more or null"),
    "data.repeat_batch": (0, "a whole number 1 or more"),
    "data.permutation": ("a\nb", "text or null"),
    "augmentation.view_sizes": ([24, 0], "a list of each a whole number 1 or more"),
    "augmentation.views": ("[{width: 3}]", "an option of simsiam-tf train --help"),
    "backbone.name": ("vgg", "one of resnet18.*"),
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
    "monitor.spectrum_epochs": (-1, "a whole number 0 or more"),
    "monitor.stop_on_collapse": ("perhaps", "true or false"),
    "monitor.tensorboard": ("perhaps", "true or false"),
    "monitor.carbon_intensity": (-1, "a number 0 or more or null"),
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
CHOICES += [("backbone", each) for each in dict.fromkeys(BACKBONES.values())]
CHOICES += [("method", each) for each in METHODS.values()] + [("optimizer", each) for each in OPTIMIZERS.values()]


@pytest.mark.parametrize(("section", "settings"), CHOICES, ids=lambda value: getattr(value, "__name__", value))
def test_every_setting_of_a_recipe_and_of_every_method_and_optimizer_has_a_range(section, settings):
    chosen = [f"--{section}.name={settings.name}"] if hasattr(settings, "name") else []
    for each in fields(settings):
        odd = ("perhaps", math.nan) if isinstance(each.default, bool | str) else (-1, math.nan, "perhaps")
        for value in ("a\nb",) if each.type == "str | None" else odd:
            shown = re.escape(repr(value) if value == "a\nb" else str(value))
            with pytest.raises(InputError, match=f"^{section}.{each.name}: {shown} is no value of it; give "):
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
