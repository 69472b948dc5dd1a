"""NNSiam against a slow reference in PyTorch that was written from the supplement, and what is its own."""

import numpy as np
import pytest
import tensorflow as tf
import torch

import oracle
import oracle.nnsiam
import small_methods
from followers import EPOCHS, STEPS_PER_EPOCH, WIDTH, N, arrays, load, make_method, state, step_and_loss, views
from parity import assert_close
from simsiam_tf import METHODS, methods, recipe
from simsiam_tf.errors import InputError
from simsiam_tf.methods.nnsiam import nearest
from simsiam_tf.settings import files

SIZES = {"projector_hidden": 12, "projection_dim": 8, "predictor_hidden": 4, "queue": 3 * N}
RATE = 0.03 * N / 256


def weights(model):
    return arrays(encoder=[model.backbone, model.projector], predictor=[model.predictor])


def twins():
    ours = make_method("nnsiam", **SIZES)
    theirs = oracle.nnsiam.NNSiam(width=WIDTH, hidden=12, dim=8, predictor_hidden=4, size=3 * N).double()
    load(theirs, weights(ours))
    theirs.queue.copy_(torch.tensor(ours.queue.rows.numpy()))
    return ours, theirs, oracle.optimizer(theirs, RATE)


def follow(ours, theirs, sgd, steps):
    """Compare after every step: loss, weights with their statistics, and the queue."""
    for step in range(steps):
        oracle.set_rates(sgd, step, RATE, STEPS_PER_EPOCH, EPOCHS)
        loss = oracle.nnsiam.train_step(theirs, sgd, *views(ours, step))
        assert step_and_loss(ours) == pytest.approx(loss, abs=1e-12), "relative error"
        assert_close(weights(ours), state(theirs), bound=1e-12, zero=1e-3)
        assert_close({"queue": ours.queue.rows.numpy()}, {"queue": theirs.queue.numpy()}, bound=1e-12)
        assert int(ours.queue.place) == theirs.place


def test_ten_steps_are_the_oracles():
    """The queue, of three batches, is filled anew three times on the way."""
    ours, theirs, sgd = twins()
    before = weights(ours) | {"queue": ours.queue.rows.numpy()}
    follow(ours, theirs, sgd, 10)
    for name, array in (weights(ours) | {"queue": ours.queue.rows.numpy()}).items():
        # The projections' mean is 0, and without bias it stays so.
        assert name == "predictor.1.running_mean" or np.abs(array - before[name]).max() > 1e-7, name


def queued_before_the_lookup(patch):
    objective = methods.NNSiam.objective

    def early(self, outputs, batch=None):
        self.queue.push(outputs["z"][0])
        return objective(self, outputs, batch)

    patch.setattr(methods.NNSiam, "objective", early)
    patch.setattr(methods.NNSiam, "after_step", lambda self, outputs, batch: None)


def queues(choose):
    def patched(patch):
        patch.setattr(methods.NNSiam, "after_step", lambda self, o, batch: self.queue.push(choose(*o["z"])))

    return patched


def targets(change):
    def patched(patch):
        patch.setattr(methods.NNSiam, "targets", change)

    return patched


def nearest_by_cosine(patch):
    unit = methods.losses.unit_rows
    patch.setattr(
        methods.nnsiam,
        "nearest",
        lambda rows, others: tf.gather(others, tf.argmax(tf.matmul(*unit(rows, others), transpose_b=True), axis=1)),
    )


def with_neighbours(self, *z):
    return [nearest(each, self.queue.rows) for each in z]


MUTATIONS = {
    "queued before the lookup": queued_before_the_lookup,
    "the second view is queued": queues(lambda z1, z2: z2),
    "both views are queued": queues(lambda z1, z2: tf.concat([z1, z2], axis=0)),
    "unit rows are queued": queues(lambda z1, z2: methods.losses.unit_rows(z1)[0]),
    "one target is a projection": targets(lambda self, z: [tf.stop_gradient(z[1]), *with_neighbours(self, z[0])]),
    "own view's neighbour": targets(lambda self, z: with_neighbours(self, *z)),
    "nearest by cosine": nearest_by_cosine,
}


@pytest.mark.parametrize("mutate", MUTATIONS.values(), ids=MUTATIONS.keys())
def test_parity_fails_under(mutate, monkeypatch):
    ours, theirs, sgd = twins()
    views(ours, 0)  # traced before the mutation
    mutate(monkeypatch)
    with pytest.raises(AssertionError, match="relative error"):
        follow(ours, theirs, sgd, 4)


def test_the_nearest_row_is_that_of_the_smallest_distance():
    """Neither side is normalised: a longer row may point the same way and be further off."""
    generator = np.random.default_rng(0)
    rows, others = generator.normal(size=(20, 3)), generator.normal(size=(50, 3)) * generator.uniform(0.2, 5, (50, 1))
    found = nearest(tf.constant(rows), tf.constant(others)).numpy()
    for row, neighbour in zip(rows, found, strict=True):
        np.testing.assert_array_equal(neighbour, min(others, key=lambda other: np.linalg.norm(row - other)))
    assert nearest(tf.constant([[1.0, 0.0]]), tf.constant([[9.0, 0.0], [1.0, 2.0]])).numpy().tolist() == [[1.0, 2.0]]


def test_neither_targets_nor_queue_get_a_gradient():
    """The gradient is that of predictions towards constants."""
    model = make_method("nnsiam", **SIZES)
    drawn = model.draw_views(np.random.default_rng(0).integers(0, 256, (N, 16, 16, 3), np.uint8), 0)
    with tf.GradientTape(persistent=True) as tape:
        outputs = model.forward(drawn)
        loss = model.objective(outputs)
        fixed = [tf.constant(each.numpy()) for each in model.targets(outputs["z"])]
        expected = model.similarity(outputs["p"], fixed)
    assert tape.gradient(loss, model.queue.rows.value) is None
    for ours, theirs in zip(*(tape.gradient(each, outputs["z"]) for each in (loss, expected)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not {id(v) for v in model.trainable_variables} & {id(v) for v in model.queue.variables}


def test_the_projections_are_queued_as_they_are_of_the_first_view():
    model = small_methods.build("nnsiam", queue=48)
    images = tf.constant(small_methods.images()[:16])
    z = model.forward(model.draw_views(images, 0))["z"][0]
    again = small_methods.build("nnsiam", queue=48)
    again.train_step(images)
    np.testing.assert_array_equal(again.queue.rows[:16], z)
    assert np.abs(np.linalg.norm(z, axis=1) - 1).min() > 0.1
    np.testing.assert_array_equal(again.queue.rows[16:], model.queue.rows[16:])


def test_all_micro_batches_look_at_the_queue_of_before_the_step():
    """In inference mode, where BatchNorm sees no batch, parts are the whole: the same neighbours, the same queue."""
    whole, parts = (small_methods.build("nnsiam", queue=48, micro_batches=k) for k in (1, 4))
    seen = []
    for model in (whole, parts):
        forward = model.forward
        model.forward = lambda drawn, training, forward=forward: forward(drawn, training=False)
        losses, objective = [], model.objective
        model.objective = lambda *a, o=objective, kept=losses: kept.append(o(*a)) or kept[-1]
        for start in (0, 16, 32):
            model.train_step(tf.constant(small_methods.images()[start : start + 16]))
        seen.append(np.reshape(losses, [3, -1]).mean(axis=1))
    np.testing.assert_allclose(*seen, rtol=0, atol=1e-6)
    np.testing.assert_allclose(whole.queue.rows, parts.queue.rows, rtol=0, atol=1e-5)
    assert int(whole.queue.place) == int(parts.queue.place) == 0


def test_the_step_compiles():
    """By XLA it is the step that it is without."""
    losses = []
    for jit in (False, True):
        model = small_methods.build("nnsiam", queue=32)
        step = tf.function(model.train_step, jit_compile=jit, autograph=False)
        losses.append([float(step(tf.constant(small_methods.images()[:16]))["loss"]) for _ in range(3)])
    np.testing.assert_allclose(*losses, rtol=0, atol=1e-5)


def test_a_batch_that_does_not_divide_the_queue_is_refused():
    """Before TensorFlow where the settings tell; in a script when the step is traced, if the batch is known by then."""
    message = r"^method.queue: 100 is no multiple of a batch of 16; give a multiple of it$"
    parser = files.OneLineParser(prog="test")
    with pytest.raises(InputError, match=message):
        files.parse(parser, ["--method.name=nnsiam", "--method.queue=100", "--optimizer.batch_size=16"])
    model = small_methods.build("nnsiam", queue=100)
    with pytest.raises(InputError, match=message):
        model.fit(tf.data.Dataset.from_tensors(small_methods.images()[:16]), verbose=0, shuffle=False)


def test_it_takes_simsiams_heads_and_their_ablations():
    settings = {"predictor": "none", "similarity": "cross_entropy", "head_norm": "hidden"}
    model = small_methods.build("nnsiam", **settings)
    assert model.predictor is None
    assert model.cosine_of(1.0) is None
    assert np.isfinite(model.fit(small_methods.images(), batch_size=16, verbose=0).history["loss"][0])
    augmenter = recipe("none", image_size=8)
    with pytest.raises(InputError, match=r"^method.symmetric: unknown; give one of "):
        METHODS["nnsiam"](small_methods.backbone(), augmenter, symmetric=False)
