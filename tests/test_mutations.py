"""The step-parity check must notice each known mistake of a SimSiam port; here the mistakes are made, one at a time."""

import keras
import pytest
import tensorflow as tf

from parity import Case, Twins, assert_close
from simsiam_tf import methods, optimizers
from simsiam_tf.networks import heads, layers
from simsiam_tf.networks import resnet as backbones
from simsiam_tf.optimizers import groups


def decoupled_decay(patch):
    """Keras's weight decay: outside the gradient and its momentum."""
    step = optimizers.SGD.update_step

    def without_decay(self, *arguments):
        decay, self.weight_decay = self.weight_decay, None
        step(self, *arguments)
        self.weight_decay = decay

    patch.setattr(optimizers.SGD, "update_step", without_decay)
    patch.setattr(optimizers.SGD, "_apply_weight_decay", keras.optimizers.Optimizer._apply_weight_decay)


def same_padding(patch):
    """Keras's "same" at stride 2."""

    def conv(inputs, filters, kernel_size, stride, name, seed, initializer=layers.kaiming_normal):
        layer = keras.layers.Conv2D(filters, kernel_size, stride, "same", use_bias=False, name=name)
        return layer(inputs)

    patch.setattr(backbones, "conv", conv)


def batch_norm_defaults(momentum, epsilon):
    return lambda patch: patch.setattr(layers.BatchNorm.__init__, "__defaults__", (momentum, epsilon, False, False))


def affine_output_norm(patch):
    """Scale and offset on the projector's output, which the oracle must not have: they start at 1 and 0."""
    patch.setitem(heads.OUTPUT_NORMS, "plain", {})
    variables = Twins.variables

    def without_affine(self, model=None):
        last = (model or self.ours).projector.stages[-1]
        return [v for v in variables(self, model) if not any(v is w for w in (last.gamma, last.beta))]

    patch.setattr(Twins, "variables", without_affine)


def fused_views(patch):
    """Both views through the network as one batch, whose statistics BatchNorm then shares."""

    def forward(self, views, training=True):
        features = self.backbone(tf.concat(views, 0), training=training)
        z = self.projector(features, training=training)
        p = self.predictor(z, training=training)
        return {name: tf.split(both, 2) for name, both in {"features": features, "z": z, "p": p}.items()}

    patch.setattr(methods.SimSiam, "forward", forward)


def decayed_predictor_rate(patch):
    patch.setattr(groups, "Constant", lambda rate: optimizers.EpochCosine(rate, 2, 6))


def no_decay_on_batch_norm(patch):
    """SimCLR's habit."""
    step = optimizers.SGD.update_step

    def selective(self, gradient, variable, rate):
        decay, self.weight_decay = self.weight_decay, 0.0 if "bn" in variable.name else self.weight_decay
        step(self, gradient, variable, rate)
        self.weight_decay = decay

    patch.setattr(optimizers.SGD, "update_step", selective)


def biased_variance(patch):
    """Keras's moving variance, without n / (n - 1)."""
    explicit = layers.BatchNorm._explicit

    def biased(self, inputs, training):
        outputs, mean, variance = explicit(self, inputs, training)
        n = tf.size(inputs) // inputs.shape[-1]
        return outputs, mean, variance * tf.cast((n - 1) / n, variance.dtype) if training else variance

    patch.setattr(layers.BatchNorm, "_explicit", biased)


def kerass_momentum(patch):
    """The rate inside the velocity, as in Keras's SGD: another update wherever the rate moves."""

    def update_step(self, gradient, variable, rate):
        rate = tf.cast(rate, variable.dtype)
        velocity = self.velocities[self._get_variable_index(variable)]
        velocity.assign(velocity * self.momentum + rate * (gradient + self.weight_decay * variable))
        variable.assign_sub(velocity)

    patch.setattr(optimizers.SGD, "update_step", update_step)


def own_projection_as_target(patch):
    objective = methods.SimSiam.objective

    def swapped(self, outputs, batch=None):
        return objective(self, outputs | {"z": outputs["z"][::-1]}, batch)

    patch.setattr(methods.SimSiam, "objective", swapped)


def no_stop_gradient(patch):
    init = methods.SimSiam.__init__
    patch.setattr(methods.SimSiam, "__init__", lambda self, *a, **k: init(self, *a, **(k | {"stop_gradient": False})))


MUTATIONS = {
    "decoupled decay": decoupled_decay,
    "same padding": same_padding,
    "BatchNorm momentum 0.99": batch_norm_defaults(0.99, 1e-5),
    "BatchNorm epsilon 1e-3": batch_norm_defaults(0.9, 1e-3),
    "affine output BatchNorm": affine_output_norm,
    "fused views": fused_views,
    "decayed predictor rate": decayed_predictor_rate,
    "no decay on BatchNorm": no_decay_on_batch_norm,
    "biased moving variance": biased_variance,
    "Keras's momentum": kerass_momentum,
    "own projection as target": own_projection_as_target,
    "no stop-gradient": no_stop_gradient,
}


@pytest.mark.parametrize("mutate", MUTATIONS.values(), ids=MUTATIONS.keys())
def test_parity_fails_under(mutate, monkeypatch):
    mutate(monkeypatch)
    with pytest.raises(AssertionError, match="relative error"):
        follow(Twins(Case(), "float64"), steps=10)


def test_parity_holds_without_a_mutation():
    follow(Twins(Case(), "float64"), steps=10)


def follow(twins, steps):
    """Compare after every step."""
    for _ in range(steps):
        assert_close(*twins.run(1).weights(), bound=1e-9)
