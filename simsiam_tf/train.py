"""pretrain(config): data -> method -> optimizer -> callbacks -> fit -> evaluation, in a run folder, resumable."""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import re
import time

import keras
import tensorflow as tf

from simsiam_tf import figures, final
from simsiam_tf.assemble import build_method, compile_method, has_gpu, load_data, set_up, steps_per_execution
from simsiam_tf.callbacks import (
    CollapseMonitor,
    DivergenceMonitor,
    KNNMonitor,
    LinearProbe,
    MonitorImages,
    ProgressBar,
    Rates,
    RunRecord,
    Together,
    ViewImages,
)
from simsiam_tf.callbacks.checkpointer import Checkpointer
from simsiam_tf.config import Config
from simsiam_tf.data import training_batches
from simsiam_tf.distribution import Workers
from simsiam_tf.errors import Diverged, InputError, unwritable
from simsiam_tf.interrupt import Interrupt, Interrupted
from simsiam_tf.run import RunFolder

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
        with Interrupt() as interrupt:
            result = _pretrain(config, folder, interrupt, workers)
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
    folder.save_backbone(model.backbone)
    figures.draw_run(folder.path, record.rows, model, splits.train)
    result = summary(config, model, record, together.monitor, seconds)
    result["total_steps"] = config.optimizer.epochs * steps_per_epoch
    if "stopped" not in result and splits.test is not None and splits.train.labels is not None:
        result |= final.evaluate(config, folder.load_backbone(), splits, log.info)
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


def make_callbacks(config: Config, model, splits, folder, interrupt: Interrupt, steps_per_epoch: int, workers: Workers):
    """The callbacks in the order in which they see the logs, brought to the newest checkpoint.

    Workers without the folder have those that decide what is trained, and when it ends.
    """
    m = config.monitor
    crop = config.data.image_size
    train = MonitorImages(splits.train, crop=crop)
    test = None if splits.test is None else MonitorImages(splits.test, crop=crop)
    divergence = DivergenceMonitor(steps_per_epoch)
    judged = test is not None and test.labels is not None
    probes = []
    if m.linear_probe and train.labels is not None and train.labels.max() > 0:
        queries = test if judged and folder else None
        probes.append(LinearProbe(int(train.labels.max()) + 1, queries, every=m.knn_epochs or 10))
        probes[0].set_model(model)
    if not folder:
        together = Together(workers, interrupt)
        share_state(model, probes, together)
        return [divergence, *probes, together], together, None
    record = RunRecord(folder.metrics)
    callbacks: list[keras.callbacks.Callback] = [divergence, Rates(config.optimizer.batch_size)]
    monitor = None
    if m.collapse_epochs:
        monitor = CollapseMonitor(train, m.collapse_epochs, m.collapse_patience, stop=m.stop_on_collapse)
        callbacks.append(monitor)
    if train.labels is None:
        log.info("no labels: kNN monitor and linear probe are off")
    elif not judged:
        log.info("no labelled test images: no kNN, no evaluation; data.validation_fraction 0.2 holds some out")
    elif m.knn_epochs:
        e = config.evaluation
        bank = train.sample(m.knn_bank)
        callbacks.append(KNNMonitor(bank, test, m.knn_epochs, k=e.neighbors, temperature=e.temperature))
    callbacks.extend(probes)
    if m.tensorboard:
        callbacks.append(ViewImages(next(iter(train.sample(8).batches())), folder.tensorboard / "images"))
        callbacks.append(keras.callbacks.TensorBoard(str(folder.tensorboard), write_graph=False))
    checkpoints = folder.checkpoint_folder(config.training.keep_checkpoints)
    together = Together(workers, interrupt, monitor)
    checkpointer = Checkpointer(
        checkpoints, record, together, divergence, probes, monitor, config.training.checkpoint_epochs
    )
    checkpointer.resume(model)
    share_state(model, probes, together)
    return [*callbacks, together, record, ProgressBar(config.optimizer.epochs), checkpointer], together, record


def share_state(model, probes, together: Together) -> None:
    """Bring all workers to where the first one is."""
    together.workers.share(model.weights + model.optimizer.variables + [v for probe in probes for v in probe.variables])
    together.ask_monitor()


class EndOfPart(keras.callbacks.Callback):
    """Ends `fit` after an epoch that is only a part of one; what comes after it is another fit."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True


def fit(config: Config, model, splits, callbacks, together: Together, steps_per_epoch: int) -> float:
    """Train from the model's present step to the end; returns the seconds it took this time.

    A run that was stopped inside an epoch first does the rest of that epoch.
    """
    start, total = time.monotonic(), config.optimizer.epochs * steps_per_epoch
    last = min(total, config.training.stop_after_steps or total)
    labelled = any(isinstance(callback, LinearProbe) for callback in callbacks)

    def batches(step, part, parts):
        size = config.optimizer.batch_size
        return training_batches(splits.train, size, config.seed, step, labelled, part=part, parts=parts)

    try:
        while (step := int(model.step.numpy())) < last and not together.collapsed:
            epoch, done = divmod(step, steps_per_epoch)
            steps = min(steps_per_epoch - done, last - step)
            part = [EndOfPart()] if steps < steps_per_epoch else []
            model.steps_per_execution = steps_per_execution(config, steps)
            model.train_function = None  # it is made for one number of steps per execution
            model.fit(
                together.workers.batches(functools.partial(batches, step)),
                initial_epoch=epoch,
                epochs=config.optimizer.epochs if part else last // steps_per_epoch,
                steps_per_epoch=steps,
                callbacks=[*part, *callbacks],
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


def summary(config: Config, model, record, monitor, seconds: float) -> dict:
    """The figures that need no further computation."""
    result = {
        "method": config.method.name,
        "seed": config.seed,
        "epochs": record.rows[-1]["epoch"] if record.rows else 0,
        "steps": int(model.step.numpy()),
        "seconds": sum(row["epoch_seconds"] for row in record.rows),
        "seconds_this_process": seconds,
    }
    for name in ("loss", "images_per_second", "feature_std", "correlation_strength", "effective_rank"):
        if record.last(name) is not None:
            result[name] = record.last(name)
    if monitor is not None and monitor.verdict:
        result["verdict"] = monitor.sentence
    if monitor is not None and monitor.stopped:
        result["stopped"] = monitor.stopped
    return result
