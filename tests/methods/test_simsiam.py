"""SimSiam's objective, step and contract, against numbers worked out here."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf import SimSiam, make_optimizer, recipe
from simsiam_tf.optimizers import SGD, variable_counts


def weights(model):
    return [np.array(v) for v in model.variables]


def test_each_prediction_meets_the_projection_of_the_other_view(small_model):
    a, b = tf.constant([[1.0, 0.0]]), tf.constant([[0.0, 2.0]])
    model = small_model(compiled=False)
    assert float(model.objective({"p": [a, b], "z": [b, a]})) == -1.0
    assert float(model.objective({"p": [a, b], "z": [a, b]})) == 0.0
    assert float(model.objective({"p": [a, b], "z": [-b, a]})) == 0.0  # halves: one term -1, one +1


def test_with_four_views_each_prediction_meets_the_mean_of_the_others(small_model):
    generator = np.random.default_rng(2)
    p, z = generator.normal(size=(2, 4, 6, 16))
    cosines = []
    for i in range(4):
        target = (z.sum(axis=0) - z[i]) / 3
        norms = np.linalg.norm(p[i], axis=1) * np.linalg.norm(target, axis=1)
        cosines.append(((p[i] * target).sum(axis=1) / norms).mean())
    model = small_model(compiled=False, num_views=4)
    assert float(model.objective({"p": list(p), "z": list(z)})) == pytest.approx(-np.mean(cosines), abs=1e-12)


def test_similarity_may_be_the_cross_entropy_of_softmaxes(small_model):
    p, z = np.random.default_rng(3).normal(size=(2, 2, 5, 16))
    log_softmax = [each - np.log(np.exp(each).sum(axis=1, keepdims=True)) for each in p]
    softmax = [np.exp(each) / np.exp(each).sum(axis=1, keepdims=True) for each in z]
    expected = -((softmax[1] * log_softmax[0]).sum(axis=1) + (softmax[0] * log_softmax[1]).sum(axis=1)).mean() / 2
    model = small_model(compiled=False, similarity="cross_entropy")
    assert float(model.objective({"p": list(p), "z": list(z)})) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("pairs", [1, 2])
def test_asymmetric_the_first_of_each_pair_predicts_the_second(small_model, images, pairs):
    model = small_model(symmetric=False, num_views=2 * pairs)
    outputs = model.forward(model.draw_views(images[:8], 0))
    assert (len(outputs["z"]), len(outputs["p"])) == (2 * pairs, pairs)
    cosines = []
    for i in range(pairs):
        p, z = model.predictor(outputs["z"][2 * i], training=True).numpy(), outputs["z"][2 * i + 1].numpy()
        cosines.append(((p * z).sum(axis=1) / np.linalg.norm(p, axis=1) / np.linalg.norm(z, axis=1)).mean())
    assert float(model.objective(outputs)) == pytest.approx(-np.mean(cosines), abs=1e-6)


def test_without_predictor_the_symmetric_loss_has_half_the_gradient(small_model):
    """Of D(z1, z2) without stop-gradient: each view's is that of one of its two equal halves (sec. 4.2)."""
    z = [tf.constant(array) for array in np.random.default_rng(4).normal(size=(2, 6, 16))]
    gradients = {}
    for stop_gradient in (True, False):
        model = small_model(compiled=False, predictor="none", stop_gradient=stop_gradient)
        with tf.GradientTape() as tape:
            tape.watch(z)
            loss = model.objective({"p": z, "z": z})
        gradients[stop_gradient] = [each.numpy() for each in tape.gradient(loss, z)]
    for half, whole in zip(gradients[True], gradients[False], strict=True):
        np.testing.assert_allclose(2 * half, whole, rtol=1e-12, atol=1e-15)
        assert np.abs(whole).max() > 1e-3


@pytest.mark.parametrize("pairs", [1, 2])
def test_without_predictor_the_asymmetric_loss_draws_the_first_view_alone(small_model, pairs):
    """The gradient of -cos(z1, z2) in z1 is -(u2 - cos u1) / |z1|, u1 and u2 of length 1; z2 gets none (eq. 3)."""
    z = [tf.constant(array) for array in np.random.default_rng(5).normal(size=(2 * pairs, 6, 16))]
    model = small_model(compiled=False, predictor="none", symmetric=False, num_views=2 * pairs)
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = model.objective({"p": model.predicted(z[::2], training=True), "z": z})
    gradients = tape.gradient(loss, z)
    for i in range(0, 2 * pairs, 2):
        norm = np.linalg.norm(z[i], axis=1, keepdims=True)
        u1, u2 = z[i] / norm, z[i + 1] / np.linalg.norm(z[i + 1], axis=1, keepdims=True)
        cosine = np.sum(u1 * u2, axis=1, keepdims=True)
        np.testing.assert_allclose(gradients[i], -(u2 - cosine * u1) / norm / 6 / pairs, rtol=1e-10, atol=1e-14)
        assert gradients[i + 1] is None


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_targets_get_a_gradient_only_without_stop_gradient(small_model, stop_gradient):
    model = small_model(compiled=False, stop_gradient=stop_gradient)
    generator = np.random.default_rng(1)
    p, z = [[tf.Variable(generator.normal(size=(4, 16))) for _ in range(2)] for _ in range(2)]
    with tf.GradientTape() as tape:
        loss = model.objective({"p": p, "z": z})
    gradients = tape.gradient(loss, [*p, *z])
    assert all(g is not None and np.abs(g).max() > 0 for g in gradients[:2])
    assert all((g is None) == stop_gradient for g in gradients[2:])


@pytest.mark.parametrize("symmetric", [True, False])
def test_without_predictor_the_projections_are_the_predictions(small_model, images, symmetric):
    model = small_model(predictor="none", symmetric=symmetric)
    outputs = model.forward(model.draw_views(images[:8], 0))
    assert outputs["p"][0] is outputs["z"][0]
    assert len(outputs["p"]) == 1 + symmetric
    assert variable_counts_after_build(model) == {"encoder": len(model.trainable_variables)}
    assert isinstance(model.optimizer, SGD)


def variable_counts_after_build(model):
    model.optimizer.build(model.trainable_variables)
    return variable_counts(model.optimizer)


def test_the_predictor_has_an_optimizer_of_its_own(small_model):
    model = small_model()
    # two kernels, scale and offset of one BatchNorm, one bias
    assert variable_counts_after_build(model)["predictor"] == 5
    assert variable_counts_after_build(model)["encoder"] == len(model.trainable_variables) - 5


def test_views_pass_through_the_network_one_after_the_other(small_model, images):
    """BatchNorm must see each view alone: its moving mean is that of two updates by two single views."""
    model = small_model()
    x1, x2 = (view.numpy() for view in model.draw_views(images[:16], 0))
    conv = keras.Model(model.backbone.input, model.backbone.get_layer("conv1").output)
    means = [conv(x).numpy().mean(axis=(0, 1, 2)) for x in (x1, x2)]
    model.forward([tf.constant(x1), tf.constant(x2)], training=True)
    expected = 0.9 * (0.1 * means[0]) + 0.1 * means[1]
    np.testing.assert_allclose(model.backbone.get_layer("bn1").moving_mean, expected, rtol=1e-4, atol=1e-6)


def test_one_step_is_the_hand_made_step(small_model, images):
    """train_step = draw views, gradients of the objective, v = wd w + g, w -= lr v, all variables."""
    model, twin = small_model(), small_model()
    batch = tf.constant(images[:16])
    model.train_step(batch)
    with tf.GradientTape() as tape:
        loss = twin.objective(twin.forward(twin.draw_views(batch, 0)))
    variables = twin.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        variable.assign_sub(0.5 * 16 / 256 * (gradient + 5e-4 * variable))
    for ours, by_hand in zip(model.trainable_variables, variables, strict=True):
        np.testing.assert_allclose(ours, by_hand, rtol=1e-5, atol=1e-7, err_msg=ours.path)
    assert int(model.step) == 1


def test_objective_and_after_step_are_given_the_whole_batch(small_backbone, images):
    given = []

    class Noting(SimSiam):
        def objective(self, outputs, batch=None):
            given.append(batch)
            return super().objective(outputs, batch)

        def after_step(self, outputs, batch):
            given.append(batch)
            assert int(self.step) == 0  # it is still this step's

    model = Noting(small_backbone(), recipe("none", image_size=12), projection_dim=16)
    model.compile(make_optimizer(model, 4, epochs=2))
    parts, labels, rows = tf.constant(images[:16]), tf.range(16), tf.range(16, 32)
    for data, expected in (
        (parts, (parts, None, None)),
        ((parts, labels), (parts, labels, None)),
        ({"images": parts, "rows": rows}, (parts, None, rows)),
        (({"images": parts, "rows": rows}, labels), (parts, labels, rows)),
    ):
        model.step.assign(0)
        model.train_step(data)
        assert len(given) == 2
        for batch in given:
            assert (batch.images, batch.labels, batch.rows) == expected
        given.clear()


def test_fit_reports_the_mean_loss_of_the_epoch(small_model, images):
    model = small_model()
    losses = []
    record = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: losses.append(logs["loss"]))
    history = model.fit(images, batch_size=16, epochs=1, verbose=0, shuffle=False, callbacks=[record])
    assert -1 <= history.history["loss"][0] <= 1
    assert history.history["loss"][0] == pytest.approx(losses[-1])  # the running mean after the last batch
    assert len(losses) == 4


def test_views_are_a_function_of_seed_step_and_view(small_model, images):
    model, same, other = small_model(), small_model(), small_model(seed=1)
    first = [v.numpy() for v in model.draw_views(images[:4], 3)]
    np.testing.assert_array_equal(first, [v.numpy() for v in same.draw_views(images[:4], 3)])
    assert np.abs(first[0] - first[1]).max() > 1
    assert np.abs(first - np.array(model.draw_views(images[:4], 4))).max() > 1
    assert np.abs(first - np.array(other.draw_views(images[:4], 3))).max() > 1
    assert np.abs(first - np.array(model.draw_views(images[:4], 3, stream=1))).max() > 1


def test_predict_gives_backbone_features_in_inference_mode(small_model, images):
    model = small_model()
    model.fit(images, batch_size=16, verbose=0)
    before = weights(model)
    features = model.predict(images, batch_size=16, verbose=0)
    np.testing.assert_allclose(features, model.backbone(images, training=False), rtol=1e-5, atol=1e-6)
    assert features.shape == (64, 8)
    for old, new in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_evaluate_gives_a_loss_and_changes_nothing(small_model, images):
    model = small_model()
    model.fit(images, batch_size=16, verbose=0)
    before = weights(model)
    loss = model.evaluate(images, batch_size=16, verbose=0)
    assert -1 <= loss <= 1
    assert loss == model.evaluate(images, batch_size=16, verbose=0)
    for old, new in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_float32_variables(small_model, images, policy):
    keras.config.set_dtype_policy(policy)
    model = small_model()
    before = weights(model)
    loss = model.fit(images, batch_size=16, epochs=2, verbose=0).history["loss"][-1]
    assert -1 <= loss <= 1
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    assert sum(np.abs(a - b).max() > 0 for a, b in zip(before, weights(model), strict=True)) > len(before) / 2
    assert model(images).dtype == tf.float32


def test_compiled_step_equals_plain_step(small_model, images):
    plain, compiled = small_model(), small_model()
    for model, jit in ((plain, False), (compiled, True)):
        model.optimizer.build(model.trainable_variables)
        step = tf.function(model.train_step, jit_compile=jit)
        for start in (0, 16, 32):
            step(tf.constant(images[start : start + 16]))
    assert int(compiled.step) == 3
    for ours, theirs in zip(plain.trainable_variables, compiled.trainable_variables, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5, err_msg=ours.path)


def test_only_a_gpu_makes_keras_compile_by_itself(small_model):
    model = small_model()
    assert model.jit_compile == bool(tf.config.list_physical_devices("GPU"))
