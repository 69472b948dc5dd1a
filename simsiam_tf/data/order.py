"""Which images a step sees: functions of the step alone, so that a run goes on anywhere as if it had never stopped."""

import functools

import numpy as np

from simsiam_tf.data.subsets import generator
from simsiam_tf.errors import InputError

KINDS = ("single_pass", "accumulate", "last")


class EpochOrder:
    """Every image at most once an epoch of num_images // batch_size steps, in a fresh permutation each time.

    `order(step)` gives the int64 rows (batch_size,) of a step.

    Raises:
        InputError: the seed is negative.
    """

    def __init__(self, num_images, batch_size, seed):
        generator(seed, "epoch")  # A bad seed is refused here, not by a worker thread of tf.data.
        self.batch_size, self.steps_per_epoch = batch_size, num_images // batch_size

        @functools.lru_cache(maxsize=2)
        def permutation(epoch):
            return generator(seed, "epoch", epoch).permutation(num_images)

        self.permutation = permutation

    def __call__(self, step):
        epoch, place = divmod(step, self.steps_per_epoch)
        return self.permutation(epoch)[place * self.batch_size :][: self.batch_size]


class ContinualOrder:
    """Images in chunks, as in continual training (Li, Efros & Pathak 2022, and their code's data loader).

    With pi a permutation of the N images, and i = floor(n s / S) the chunk, of n, at step s of a round of S steps, the
    present set is

    - single_pass: pi[N i // n : N (i + 1) // n], the images of chunk i;
    - accumulate: pi[: N (i + 1) // n], of all chunks so far;
    - last: pi[N (n - 1) // n :], always, so that n = 100, 20, 10, 5, 2 trains on 1, 5, 10, 20, 50 % of the images.

    An epoch has N // batch_size steps, however small the set is. They go through fresh permutations of it, each without
    the rest that fills no batch; with an epoch, or another set, begins another permutation. The paper's chunks are
    whole epochs; here they need not be.

    `order(step)` gives the int64 rows (batch_size,) of a step.

    Args:
        permutation: int (N,), each of 0 to N - 1 once.
        batch_size: images in a batch.
        seed: of the permutations within a set: 0 or a positive int.
        kind: one of `KINDS`.
        epochs: of the whole run.
        chunks: n; default as many as a round has epochs.
        rounds: how often the chunks are gone through, a divisor of the epochs.
        switch_epoch: from this epoch on the order is that of EpochOrder: the paper's hybrid; default never.
        repeat_batch: how often in a row each batch comes.

    Raises:
        InputError: the kind is unknown, there are no rounds or no batches, a chunk is smaller than a batch, or the seed
            is negative.
    """

    def __init__(
        self, permutation, batch_size, seed, kind, epochs, chunks=None, rounds=1, switch_epoch=None, repeat_batch=1
    ):
        if kind not in KINDS:
            raise InputError(f"data.order: {kind} is no order of chunks; give one of {', '.join(KINDS)}")
        for name, value in (("rounds", rounds), ("repeat_batch", repeat_batch)):
            if value < 1:
                raise InputError(f"data.{name}: {value}; give 1 or more")
        self.images, self.batch_size, self.kind = permutation, batch_size, kind
        self.chunks, self.repeat_batch = chunks or epochs // rounds, repeat_batch
        if not 1 <= self.chunks <= len(permutation) // batch_size:
            raise InputError(
                f"data.chunks: {self.chunks} of {len(permutation)} images are smaller than a batch of {batch_size}; "
                f"give 1 to {len(permutation) // batch_size}, or a smaller optimizer.batch_size"
            )
        self.after = EpochOrder(len(permutation), batch_size, seed)
        self.steps_per_epoch = self.after.steps_per_epoch
        self.steps_per_round = epochs // rounds * self.steps_per_epoch
        self.switch = None if switch_epoch is None else switch_epoch * self.steps_per_epoch

        @functools.lru_cache(maxsize=2)
        def a_pass(first):
            return generator(seed, "chunk", first).permutation(self._set(self._chunk(first)))

        self._pass = a_pass  # each is known by its first step

    def __call__(self, step):
        if self.switch is not None and step >= self.switch:
            return self.after(step)
        chunk = self._chunk(step)
        steps = len(self._set(chunk)) // self.batch_size * self.repeat_batch  # of a pass
        place = (step - self._first_step(step, chunk)) % steps
        start = place // self.repeat_batch * self.batch_size
        return self._pass(step - place)[start : start + self.batch_size]

    def _chunk(self, step):
        done = step % self.steps_per_round
        return self.chunks - 1 if self.kind == "last" else done * self.chunks // self.steps_per_round

    def _set(self, chunk):
        n = len(self.images)
        start = 0 if self.kind == "accumulate" else n * chunk // self.chunks
        return self.images[start : n * (chunk + 1) // self.chunks]

    def _first_step(self, step, chunk):
        """Of this epoch, or of this chunk if it begins later."""
        epoch = step - step % self.steps_per_epoch
        if self.kind == "last":  # its set is the same all along
            return epoch
        before = -(-chunk * self.steps_per_round // self.chunks)  # rounded up
        return max(epoch, step - step % self.steps_per_round + before)


def drawn_permutation(num_images, seed):
    """The permutation, int64 (num_images,), that chunks are cut from unless another is given."""
    return generator(seed, "permutation").permutation(num_images)


def read_permutation(path, num_images):
    """The permutation in a file of numpy.save, as int64 (num_images,).

    Raises:
        InputError: the file cannot be read, or does not hold each of 0 to num_images - 1 once.
    """
    try:
        with open(path, "rb") as file:
            found = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"data.permutation: {path} cannot be read ({error}); give a file that numpy.save has written"
        ) from error
    if found.dtype.kind not in "iu" or not np.array_equal(np.sort(found, axis=None), np.arange(num_images)):
        raise InputError(
            f"data.permutation: {path} is no permutation of the {num_images} training images; give the whole numbers "
            f"from 0 to {num_images - 1}, each once"
        )
    return found.reshape(-1).astype(np.int64)
