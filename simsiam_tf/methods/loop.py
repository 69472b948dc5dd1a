"""How `fit` calls the step: several steps a call, as many as are left in the last one, and nothing waits for a GPU."""

from typing import NamedTuple

import tensorflow as tf
from keras.src.backend.tensorflow.trainer import reduce_per_replica

HOST = "CPU:0"
ITERATORS = tf.data.Iterator | tf.distribute.DistributedIterator


class Block(NamedTuple):
    """The next `count` batches of an iterator; where nobody knows how many it has, perhaps fewer."""

    batches: tf.data.Iterator
    count: int
    surely: bool = True


class Logs(dict):
    """Numbers of a step, which come from the device together when Keras reads them, in place of one by one."""

    def items(self):
        tensors = {name: each for name, each in super().items() if tf.is_tensor(each)}
        if len(tensors) > 1:
            together = tf.stack([tf.cast(each, tf.float64) for each in tensors.values()])
            self.update(zip(tensors, together.numpy().tolist(), strict=True))
        return super().items()


def cut_into_blocks(iterator):
    """Let Keras's epoch iterator give Blocks, of which the last has only the steps that the epoch has left.

    Its own last call would be a whole one, beyond the end of the epoch.
    """
    surely = bool(iterator.num_batches)

    def blocks():
        iterator.data_adapter.on_epoch_begin()
        known = iterator.steps_per_epoch or iterator._num_batches
        if iterator._current_iterator is None or iterator.steps_per_epoch is None:
            _begin_anew(iterator)
        begin = 0
        while not known or begin < known:
            if _is_through(iterator):
                if iterator.steps_per_epoch:
                    iterator._interrupted_warning()
                break
            count = iterator.steps_per_execution
            if known:
                count = min(count, known - begin)
            iterator._steps_seen += count
            yield begin, begin + count - 1, Block(iterator._current_iterator, count, surely)
            begin += count
        if _is_through(iterator):
            _begin_anew(iterator)
        iterator.data_adapter.on_epoch_end()

    iterator._enumerate_iterator = blocks


def _begin_anew(iterator):
    iterator._current_iterator, iterator._steps_seen = iter(iterator._get_iterator()), 0


def _is_through(iterator):
    return bool(iterator._num_batches) and iterator._steps_seen >= iterator._num_batches


def make_function(model, step):
    """What Keras's `_make_function` makes: runs `step` on a Block, or an iterator of arrays, and gives the last logs.

    Keras carries the logs in a `tf.experimental.Optional` and asks the GPU, at every step, whether to go on.
    """

    @tf.autograph.experimental.do_not_convert
    def one_step(data):
        outputs = model.distribute_strategy.run(step, args=(data,))
        return reduce_per_replica(outputs, model.distribute_strategy, reduction="auto")

    alone = model.distribute_strategy.num_replicas_in_sync == 1
    if not model.run_eagerly:
        one_step = tf.function(one_step, reduce_retracing=True, jit_compile=model.jit_compile and alone)
    one_step = model._autoconvert_optionals(one_step)

    @tf.autograph.experimental.do_not_convert
    def one(batches):
        return one_step(batches.get_next())

    one = tf.function(one, reduce_retracing=True)
    several = tf.function(_several(one, one_step), reduce_retracing=True)

    def function(block):
        batches, count, surely = block if isinstance(block, Block) else Block(block, model.steps_per_execution)
        if not isinstance(batches, ITERATORS) or model.run_eagerly:
            logs = [one_step(data) for _, data in zip(range(count), batches, strict=False)]
            if not logs:
                raise StopIteration
            return Logs(logs[-1])
        if surely and (not alone or model.steps_per_execution == 1):
            return Logs([one(batches) for _ in range(count)][-1])  # calls, too, wait for nothing
        if not alone:
            taken, logs = _in_turn(one_step, batches, count)
        else:
            with tf.device(HOST):
                count = tf.constant(count)  # the call itself has to be outside: its variables are on the GPU
            taken, logs = several(batches, count)
        if not int(taken):
            raise StopIteration
        return Logs(logs)

    return function


def _in_turn(one_step, batches, count):
    """What `_several` gives, for several devices: TensorFlow 2.21 cannot run a loop of a graph around their step ("You
    must feed a value for placeholder tensor").
    """
    logs = None
    for taken in range(count):
        batch = batches.get_next_as_optional()
        if not batch.has_value():  # a call that finds out for itself has counted a step by then
            return taken, logs
        logs = one_step(batch.get_value())
    return count, logs


def _several(one, one_step):
    """A loop that the host runs without a look at the GPU: what decides on its next turn are int32 on the CPU.

    A bool that is carried along would go to the GPU and back.
    """

    @tf.autograph.experimental.do_not_convert
    def several(batches, count):
        """(steps taken, logs of the last one) of at most `count` steps."""

        def goes_on(taken, end, logs):
            with tf.device(HOST):
                return taken < end

        def turn(taken, end, logs):
            with tf.device(HOST):
                batch = batches.get_next_as_optional()
                there = batch.has_value()
                end = tf.where(there, end, taken)
                taken += tf.cast(there, tf.int32)

            def train():
                with tf.device(HOST):
                    data = batch.get_value()
                return one_step(data)

            return taken, end, tf.cond(there, train, lambda: logs)

        specs = one.get_concrete_function(batches).structured_outputs  # the trace of `one_step` serves the loop, too
        logs = tf.nest.map_structure(lambda spec: tf.zeros(spec.shape, spec.dtype), specs)
        with tf.device(HOST):
            start = tf.constant(0)
        taken, _, logs = tf.while_loop(goes_on, turn, (start, count, logs), parallel_iterations=1)
        return taken, logs

    return several
