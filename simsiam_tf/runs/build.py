"""From a Config to data, networks and optimizer: where configuration meets the plain arguments of models."""

import math
from dataclasses import asdict

import keras
import tensorflow as tf

from simsiam_tf import augment, data, networks
from simsiam_tf.callbacks import CollapseMonitor
from simsiam_tf.cuda import trains_compiled
from simsiam_tf.errors import InputError
from simsiam_tf.methods import METHODS
from simsiam_tf.networks.layers import BatchNorm
from simsiam_tf.optimizers import check_groups, make_optimizer
from simsiam_tf.settings.data import IN_EPOCHS
from simsiam_tf.settings.schema import Config

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def has_gpu() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))


def is_deterministic(config: Config) -> bool:
    wanted = config.training.deterministic
    return not has_gpu() if wanted == "auto" else wanted


def prepare_process(config: Config) -> str:
    """Seed, deterministic ops and precision policy of this process; returns the precision in use.

    float32 is float32: in TF32, TensorFlow's default on recent GPUs, the augmentation's products would have some pixels
    off by up to 8 levels. What is large is bfloat16 there, unless float32 was asked for.
    """
    tf.config.experimental.enable_tensor_float_32_execution(False)
    keras.utils.set_random_seed(config.seed)
    if is_deterministic(config):
        # keras-cv's layers take this generator when they are made, seeded or not; ours never draw from it.
        tf.random.set_global_generator(tf.random.Generator.from_seed(config.seed))
        tf.config.experimental.enable_op_determinism()
    precision = config.training.precision
    if precision == "auto":
        precision = "bfloat16" if has_gpu() else "float32"
    keras.config.set_dtype_policy(POLICIES[precision])
    return precision


def load_data(config: Config, views: bool = True) -> data.Splits:
    """Training and test images, these for evaluation alone, and those, too, without `views`; raises as `data.load`."""
    of_images = {key: value for key, value in asdict(config.data).items() if key not in IN_EPOCHS}
    return data.load(**of_images, split=config.evaluation.split, seed=config.seed, views=views)


def load_images(config: Config, where: str) -> data.ImageSet:
    """Images to embed: "train" or "test" of the run's own data, an image folder, or an .npz or .npy file.

    Raises:
        InputError: there is nothing of the kind.
    """
    d = config.data
    if where in ("train", "test"):
        images = getattr(load_data(config, views=False), where)
        if images is None:
            raise InputError(f"data: the run has no {where} images; give a folder or an array file")
        return images
    source = "arrays" if where.endswith((".npz", ".npy")) else "folder"
    return data.load(
        source,
        path=where,
        image_size=d.image_size,
        store_size=d.store_size,
        memory_limit_gb=d.memory_limit_gb,
        train_split="",  # a folder with sub-folders train and test is one set here
        views=False,
    ).train


def view_stages(config: Config) -> list[tuple[int, int]]:
    """(epoch at which it ends, side of the views) for each part of training; the last one ends with training."""
    sizes, epochs = config.augmentation.view_sizes or (config.data.image_size,), config.optimizer.epochs
    return [(epochs * (i + 1) // len(sizes), size) for i, size in enumerate(sizes)]


def view_size(config: Config, epoch: int) -> int:
    """Side of the views in this epoch."""
    return next(size for end, size in view_stages(config) if epoch < end)


def build_augmenter(config: Config, image_size: int | None = None):
    """What draws the views: one augmenter where all are alike, else a list with one for each view.

    Args:
        image_size: Side of the views that have none of their own; default: data.image_size.
    """
    a, side = config.augmentation, image_size or config.data.image_size
    if not a.views:
        return augment.recipe(**{"name": "none", "image_size": side} | a.values())
    augmenters = []
    for view in a.views:
        values = {"name": "none", "image_size": view.size or side} | a.values() | view.values()
        augmenters += [augment.recipe(**values)] * view.count
    return augmenters[:1] if config.method.num_views == 1 else augmenters


def build_backbone(config: Config) -> keras.Model:
    """The freshly initialised encoder; the same seed gives the same weights."""
    return networks.build(**config.backbone.arguments(config.data.image_size), seed=config.seed)


def build_method(
    config: Config,
    steps_per_epoch: int | None = None,
    num_images: int | None = None,
    num_classes: int | None = None,
    teacher: keras.Model | None = None,
):
    """The method with backbone and heads, not compiled.

    Args:
        steps_per_epoch: For schedules; a method that is only read needs none.
        num_images: Training images, for methods that keep something for each; likewise.
        num_classes: Classes of the labels, for methods that learn from these.
        teacher: What `method.teacher` names, for methods that learn from one.
    """
    m = config.method
    arguments = m.arguments() | ({} if teacher is None else {"teacher": teacher})
    method = METHODS[m.name](
        build_backbone(config),
        build_augmenter(config),
        **arguments,
        seed=config.seed,
        total_steps=steps_per_epoch and config.optimizer.epochs * steps_per_epoch,
        steps_per_epoch=steps_per_epoch,
        num_images=num_images,
        num_classes=num_classes,
        micro_batches=config.training.micro_batches,
        name=m.name,
    )
    for layer in method._flatten_layers():
        if isinstance(layer, BatchNorm):
            layer.synchronized = config.training.sync_batch_norm
    return method


def compile_method(model, config: Config, steps_per_epoch: int) -> None:
    """Give the method its optimizers, built, with each group's variables under its own."""
    optimizer = make_optimizer(model, steps_per_epoch, **asdict(config.optimizer))
    t = config.training
    jit = t.jit_compile
    if jit == "auto":  # on several devices only when asked for: not seen on GPUs yet
        jit = t.distribution == "none" and has_gpu() and not is_deterministic(config)
    jit = jit and trains_compiled()
    model.compile(
        optimizer=optimizer, jit_compile=jit, steps_per_execution=steps_per_execution(config, steps_per_epoch)
    )
    model.optimizer.build(model.trainable_variables)
    check_groups(model)


def steps_per_execution(config: Config, steps: int) -> int:
    """Steps per call from Python in a `fit` of so many steps an epoch, whose last call may have fewer.

    "auto" makes as few calls of at most 100 steps as it takes, and of like length. It leaves the collapse monitor its
    looks, which it can have between two calls only.
    """
    wanted = config.training.steps_per_execution
    if wanted != "auto":
        return min(wanted, steps)
    if not has_gpu():
        return 1
    most = max(1, min(100, steps // CollapseMonitor.looks_in_epoch(config.optimizer.epochs)))
    return math.ceil(steps / math.ceil(steps / most))
