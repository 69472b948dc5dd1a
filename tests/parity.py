"""Trains the package's SimSiam and the PyTorch oracle side by side, from the same weights on the same views."""

from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf
import torch

import oracle
from simsiam_tf import methods, optimizers
from simsiam_tf.augment import recipe
from simsiam_tf.networks import resnet as backbones

MEAN, STD = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2470, 0.2435, 0.2616])
STEPS_PER_EPOCH, EPOCHS = 2, 6


@dataclass(frozen=True)
class Case:
    """One experiment, told to both sides in their own words.

    Args:
        ours: arguments of `methods.SimSiam`; oracle: those of `oracle.SimSiam`.
        ours_schedule: settings of `make_optimizer`; oracle_schedule: arguments of `oracle.set_rates`.
    """

    backbone: str = "resnet18"
    stem: str = "cifar"
    width: int = 8
    image_size: int = 16
    n: int = 16
    ours: dict = field(default_factory=dict)
    oracle: dict = field(default_factory=dict)
    ours_schedule: dict = field(default_factory=dict)
    oracle_schedule: dict = field(default_factory=dict)
    stop_gradient: bool = True
    dim: int = 32
    predictor_hidden: int = 8
    base_rate: float = 0.03


class Twins:
    """Both sides of a case in `dtype`, "float32" or "float64", and what they computed, step by step.

    losses, gradients: pairs (ours, oracle's), a pair for each step; gradients only where `eager`.
    """

    def __init__(self, case, dtype, eager=True):
        keras.config.set_dtype_policy(dtype)
        self.case, self.dtype = case, dtype
        self.losses, self.gradients = [], []
        self.ours = self._ours(case)
        self.oracle = oracle.SimSiam(
            case.backbone, case.stem, case.width, dim=case.dim, predictor_hidden=case.predictor_hidden, **case.oracle
        ).to(getattr(torch, dtype))
        oracle.to_torch(oracle.keras_arrays(self.variables()), self.oracle)
        self.rate = case.base_rate * case.n / 256
        decay = case.ours.get("predictor_weight_decay")
        self.sgd = oracle.optimizer(self.oracle, self.rate, predictor_weight_decay=decay)
        self.train_step = self._recorded if eager else tf.function(self.ours.train_step)
        self.images = patchwork(case.n, case.image_size)

    def _ours(self, case):
        backbone = backbones.build(case.backbone, stem=case.stem, width=case.width)
        # Crops and flips only: what the views are does not matter here, and these compile in a second.
        augmenter = recipe("none", image_size=case.image_size, min_area=0.3, flip=0.5)
        sizes = {"projection_dim": case.dim, "predictor_hidden": case.predictor_hidden}
        model = methods.SimSiam(backbone, augmenter, stop_gradient=case.stop_gradient, **sizes, **case.ours)
        settings = {"learning_rate": case.base_rate, "batch_size": case.n, "epochs": EPOCHS, "weight_decay": 5e-4}
        optimizer = optimizers.make_optimizer(model, STEPS_PER_EPOCH, **settings | case.ours_schedule)
        model.compile(optimizer, jit_compile=False)
        model.optimizer.build(model.trainable_variables)
        generator = np.random.default_rng(0)
        for variable in self.variables(model):
            # Zeros and ones would hide a scale or an offset that is missing. The blocks' last scales stay small, as in
            # training: a deep random network multiplies rounding errors tenfold at every step.
            if variable.ndim == 1:
                variable.assign(variable + generator.uniform(-0.1, 0.1, variable.shape))
        return model

    def variables(self, model=None):
        """Weights and BatchNorm statistics of our networks, without the step counter."""
        model = model or self.ours
        parts = [model.backbone, model.projector, model.predictor]
        return [variable for part in parts if part is not None for variable in part.variables]

    def _recorded(self, images):
        """train_step as it is, noting the loss that `objective` gives and the gradients that the optimizer gets."""
        model, noted = self.ours, {}
        objective, apply = model.objective, model.optimizer.apply
        model.objective = lambda outputs, batch: noted.setdefault("loss", objective(outputs, batch))
        model.optimizer.apply = lambda g, v: (noted.update(gradients=oracle.keras_arrays(v, g)), apply(g, v))
        try:
            model.train_step(images)
        finally:
            model.objective, model.optimizer.apply = objective, apply
        return noted

    def views(self, step):
        """Our views of a step, as the oracle wants them: normalised, channels first."""
        views = [np.asarray(view, "float64") for view in self.ours.draw_views(self.images, step)]
        normalised = [((view / 255 - MEAN) / STD).transpose(0, 3, 1, 2) for view in views]
        return [torch.tensor(view, dtype=getattr(torch, self.dtype)) for view in normalised]

    def run(self, steps):
        for step in range(len(self.losses), len(self.losses) + steps):
            noted = self.train_step(tf.constant(self.images))
            oracle.set_rates(self.sgd, step, self.rate, STEPS_PER_EPOCH, EPOCHS, **self.case.oracle_schedule)
            loss = oracle.train_step(self.oracle, self.sgd, *self.views(step), stop_gradient=self.case.stop_gradient)
            self.losses.append((float(noted["loss"]), loss))
            if "gradients" in noted:
                theirs = {name: p.grad.numpy().copy() for name, p in self.oracle.named_parameters()}
                self.gradients.append((noted["gradients"], theirs))
        return self

    def features(self):
        """Our features of the images in inference mode, and the oracle's."""
        self.oracle.eval()
        view = self.images.astype("float64")
        theirs = torch.tensor(((view / 255 - MEAN) / STD).transpose(0, 3, 1, 2), dtype=getattr(torch, self.dtype))
        with torch.no_grad():
            return self.ours(self.images).numpy(), self.oracle.encoder.features(theirs).numpy()

    def weights(self):
        """{name: array} of both sides, BatchNorm's statistics included."""
        state = {k: v.numpy() for k, v in self.oracle.state_dict().items() if not k.endswith("num_batches_tracked")}
        return oracle.keras_arrays(self.variables()), state


def patchwork(n, size):
    """Images of four coloured squares. Images more alike, such as noise, have features so alike that BatchNorm blows up
    rounding errors tenfold at every step, in PyTorch, too."""
    squares = np.random.default_rng(1).integers(0, 256, (n, 2, 2, 3), np.uint8)
    return squares.repeat(size // 2, axis=1).repeat(size // 2, axis=2)


def relative_error(ours, theirs):
    """Largest difference of two arrays, relative to the largest entry."""
    ours, theirs = np.asarray(ours, "float64"), np.asarray(theirs, "float64")
    assert ours.shape == theirs.shape
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def assert_close(ours, theirs, bound, zero=0.0):
    """Every array of a dict agrees with its namesake to a relative error; the worst one is named.

    An array below `zero` times the largest entry of all is held to that size: gradients that are 0 but for rounding.
    """
    assert ours.keys() == theirs.keys()
    floor = zero * max(np.abs(array).max() for array in theirs.values())
    errors = {name: np.abs(ours[name] - theirs[name]).max() / max(np.abs(theirs[name]).max(), floor) for name in theirs}
    worst = max(errors, key=lambda name: (np.isnan(errors[name]), errors[name]))
    assert errors[worst] <= bound, f"{worst}: relative error {errors[worst]:.2g}, allowed {bound:g}"
