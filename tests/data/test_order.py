"""Images in chunks: against the published procedure, done slowly; the order as before where there are no chunks."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from oracle.continual import check_epoch, epoch_set
from simsiam_tf import data
from simsiam_tf.data import ContinualOrder, EpochOrder, training_batches
from simsiam_tf.data.order import drawn_permutation, read_permutation
from simsiam_tf.data.subsets import generator
from simsiam_tf.errors import InputError

N, BATCH, EPOCHS = 103, 4, 8  # 25 steps an epoch, 3 images left over
PERMUTATION = np.random.default_rng(7).permutation(N)


def make(kind, seed=3, epochs=EPOCHS, **options):
    return ContinualOrder(PERMUTATION, BATCH, seed, kind, epochs, **options)


def set_of_step(kind, step, chunks, rounds):
    """The images that a step may see where chunks are no whole epochs: in exact fractions of a round."""
    per_round = EPOCHS // rounds * (N // BATCH)
    chunk = int(Fraction(step % per_round, per_round) * chunks)
    ends = [N * i // chunks for i in range(chunks + 1)]
    first, last = {"single_pass": (chunk, chunk), "accumulate": (0, chunk), "last": (chunks - 1, chunks - 1)}[kind]
    return PERMUTATION[ends[first] : ends[last + 1]].tolist()


def assert_procedure(order, sets, repeat_batch=1):
    """Step by step: whole permutations of the present set, begun anew with each epoch and each other set."""
    step, passes = 0, []
    while step < len(sets):
        end = min(step - step % (N // BATCH) + N // BATCH, len(sets))
        end = next((s for s in range(step, end) if sets[s] != sets[step]), end)
        while step < end:
            drawn = []
            for _ in range(len(sets[step]) // BATCH):
                batches = [order(s).tolist() for s in range(step, min(step + repeat_batch, end))]
                assert all(batch == batches[0] for batch in batches)
                step += len(batches)
                drawn += batches[0]
                if step == end:
                    break
            assert len(set(drawn)) == len(drawn)
            assert set(drawn) <= set(sets[step - 1])
            passes.append(drawn)
    pairs = list(itertools.pairwise(passes))
    assert sum(a[: len(b)] != b[: len(a)] for a, b in pairs) > 0.9 * len(pairs)  # 4 images may come as before


@pytest.mark.parametrize("repeat_batch", [1, 3])
@pytest.mark.parametrize(("epochs_per_chunk", "rounds"), [(1, 1), (2, 1), (4, 1), (1, 2), (2, 2), (4, 2), (1, 3)])
@pytest.mark.parametrize("kind", ["single_pass", "accumulate", "last"])
def test_chunks_of_whole_epochs_are_the_published_ones(kind, epochs_per_chunk, rounds, repeat_batch):
    chunks = EPOCHS // rounds // epochs_per_chunk
    order = make(kind, chunks=chunks, rounds=rounds, repeat_batch=repeat_batch)
    default = make(kind, rounds=rounds, repeat_batch=repeat_batch)  # a chunk an epoch
    strategy, seen = {"single_pass": "current"}.get(kind, kind), []
    for epoch in range(EPOCHS):
        rows = epoch_set(strategy, PERMUTATION, epoch, EPOCHS, epochs_per_chunk, rounds)
        batches = [order(step) for step in range(25 * epoch, 25 * epoch + 25)]
        check_epoch(batches, rows, BATCH, N, repeat_batch)
        seen.append(np.concatenate(batches).tolist())
        if epochs_per_chunk == 1:
            np.testing.assert_array_equal(batches, [default(step) for step in range(25 * epoch, 25 * epoch + 25)])
    assert all(epoch != other for epoch, other in itertools.pairwise(seen))


@pytest.mark.parametrize(("chunks", "rounds", "repeat_batch"), [(3, 1, 1), (25, 1, 1), (7, 4, 1), (11, 2, 3)])
@pytest.mark.parametrize("kind", ["single_pass", "accumulate", "last"])
def test_chunks_that_end_within_epochs(kind, chunks, rounds, repeat_batch):
    sets = [set_of_step(kind, step, chunks, rounds) for step in range(25 * EPOCHS)]
    order = make(kind, chunks=chunks, rounds=rounds, repeat_batch=repeat_batch)
    assert_procedure(order, sets, repeat_batch)


def test_a_single_pass_shows_every_image_in_one_chunk_only():
    order, seen = make("single_pass", chunks=10), {}
    for step in range(25 * EPOCHS):
        for row in order(step):
            seen.setdefault(int(row), set()).add(step * 10 // (25 * EPOCHS))
    assert {len(chunks) for chunks in seen.values()} == {1}
    assert seen.keys() == set(range(N))  # what a permutation leaves over is another part in each


@pytest.mark.parametrize(("chunks", "images"), [(20, 6), (10, 11), (5, 21), (2, 52), (1, 103)])
def test_the_last_chunk_is_a_share_of_the_images_at_the_steps_of_all(chunks, images):
    order = make("last", chunks=chunks)
    rows = np.concatenate([order(step) for step in range(25 * EPOCHS)])
    assert set(rows) == set(PERMUTATION[N - images :])  # nested: a smaller share lies in a larger one
    counts = np.bincount(rows)[PERMUTATION[N - images :]]
    assert counts.sum() == 25 * EPOCHS * BATCH
    assert counts.min() > counts.max() / 2


def test_hybrid_is_a_single_pass_and_then_epochs():
    hybrid, single, epochs = make("single_pass", switch_epoch=3), make("single_pass"), EpochOrder(N, BATCH, 3)
    for epoch in range(EPOCHS):
        batches = [hybrid(step) for step in range(25 * epoch, 25 * epoch + 25)]
        check_epoch(batches, epoch_set("current", PERMUTATION, epoch, EPOCHS, hybrid=3), BATCH, N)
        expected = single if epoch < 3 else epochs
        np.testing.assert_array_equal(batches, [expected(step) for step in range(25 * epoch, 25 * epoch + 25)])


def test_the_order_of_epochs_is_as_it_was():
    """Row numbers that an earlier version drew."""
    order = EpochOrder(23, 5, 7)
    for step in (0, 3, 4, 9):
        epoch, place = divmod(step, 4)
        expected = np.random.default_rng((7, 1, epoch)).permutation(23)[place * 5 :][:5]
        np.testing.assert_array_equal(order(step), expected)
    images = data.from_arrays(np.zeros((23, 2, 2, 3), np.uint8))
    batches = training_batches(images, 5, 7, with_rows=True, steps=9).as_numpy_iterator()
    for step, batch in enumerate(batches):
        np.testing.assert_array_equal(batch["rows"], order(step))


def test_seeds():
    same = [[make("single_pass", seed)(step).tolist() for step in range(50)] for seed in (3, 3, 4)]
    assert same[0] == same[1] != same[2]
    assert sorted(drawn_permutation(50, 1)) == list(range(50))
    assert drawn_permutation(50, 1).tolist() == drawn_permutation(50, 1).tolist() != drawn_permutation(50, 2).tolist()
    assert drawn_permutation(50, 1).tolist() != generator(1, "epoch").permutation(50).tolist()


def numbered():
    images = np.broadcast_to(np.arange(N, dtype=np.uint8)[:, None, None, None], (N, 2, 2, 3)).copy()
    return data.from_arrays(images, labels=np.arange(N) % 4)


@pytest.mark.parametrize("start", [1, 22, 30, 57])
def test_a_stream_goes_on_in_the_middle_of_a_chunk(start):
    def stream(start):
        options = {"with_labels": True, "with_rows": True, "steps": 60 - start}
        order = make("single_pass", chunks=13, repeat_batch=2)  # chunks of 15.4 steps
        return training_batches(numbered(), BATCH, 3, start, **options, order=order).as_numpy_iterator()

    order, whole = make("single_pass", chunks=13, repeat_batch=2), [*stream(0)]
    for step, (batch, (again, labels)) in enumerate(zip(whole[start:], stream(start), strict=True), start):
        np.testing.assert_array_equal(batch[0]["rows"], again["rows"])
        np.testing.assert_array_equal(again["rows"], order(step))
        np.testing.assert_array_equal(again["images"][:, 0, 0, 0], again["rows"])
        np.testing.assert_array_equal(labels, again["rows"] % 4)


def test_replicas_and_hosts_share_the_batches():
    order = make("accumulate", chunks=13)
    for part in (0, 1):
        options = {"with_rows": True, "part": part, "parts": 2, "order": order, "steps": 10, "stride": 3}
        stream = training_batches(numbered(), BATCH, 3, 10 + part, **options).as_numpy_iterator()
        for step, batch in zip(range(10 + part, 40, 3), stream, strict=True):
            np.testing.assert_array_equal(batch["rows"], order(step)[2 * part : 2 * part + 2])


def test_refusals():
    with pytest.raises(InputError, match=r"^data.chunks: 26 of 103 images are smaller than a batch of 4; give 1 to 25"):
        make("last", chunks=26)
    with pytest.raises(InputError, match=r"^data.order: hybrid is no order of chunks; give one of single_pass, acc"):
        make("hybrid")
    with pytest.raises(InputError, match=r"^seed: -1 is negative"):
        make("last", seed=-1)
    for name in ("rounds", "repeat_batch"):
        with pytest.raises(InputError, match=f"^data.{name}: 0; give 1 or more"):
            make("single_pass", **{name: 0})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.arange(9), "is no permutation of the 10 training images; give the whole numbers from 0 to 9, each once$"),
        (np.arange(1, 11), "is no permutation of the 10"),
        (np.r_[np.arange(9), 0], "is no permutation of the 10"),
        (np.arange(10.0), "is no permutation of the 10"),
        (np.array(3), "is no permutation of the 10"),
        (np.array([{}]), r"cannot be read \(.*allow_pickle=False.*\); give a file that numpy.save has written$"),
        (b"dear", "cannot be read .*; give a file that numpy.save has written$"),
        (None, "cannot be read .*No such file"),
    ],
)
def test_a_file_that_holds_no_permutation(tmp_path, content, message):
    path = tmp_path / "p.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(InputError, match=f"^data.permutation: {path} {message}"):
        read_permutation(path, 10)


def test_a_permutation_of_any_whole_numbers_is_read(tmp_path):
    np.save(tmp_path / "p.npy", PERMUTATION.astype(np.uint16))
    found = read_permutation(tmp_path / "p.npy", N)
    np.testing.assert_array_equal(found, PERMUTATION)
    assert found.dtype == np.int64
