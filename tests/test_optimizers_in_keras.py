"""SimSiam's optimizer inside Keras: routing, saving with state, mixed precision, overflow."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf import optimizers

# Keras saves its variables through np.array(variable), which NumPy 2 comments on.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


class Model(keras.Model):
    """A linear map and a linear predictor with a custom step, as small as it can be and still have two groups."""

    def __init__(self, predictor_ratio=1.0, **kwargs):
        super().__init__(**kwargs)
        self.predictor_ratio = predictor_ratio
        self.encoder = keras.layers.Dense(3, name="encoder", kernel_initializer="ones")
        self.predictor = Head(name="predictor")
        self.loss_tracker = keras.metrics.Mean(name="loss")

    def build(self, input_shape):
        self.encoder.build(input_shape)
        self.predictor.build((None, 3))

    def groups(self):
        predictor = optimizers.Group("predictor", (self.predictor,), self.predictor_ratio, "constant")
        return [optimizers.Group("encoder"), predictor]

    def call(self, inputs, training=None):
        return self.predictor(self.encoder(inputs))

    def train_step(self, images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.cast(self(images, training=True), "float32") - 1))
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.loss_tracker.update_state(loss)
        return {"loss": self.loss_tracker.result()}


class Head(keras.layers.Layer):
    def build(self, input_shape):
        self.dense = keras.layers.Dense(2, dtype=self.dtype_policy, kernel_initializer="ones", name="dense")
        self.dense.build(input_shape)

    def call(self, inputs):
        return self.dense(inputs)


def batch(scale=1.0):
    """With these few and small numbers the first float16 step, scaled by 2 ** 15, does not overflow."""
    return (np.arange(32, dtype="float32").reshape(8, 4) / 320 * scale).astype("float32")


def compiled(model, jit_compile=False, **overrides):
    settings = {"learning_rate": 0.05, "batch_size": 256, "epochs": 4, "weight_decay": 0.01} | overrides
    model.compile(optimizer=optimizers.make_optimizer(model, 2, **settings), jit_compile=jit_compile)
    return model


def saved_and_loaded(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return keras.saving.load_model(tmp_path / "model.keras", custom_objects={"Model": Model, "Head": Head})


def weights(model):
    return [v.numpy() for v in model.variables]


def state(optimizer):
    return [v.numpy() for v in optimizer.variables]


def test_routing_and_update():
    model = compiled(Model(predictor_ratio=0.0))
    model.fit(batch(), batch_size=8, epochs=1, verbose=0)
    assert optimizers.variable_counts(model.optimizer) == {"predictor": 2, "encoder": 2}
    optimizers.check_groups(model)
    np.testing.assert_array_equal(model.predictor.dense.kernel, np.ones((3, 2)))
    assert np.abs(model.encoder.kernel.numpy() - 1).max() > 1e-4
    assert int(model.optimizer.iterations) == 1


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_trains_and_continues_identically_after_reload(policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    model = compiled(Model(), learning_rate=0.02)
    history = model.fit(batch(), batch_size=4, epochs=2, verbose=0, shuffle=False).history["loss"]
    assert history[1] < history[0]

    copy = saved_and_loaded(model, tmp_path)
    for ours, theirs in zip(state(model.optimizer), state(copy.optimizer), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert int(copy.optimizer.iterations) == 4
    assert optimizers.variable_counts(copy.optimizer) == {"predictor": 2, "encoder": 2}
    for either in (model, copy):
        either.fit(batch(), batch_size=4, epochs=1, verbose=0, shuffle=False)
    for ours, theirs in zip(weights(model), weights(copy), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert optimizers.learning_rates(model.optimizer) == optimizers.learning_rates(copy.optimizer)
    assert optimizers.learning_rates(copy.optimizer)["learning_rate"] == pytest.approx(
        0.02 * 0.5 * (1 + math.cos(math.pi * 3 / 4))
    )


@pytest.mark.parametrize("jit_compile", [False, True])
def test_float16_overflow_skips_the_step(jit_compile):
    keras.config.set_dtype_policy("mixed_float16")
    model = compiled(Model(), jit_compile)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    model.fit(batch(), batch_size=8, epochs=1, verbose=0)
    before, optimizer_before = weights(model), state(model.optimizer.inner_optimizer)
    scale = float(model.optimizer.dynamic_scale)

    model.fit(batch(scale=1e6), batch_size=8, epochs=1, verbose=0)
    for old, new in zip(before[:4], weights(model)[:4], strict=True):
        np.testing.assert_array_equal(old, new)
    for old, new in zip(optimizer_before, state(model.optimizer.inner_optimizer), strict=True):
        np.testing.assert_array_equal(old, new)
    assert float(model.optimizer.dynamic_scale) == scale / 2
    # A skipped step is no step: neither the schedules nor `iterations` move.
    assert int(model.optimizer.iterations) == 1

    model.fit(batch(), batch_size=8, epochs=1, verbose=0)
    assert int(model.optimizer.iterations) == 2
    assert np.abs(model.encoder.kernel.numpy() - before[0]).max() > 0
