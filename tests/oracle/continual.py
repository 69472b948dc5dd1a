"""Which images each epoch of a continual training sees (Li et al. 2022), in NumPy, from the published code's behaviour.

The order of the images is prescribed nowhere, save that each pass over an epoch's set is a fresh permutation of it. So
there are two things here: the set of an epoch, and a check that the batches of an epoch may have come from that set.
"""

import numpy as np


def epoch_set(strategy, permutation, epoch, epochs, chunk_epochs=1, rounds=1, hybrid=None):
    """The images (rows of the data set, (m,)) of epoch number `epoch`, from 0.

    A round is `epochs // rounds` epochs, E below, and goes through the N images once. If that division leaves a rest,
    one more round begins and is cut short. Within a round, every `chunk_epochs` epochs, c below, the next chunk comes:
    number i holds the places from N i c / E to N (i + 1) c / E of the permutation, both rounded down. If c does not
    divide E, a round's last chunk has the images and the epochs that are left.

    Args:
        strategy: "current" (single pass: the chunk alone), "accumulate" (the chunk and all before it in this round),
            "last" (at any epoch the last N c / E of the permutation, rounded up) or "iid" (all).
        permutation: the order of the images, fixed for the whole training (N,).
        epochs: of the whole training, its iid part included; the chunks' size follows from it.
        hybrid: from this epoch on the set is all images; None never. The published hybrid is "current" with 40 of 100
            epochs: it enters the iid part when 40 % of the images have been seen.
    """
    n, length = len(permutation), epochs // rounds
    if strategy == "iid" or (hybrid is not None and epoch >= hybrid):
        return np.asarray(permutation)
    if strategy == "last":
        return np.asarray(permutation)[max(0, n - -(-n * chunk_epochs // length)) :]
    chunk = epoch % length // chunk_epochs
    start = n * chunk * chunk_epochs // length
    end = min(n, n * (chunk + 1) * chunk_epochs // length)
    return np.asarray(permutation)[{"current": start, "accumulate": 0}[strategy] : end]


def check_epoch(batches, rows, batch_size, n_images, repeat_batch=1):
    """Assert that an epoch's batches could have come from the published loader.

    An epoch has floor(n_images / batch_size) steps whatever its set. They are filled by passes over the set: each is a
    new permutation of all of it, cut into batches, without the tail that fills none; the last pass ends with the epoch.
    With `repeat_batch` each batch stands that many times in a row, the same images in the same order (their views are
    drawn anew), and the number of steps stays: fewer different batches are seen, and the epoch's end may cut the last
    one's repetitions. Iid epochs do not repeat.

    That a pass is shuffled at all cannot be seen here; compare the order of two passes for that.

    Args:
        batches: a list of the images of each step, rows of the data set (batch_size,).
        rows: the epoch's set, of `epoch_set`.
        n_images: of the whole data set.

    Raises:
        ValueError: if the set does not fill a batch; the published loader would not end.
    """
    batches_of_pass = len(rows) // batch_size
    if not batches_of_pass:
        raise ValueError(f"a set of {len(rows)} images fills no batch of {batch_size}")
    steps = n_images // batch_size
    assert len(batches) == steps, f"{len(batches)} steps, not {steps}"
    different = batches[::repeat_batch]
    for step, batch in enumerate(batches):
        assert len(batch) == batch_size, f"step {step} has {len(batch)} images, not {batch_size}"
        first = different[step // repeat_batch]
        assert np.array_equal(batch, first), f"step {step} does not repeat step {step - step % repeat_batch}"
    for start in range(0, len(different), batches_of_pass):
        images = np.concatenate(different[start : start + batches_of_pass])
        number = start // batches_of_pass
        assert np.isin(images, rows).all(), f"pass {number} has images from outside the epoch's set"
        assert len(np.unique(images)) == len(images), f"pass {number} has an image twice"
