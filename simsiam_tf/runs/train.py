"""pretrain(config): open the run, load the data, make method and watchers, resume, fit, evaluate."""

from __future__ import annotations

import contextlib
import logging

import tensorflow as tf

from simsiam_tf.cuda import has_nvidia_device
from simsiam_tf.errors import Diverged, InputError
from simsiam_tf.evaluation.features import Extractor
from simsiam_tf.evaluation.verdict import HEALTHY
from simsiam_tf.methods.bank import ImageBank
from simsiam_tf.runs.build import build_backbone, build_method, compile_method, has_gpu, load_data, prepare_process
from simsiam_tf.runs.classify import classified
from simsiam_tf.runs.curves import draw_curves
from simsiam_tf.runs.evaluate import OUT_OF_MEMORY, can_evaluate, enough_memory, evaluate, without_labels
from simsiam_tf.runs.fit import fit
from simsiam_tf.runs.folder import RunFolder, SilentFolder
from simsiam_tf.runs.interrupt import Interrupt
from simsiam_tf.runs.labelled import class_names, labelled, learns_labels
from simsiam_tf.runs.order import training_order
from simsiam_tf.runs.result import of_divergence, summary
from simsiam_tf.runs.spectra import draw_spectra, over_training
from simsiam_tf.runs.teacher import load_teacher
from simsiam_tf.runs.views import draw_sample
from simsiam_tf.runs.watchers import Watchers, make_watchers
from simsiam_tf.runs.workers import Workers
from simsiam_tf.settings.schema import Config

log = logging.getLogger("simsiam_tf")


def pretrain(config: Config) -> dict | None:
    """Train as configured, going on where an earlier call stopped, and evaluate.

    Returns:
        The figures of result.json; "stopped" is in them if the run collapsed or diverged. Of several workers only the
        first has figures.

    Raises:
        InputError: the configuration, the data or the run folder cannot be used.
        Interrupted: a signal came; the state is saved. WorkerLost: another worker has ended.
    """
    workers = Workers(config.training.distribution)
    with workers.watched(), contextlib.closing(open_folder(config, workers)) as folder:
        done = folder.read_result()
        if workers.anywhere(is_complete(config, done)):
            log.info("%s is complete; give another --name to train anew", config.folder)
            return shared(done, workers)
        try:
            with Interrupt() as interrupt:
                result = train_and_evaluate(config, folder, interrupt, workers)
        except OUT_OF_MEMORY as error:
            raise InputError(
                f"optimizer.batch_size: {config.optimizer.batch_size} images of {config.data.image_size} px and this "
                "network need more memory than there is; give smaller ones"
            ) from error
        return shared(result, workers)  # if the first one does not survive its evaluation, all are started again


def shared(result: dict | None, workers: Workers) -> dict | None:
    """The result of the first worker; in the others what all have to know of it: that the run has failed."""
    failed = workers.anywhere(result is not None and result.get("outcome", HEALTHY) != HEALTHY)
    return {"outcome": "failed", "reason": "see the first worker"} if failed and not workers.chief else result


def open_folder(config: Config, workers: Workers) -> RunFolder | SilentFolder:
    """The run's folder in the first worker; one that writes nothing in the others."""
    return RunFolder.open(config) if workers.chief else SilentFolder()


def is_complete(config: Config, done: dict | None) -> bool:
    """Whether the figures of a folder are those of the whole run, as far as it is to go this time."""
    if not done or "steps" not in done:
        return False
    last = config.training.stop_after_steps or done.get("total_steps", 0)
    return "stopped" in done or done["steps"] >= last


def train_and_evaluate(config: Config, folder, interrupt: Interrupt, workers: Workers) -> dict | None:
    precision = prepare_process(config)
    log.info("training on %s in %s", "GPU" if has_gpu() else "CPU", precision)
    if has_nvidia_device() and not has_gpu():
        log.warning(
            "this host has an NVIDIA GPU, but TensorFlow finds none and trains on the CPU; TF_CPP_MIN_LOG_LEVEL=0 says "
            "why. CUDA's libraries come with make train DEVICE=gpu, or with the package's extra [gpu]"
        )
    devices = [device.name for device in tf.config.list_physical_devices()]
    folder.write_environment(config, precision, devices, workers.replicas)
    splits = load_data(config)
    folder.write_unreadable(splits.train, splits.test)
    log.info("%d training images, %s test images", len(splits.train), len(splits.test) if splits.test else "no")
    learned = labelled(config, splits)
    steps_per_epoch = count_steps(config, learned.train)
    workers.check(config, learned.train)
    order = training_order(config, len(learned.train), folder, workers)
    model = make_model(config, folder, workers, steps_per_epoch, learned.train)
    with interrupt.deferred():
        watchers = make_watchers(config, model, learned, folder, interrupt, steps_per_epoch, workers)
        watchers.resume(model, workers)
        try:
            seconds = fit(config, model, learned.train, watchers, workers, steps_per_epoch, order)
        except Diverged as error:
            folder.log_last_checkpoint()
            show(config, folder, watchers, steps_per_epoch)
            return conclude(folder, watchers, of_divergence(config, watchers, error))
    interrupt.check()
    if not workers.chief:
        return None
    result = summary(config, model, watchers, seconds)
    ended = watchers.held_out is not None and watchers.held_out.stopped
    result["total_steps"] = result["steps"] if ended else config.optimizer.epochs * steps_per_epoch
    watchers.checkpointer.restore_best()
    folder.save_backbone(model.encoder)
    with enough_memory(splits, folder.path):
        try:
            draw_sample(folder.path / "views.png", model, splits.train)
            show(config, folder, watchers, steps_per_epoch)
            if watchers.events:
                watchers.events.project(model.encoder, splits.test or splits.train, config.data.image_size)
            if learns_labels(config):
                folder.save_classifier(model.network())
                kept = (watchers.held_out and watchers.held_out.best) or watchers.record.rows[-1]
                result |= classified(config, folder.load_classifier(), learned, splits.test, kept)
            else:
                judge = evaluate if "stopped" not in result and can_evaluate(splits) else without_labels
                result |= judge(config, folder.load_backbone(), splits, log.info)
        except OUT_OF_MEMORY:
            conclude(folder, watchers, result)  # what is known of the training, for `evaluate` to add to
            raise
    return conclude(folder, watchers, result)


def show(config: Config, folder, watchers: Watchers, steps_per_epoch: int) -> None:
    """Draw curves.png and spectra.png; without figures, and in other workers than the first, there are none."""
    if watchers.spectra and watchers.spectra.looks:
        draw_spectra(folder.path / "spectra.png", over_training(watchers.spectra.looks))
    looks, untrained = watchers.monitor.looks if watchers.monitor else [], None
    if not watchers.record or not (watchers.record.rows or looks):
        return
    if watchers.knn:
        extractor = Extractor(build_backbone(config))
        untrained = watchers.knn.accuracy(lambda images: extractor(images.batches()))
    draw_curves(folder.path / "curves.png", watchers.record.rows, looks, steps_per_epoch, untrained)


def conclude(folder, watchers: Watchers, result: dict) -> dict:
    """Tell TensorBoard the result, and last of all keep it, which says that the run is complete."""
    if watchers.events:
        watchers.events.finish(result)
    folder.write_result(result)
    return result


def count_steps(config: Config, images) -> int:
    """Steps in an epoch.

    Raises:
        InputError: there are fewer images than a batch has.
    """
    steps = len(images) // config.optimizer.batch_size
    if not steps:
        raise InputError(
            f"optimizer.batch_size: {config.optimizer.batch_size} is above the {len(images)} training images; "
            "give a smaller one"
        )
    return steps


def make_model(config: Config, folder, workers: Workers, steps_per_epoch: int, images):
    """The compiled method, with the weights of `import-weights` or `finetune` if it begins with them."""
    num_images, num_classes = len(images), None if images.labels is None else len(class_names(images))
    with workers.strategy.scope():
        teacher = load_teacher(config, folder.teacher)
        model = build_method(config, steps_per_epoch, num_images, num_classes, teacher)
        for bank in (layer for layer in model.layers if isinstance(layer, ImageBank)):
            log.info("a bank of %d targets: %.3g GB", num_images, bank.nbytes / 1e9)
        if not folder.checkpoint_folder(1).files() and folder.load_imported(model):
            log.info("starting from the imported weights, %s", folder.imported)
        compile_method(model, config, steps_per_epoch)
    return model
