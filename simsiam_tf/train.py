"""pretrain(config): data -> method -> optimizer -> callbacks -> fit -> evaluation, in a run folder, resumable."""

from __future__ import annotations

import logging
import re
import time

import keras
import tensorflow as tf

from simsiam_tf import figures, final
from simsiam_tf.assemble import build_method, compile_method, has_gpu, load_data, set_up
from simsiam_tf.callbacks import (
    CollapseMonitor,
    KNNMonitor,
    LinearProbe,
    MonitorImages,
    ProgressBar,
    Rates,
    RunRecord,
    ViewImages,
)
from simsiam_tf.callbacks.checkpointer import Checkpointer
from simsiam_tf.config import Config
from simsiam_tf.data import training_batches
from simsiam_tf.errors import InputError
from simsiam_tf.interrupt import Interrupt
from simsiam_tf.run import RunFolder

log = logging.getLogger("simsiam_tf")


def pretrain(config: Config) -> dict:
    """Train as configured, going on where an earlier call stopped, and evaluate.

    Returns:
        The figures of result.json; "stopped" is in them if the run collapsed or diverged.

    Raises:
        InputError: the configuration, the data or the run folder cannot be used.
        Interrupted: a signal came; the state is saved.
    """
    folder = RunFolder.open(config)
    done = folder.read_result()
    if done and ("stopped" in done or done["steps"] >= (config.training.stop_after_steps or done["total_steps"])):
        log.info("%s is complete; give another --name to train anew", folder.path)
        return done
    with Interrupt() as interrupt:
        return _pretrain(config, folder, interrupt)


def _pretrain(config: Config, folder: RunFolder, interrupt: Interrupt) -> dict:
    precision = set_up(config)
    log.info("training on %s in %s", "GPU" if has_gpu() else "CPU", precision)
    folder.write_environment(config, precision, [device.name for device in tf.config.list_physical_devices()])
    splits = load_data(config)
    log.info("%d training images, %s test images", len(splits.train), len(splits.test) if splits.test else "no")
    steps_per_epoch = len(splits.train) // config.optimizer.batch_size
    model = build_method(config)
    compile_method(model, config, steps_per_epoch)
    with interrupt.deferred():
        callbacks, monitor, record = make_callbacks(config, model, splits, folder, interrupt)
        seconds = fit(config, model, splits, callbacks, steps_per_epoch)
    interrupt.check()
    folder.save_backbone(model.backbone)
    figures.draw_run(folder.path, record.rows, model, splits.train)
    result = summary(config, model, record, monitor, seconds)
    result["total_steps"] = config.optimizer.epochs * steps_per_epoch
    if "stopped" not in result and splits.test is not None and splits.train.labels is not None:
        result |= final.evaluate(config, model.backbone, splits, log.info)
    folder.write_json(folder.result, result)
    return result


def make_callbacks(config: Config, model, splits, folder: RunFolder, interrupt: Interrupt):
    """The callbacks in the order in which they see the logs, brought to the newest checkpoint."""
    m = config.monitor
    crop = config.data.image_size
    bank = MonitorImages(limit(splits.train, m.knn_bank), crop=crop)
    record = RunRecord(folder.metrics)
    callbacks: list[keras.callbacks.Callback] = [Rates(config.optimizer.batch_size)]
    stateful, monitor = [], None
    if bank.labels is None:
        log.info("no labels: kNN monitor and linear probe are off")
    queries = None if splits.test is None or splits.test.labels is None else MonitorImages(splits.test, crop=crop)
    if m.knn_epochs and bank.labels is not None and queries is not None:
        e = config.evaluation
        callbacks.append(KNNMonitor(bank, queries, m.knn_epochs, k=e.neighbors, temperature=e.temperature))
    if m.linear_probe and bank.labels is not None:
        probe = LinearProbe(int(bank.labels.max()) + 1, queries, every=m.knn_epochs or 5)
        callbacks.append(probe)
        stateful.append(probe)
    if m.collapse_epochs:
        monitor = CollapseMonitor(bank, m.collapse_epochs, m.collapse_patience, m.stop_on_collapse)
        callbacks.append(monitor)
    if m.tensorboard:
        sample = next(splits.train.batches(8))
        callbacks.append(ViewImages(sample, folder.tensorboard / "images"))
        callbacks.append(keras.callbacks.TensorBoard(str(folder.tensorboard), write_graph=False))
    checkpoints = folder.checkpoint_folder(config.training.keep_checkpoints)
    checkpointer = Checkpointer(checkpoints, record, interrupt, stateful, config.training.checkpoint_epochs)
    for callback in stateful:
        callback.set_model(model)
    checkpointer.resume(model)
    return [*callbacks, record, ProgressBar(config.optimizer.epochs), checkpointer], monitor, record


def limit(image_set, count: int):
    return image_set.take(range(count)) if len(image_set) > count else image_set


def fit(config: Config, model, splits, callbacks, steps_per_epoch: int) -> float:
    """Train from the model's present step to the end; returns the seconds it took this time.

    A run that was stopped inside an epoch first does the rest of that epoch.
    """
    start, total = time.monotonic(), config.optimizer.epochs * steps_per_epoch
    last = min(total, config.training.stop_after_steps or total)
    labelled = any(isinstance(callback, LinearProbe) for callback in callbacks)
    try:
        while (step := int(model.step)) < last and not getattr(model, "stop_training", False):
            epoch, done = divmod(step, steps_per_epoch)
            part = done or last - step < steps_per_epoch
            steps = min(steps_per_epoch - done, last - step)
            model.fit(
                training_batches(splits.train, config.optimizer.batch_size, config.seed, step, labelled),
                initial_epoch=epoch,
                epochs=epoch + 1 if part else last // steps_per_epoch,
                steps_per_epoch=steps,
                callbacks=callbacks,
                shuffle=False,
                verbose=0,
            )
    except tf.errors.OpError as error:
        # The input pipeline runs in TensorFlow's threads, which pass an exception on as text.
        if found := re.search(r"InputError: (.*)", str(error)):
            raise InputError(found[1]) from error
        raise
    finally:
        for callback in callbacks:
            if isinstance(callback, ProgressBar):
                callback.close()
    return time.monotonic() - start


def summary(config: Config, model, record, monitor, seconds: float) -> dict:
    """The figures that need no further computation."""
    result = {
        "method": config.method.name,
        "seed": config.seed,
        "epochs": record.rows[-1]["epoch"] if record.rows else 0,
        "steps": int(model.step),
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
