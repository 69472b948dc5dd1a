"""Trains a method that has a moving target beside its PyTorch oracle, from the same weights on the same views."""

import keras
import numpy as np
import tensorflow as tf
import torch

from oracle.carry import SUFFIX, torch_name
from parity import MEAN, STD, patchwork
from simsiam_tf import METHODS, make_optimizer, networks
from simsiam_tf.augment import recipe

WIDTH, SIZE, N, STEPS_PER_EPOCH, EPOCHS = 4, 16, 16, 3, 4
AXES = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}


def make_method(name, dtype="float64", optimizer=None, **settings):
    """Ours in a dtype, compiled; its vectors moved off zero and one, which would hide a missing scale or offset."""
    keras.config.set_dtype_policy(dtype)
    augmenter = recipe("none", image_size=SIZE, min_area=0.3, flip=0.5)
    backbone = networks.build("resnet18", width=WIDTH)
    generator = np.random.default_rng(0)
    for variable in backbone.trainable_variables:
        if variable.ndim == 1:
            variable.assign(variable + generator.uniform(-0.1, 0.1, variable.shape))
    model = METHODS[name](backbone, augmenter, total_steps=STEPS_PER_EPOCH * EPOCHS, **settings)
    options = {"learning_rate": 0.03, "batch_size": N, "epochs": EPOCHS, "weight_decay": 5e-4} | (optimizer or {})
    model.compile(make_optimizer(model, STEPS_PER_EPOCH, **options), jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


def arrays(**networks):
    """{oracle name: array} of networks, each a list of a backbone and perhaps its head `fc`, or a head alone."""
    found = {}
    for prefix, (*backbones, head) in networks.items():
        for backbone in backbones:
            for v in backbone.variables:
                found[torch_name(v.path).replace("encoder.", f"{prefix}.", 1)] = v.numpy()
        inner = f"{prefix}.fc" if backbones else prefix
        for place, stage in enumerate(head.stages):
            for v in stage.variables:
                found[f"{inner}.{place}.{SUFFIX[v.name]}"] = v.numpy()
    return {name: array.transpose(AXES[array.ndim]) for name, array in found.items()}


def load(oracle_model, values):
    """Give the oracle our weights; nothing may be missing or left over."""
    counters = {k: v for k, v in oracle_model.state_dict().items() if k.endswith("num_batches_tracked")}
    oracle_model.load_state_dict({k: torch.tensor(v.copy()) for k, v in values.items()} | counters)


def state(oracle_model):
    return {k: v.numpy() for k, v in oracle_model.state_dict().items() if not k.endswith("num_batches_tracked")}


def views(model, step, images=None):
    """Our views of a step, as the oracle wants them: normalised, channels first."""
    drawn = model.draw_views(patchwork(N, SIZE) if images is None else images, step)
    normalised = [((np.asarray(view, "float64") / 255 - MEAN) / STD).transpose(0, 3, 1, 2) for view in drawn]
    return [torch.tensor(view) for view in normalised]


def step_and_loss(model, rows=None):
    """One `train_step` as it is, with row numbers if the method reads them; the loss that its objective gave."""
    images = tf.constant(patchwork(N, SIZE))
    noted, objective = [], model.objective
    model.objective = lambda outputs, batch: noted.append(objective(outputs, batch)) or noted[-1]
    try:
        model.train_step(images if rows is None else {"images": images, "rows": tf.constant(rows)})
    finally:
        model.objective = objective
    return float(noted[0])


def set_rate(optimizer, step, rate):
    """Cosine over the epoch index."""
    for group in optimizer.param_groups:
        group["lr"] = rate * 0.5 * (1 + np.cos(np.pi * (step // STEPS_PER_EPOCH) / EPOCHS))
