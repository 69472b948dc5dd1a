"""The augmentation's products in the program that XLA compiles: float32 in a run of the command, on a GPU, too."""

import pytest
import tensorflow as tf

from command_line import parse
from simsiam_tf import recipe
from simsiam_tf.runs.build import prepare_process

enabled = tf.config.experimental.tensor_float_32_execution_enabled
enable = tf.config.experimental.enable_tensor_float_32_execution


@pytest.fixture(autouse=True)
def as_before():
    before = enabled()
    yield
    enable(before)


def products(name):
    """(all products, those in full precision) of the compiled augmentation of 48 px to 32 px."""
    augmenter = recipe(name, image_size=32)
    compiled = tf.function(lambda images: augmenter(images, seed=(1, 2)), jit_compile=True)
    program = compiled.experimental_get_compiler_ir(tf.zeros((4, 48, 48, 3), tf.uint8))(stage="hlo")
    dots = [line for line in program.splitlines() if " dot(" in line]
    return len(dots), sum("operand_precision={highest,highest}" in line for line in dots)


@pytest.mark.parametrize("name", ["cifar10", "imagenet"])
def test_all_products_are_float32_in_a_run(name):
    enable(True)
    found, full = products(name)
    assert found >= 6  # two for each colour
    assert full == 0
    prepare_process(parse("--config", "digits"))
    assert products(name) == (found, found)
