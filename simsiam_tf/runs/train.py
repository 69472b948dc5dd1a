"""pretrain(config): data -> method -> optimizer -> callbacks -> fit -> evaluation, in a run folder, resumable."""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import re
import resource
import time

import keras
import tensorflow as tf

from simsiam_tf.callbacks import LinearProbe, ProgressBar, Rates
from simsiam_tf.data import training_batches
from simsiam_tf.data.files import name_skipped
from simsiam_tf.errors import Diverged, InputError, unwritable
from simsiam_tf.runs import figures
from simsiam_tf.runs.build import (
    build_augmenter,
    build_method,
    compile_method,
    has_gpu,
    load_data,
    set_up,
    steps_per_execution,
    view_stages,
)
from simsiam_tf.runs.evaluate import evaluate
from simsiam_tf.runs.folder import RunFolder
from simsiam_tf.runs.interrupt import Interrupt, Interrupted
from simsiam_tf.runs.monitors import make_callbacks
from simsiam_tf.runs.together import Together
from simsiam_tf.runs.workers import Workers
from simsiam_tf.settings.schema import Config

log = logging.getLogger("simsiam_tf")


def pretrain(config: Config) -> dict:
    """Train as configured, going on where an earlier call stopped, and evaluate.

    Returns:
        The figures of result.json; "stopped" is in them if the run collapsed or diverged. Of several workers only the
        first has figures.

    Raises:
        InputError: the configuration, the data or the run folder cannot be used.
        Interrupted: a signal came; the state is saved. WorkerLost: another worker has ended.
    """
    workers = Workers(config.training.distribution)
    with workers.watched(), contextlib.ExitStack() as stack:
        folder = done = None
        if workers.chief:
            folder = stack.enter_context(contextlib.closing(RunFolder.open(config)))
            done = folder.read_result()
        last = config.training.stop_after_steps or (done or {}).get("total_steps", 0)
        complete = done and "steps" in done and ("stopped" in done or done["steps"] >= last)
        if workers.anywhere(complete):
            log.info("%s is complete; give another --name to train anew", config.folder)
            return done
        try:
            with Interrupt() as interrupt:
                result = _pretrain(config, folder, interrupt, workers)
        except (MemoryError, tf.errors.ResourceExhaustedError) as error:
            raise InputError(
                f"optimizer.batch_size: {config.optimizer.batch_size} images of {config.data.image_size} px and this "
                "network need more memory than there is; give smaller ones"
            ) from error
        workers.wait()  # so that if the first one does not survive its evaluation, all are started again
        return result


def _pretrain(config: Config, folder: RunFolder | None, interrupt: Interrupt, workers: Workers) -> dict | None:
    """Only the first worker has a folder."""
    precision = set_up(config)
    log.info("training on %s in %s", "GPU" if has_gpu() else "CPU", precision)
    if folder:
        devices = [device.name for device in tf.config.list_physical_devices()]
        folder.write_environment(config, precision, devices, workers.replicas)
    splits = load_data(config)
    if folder:
        name_skipped(folder.path / "unreadable.txt", splits.train, splits.test)
    log.info("%d training images, %s test images", len(splits.train), len(splits.test) if splits.test else "no")
    steps_per_epoch = len(splits.train) // config.optimizer.batch_size
    if not steps_per_epoch:
        raise InputError(
            f"optimizer.batch_size: {config.optimizer.batch_size} is above the {len(splits.train)} training images; "
            "give a smaller one"
        )
    workers.check(config, splits.train)
    with workers.strategy.scope():
        model = build_method(config)
        if folder and not folder.checkpoint_folder(1).files() and folder.load_imported(model):
            log.info("starting from the imported weights, %s", folder.imported)
        compile_method(model, config, steps_per_epoch)
    with interrupt.deferred():
        callbacks, together, record = make_callbacks(config, model, splits, folder, interrupt, steps_per_epoch, workers)
        try:
            seconds = fit(config, model, splits, callbacks, together, steps_per_epoch)
        except Diverged as error:
            return diverged(config, folder, record, error)
    interrupt.check()
    if not folder:
        return {"stopped": "collapsed", "reason": "see the first worker"} if together.collapsed else None
    folder.save_backbone(model.encoder)
    figures.draw_run(folder.path, record.rows, model, splits.train)
    result = summary(config, model, record, together.monitor) | costs(callbacks, seconds)
    result["total_steps"] = config.optimizer.epochs * steps_per_epoch
    if "stopped" not in result and splits.test is not None and splits.train.labels is not None:
        result |= evaluate(config, folder.load_backbone(), splits, log.info)
    folder.write_json(folder.result, result)
    return result


def diverged(config: Config, folder: RunFolder | None, record, error: Diverged) -> dict:
    """Leave a run whose loss is not finite at its last checkpoint before; returns the figures of result.json."""
    if not folder:
        return {"stopped": "diverged", "reason": str(error)}
    good = next(iter(folder.checkpoint_folder(1).files()), None)
    log.error("last checkpoint before that: %s", good or "none, it diverged before the first")
    result = {"method": config.method.name, "seed": config.seed, "epochs": len(record.rows), "steps": error.step}
    result |= {"stopped": "diverged", "reason": f"{error}, under another --name"}
    folder.write_json(folder.result, result)
    return result


class EndOfPart(keras.callbacks.Callback):
    """Ends `fit` after so many epochs of the run, which is not at its end; what comes after them is another fit."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epochs:
            self.model.stop_training = True


def fit(config: Config, model, splits, callbacks, together: Together, steps_per_epoch: int) -> float:
    """Train from the model's present step to the end; returns the seconds it took this time.

    A run that was stopped inside an epoch first does the rest of that epoch. Each size of views is a fit of its own.
    """
    start, total = time.monotonic(), config.optimizer.epochs * steps_per_epoch
    last = min(total, config.training.stop_after_steps or total)
    stages = view_stages(config)
    labelled = any(isinstance(callback, LinearProbe) for callback in callbacks)

    def batches(step, part, parts):
        size = config.optimizer.batch_size
        return training_batches(splits.train, size, config.seed, step, labelled, part=part, parts=parts)

    try:
        while (step := int(model.step.numpy())) < last and not together.collapsed:
            epoch, done = divmod(step, steps_per_epoch)
            steps = min(steps_per_epoch - done, last - step)
            whole = steps == steps_per_epoch
            stage_end, size = next(stage for stage in stages if epoch < stage[0])
            if config.augmentation.view_sizes:
                model.use_augmenter(build_augmenter(config, size))
            model.steps_per_execution = steps_per_execution(config, steps)
            model.train_function = None  # it is made for one number of steps per execution
            model.fit(
                together.workers.batches(functools.partial(batches, step)),
                initial_epoch=epoch,
                epochs=last // steps_per_epoch if whole else config.optimizer.epochs,
                steps_per_epoch=steps,
                callbacks=[EndOfPart(stage_end if whole else epoch + 1), *callbacks],
                shuffle=False,
                verbose=0,
            )
    except tf.errors.OpError as error:
        raise one_line(error) from error
    except Interrupted:
        for callback in callbacks:
            if isinstance(callback, keras.callbacks.TensorBoard):
                callback.on_train_end()  # writes what its files still hold back
        raise
    finally:
        for callback in callbacks:
            if isinstance(callback, ProgressBar):
                callback.close()
    return time.monotonic() - start


def one_line(error: tf.errors.OpError) -> Exception:
    """What a user did not do wrong stays as it is; bad data and a full disk, met in TensorFlow's threads, are named."""
    if found := re.search(r"InputError: (.*)", str(error)):
        return InputError(found[1])
    if "No space left on device" in str(error):
        return unwritable("tensorboard", OSError(errno.ENOSPC, "No space left on device"))
    return error


def costs(callbacks, seconds: float) -> dict:
    """Time and memory of this process so far; on a GPU the memory is the device's."""
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux
    if has_gpu():
        gigabytes = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**30
    result = {"seconds_this_process": seconds, "peak_memory_gib": gigabytes}
    first = next(c.first_execution_seconds for c in callbacks if isinstance(c, Rates))
    return result if first is None else result | {"first_execution_seconds": first}


def summary(config: Config, model, record, monitor) -> dict:
    """The figures that need no further computation."""
    result = {
        "method": config.method.name,
        "seed": config.seed,
        "epochs": record.rows[-1]["epoch"] if record.rows else 0,
        "steps": int(model.step.numpy()),
        "seconds": sum(row["epoch_seconds"] for row in record.rows),
    }
    for name in ("loss", "images_per_second", "feature_std", "correlation_strength", "effective_rank"):
        if record.last(name) is not None:
            result[name] = record.last(name)
    if monitor is not None and monitor.verdict:
        result["verdict"] = monitor.sentence
    if monitor is not None and monitor.stopped:
        result["stopped"] = monitor.stopped
    return result
