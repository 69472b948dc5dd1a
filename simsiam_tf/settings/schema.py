"""The schema of a run: frozen dataclasses that YAML files and dotted command-line overrides fill.

Known to the command line, to `train` and to experiments only; models, data and callbacks take plain arguments.
TensorFlow is not imported here, so that `--help` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from simsiam_tf.errors import InputError
from simsiam_tf.settings.augmentation import AugmentationSettings
from simsiam_tf.settings.backbones import BackboneSettings, ResNetSettings
from simsiam_tf.settings.data import DataSettings
from simsiam_tf.settings.methods import MethodSettings
from simsiam_tf.settings.methods.classifier import LabelSettings
from simsiam_tf.settings.methods.simsiam import SimSiamSettings
from simsiam_tf.settings.optimizers import OptimizerSettings, SGDSettings
from simsiam_tf.settings.types import Count, Natural, NonNegative, Positive, PositiveShare, Section, setting


@dataclass(frozen=True)
class TrainingSettings(Section):
    """How the run is carried out; only precision, sync_batch_norm and micro_batches change what is computed.

    Args:
        distribution: Who shares a batch: none, mirrored (the GPUs of this host) or multi_worker (TF_CONFIG or Slurm).
        sync_batch_norm: BatchNorm over the whole batch, as on one device, not over the part of each device.
        precision: float32, bfloat16, float16, or auto (bfloat16 on a GPU, float32 on a CPU).
        jit_compile: Compile the step with XLA: auto means on one GPU only, and there only with a cuDNN that can train
            so, from 9.24 on. true on several devices: views, networks and gradients of each by itself.
        deterministic: Same seed, same weights, bit for bit, on one machine. auto means on a CPU only: on a GPU
            it rules out XLA.
        micro_batches: Parts that a batch is taken in, one after the other, their gradients added up: less memory.
            BatchNorm, and what else looks at a whole batch, then sees one part of it at a time.
        steps_per_execution: Steps per call from Python: between them nothing waits for the device, and no signal is
            heard. The last call of an epoch has those that are left. auto means one on a CPU, up to 100 on a GPU.
        compilation_cache: Folder where XLA keeps compiled programs, so that the next start on this machine loads them.
        stop_after_steps: End the run early, after this many steps in all.
        checkpoint_epochs: Save every so many epochs.
        keep_checkpoints: Keep this many of the newest checkpoints, and the best.
    """

    prefix: ClassVar[str] = "training."
    distribution: Literal["none", "mirrored", "multi_worker"] = setting("none", free=True)
    sync_batch_norm: bool = True
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    jit_compile: bool | Literal["auto"] = "auto"
    deterministic: bool | Literal["auto"] = "auto"
    micro_batches: Count = 1
    steps_per_execution: Count | Literal["auto"] = setting("auto", free=True)
    compilation_cache: str | None = setting(None, free=True, own=True)
    stop_after_steps: Count | None = setting(None, free=True)
    checkpoint_epochs: Count = setting(1, free=True, own=True)
    keep_checkpoints: Count = setting(2, free=True, own=True)

    def __post_init__(self):
        super().__post_init__()
        if self.jit_compile is True and self.deterministic is not False:
            raise InputError(
                "training.jit_compile: true rules out repeatable runs; give training.deterministic false, too"
            )
        if self.distribution != "none" and self.jit_compile is True and self.sync_batch_norm:
            raise InputError(
                "training.jit_compile: true, but XLA does not compile BatchNorm over several devices; give auto, or "
                "training.sync_batch_norm false, too"
            )


@dataclass(frozen=True)
class MonitorSettings(Section):
    """What is watched while training.

    Args:
        knn_epochs: kNN accuracy every so many epochs; 0 switches it off.
        knn_bank: At most this many training images form the neighbour bank.
        linear_probe: Train a linear classifier beside the encoder, on stopped features.
        collapse_epochs: Look for collapse, where targets move, every so many epochs; auto: 40 to 79 times in a run,
            within its epochs if they are fewer; 0 switches it off.
        collapse_patience: Stop after so many "collapsed" verdicts in a row.
        stop_on_collapse: End a collapsed run with exit code 3.
        spectrum_epochs: Keep the singular spectra of features and projections before the first epoch and every so many;
            0 switches it off.
        tensorboard: Write event files.
        carbon_intensity: g of CO2 for a kWh here; null: not known. Energy is measured with the extra [energy] only.
    """

    prefix: ClassVar[str] = "monitor."
    knn_epochs: Natural = 10
    knn_bank: Count = 50_000
    linear_probe: bool = True
    collapse_epochs: Natural | Literal["auto"] = setting("auto", free=True)
    collapse_patience: Count = 3
    stop_on_collapse: bool = True
    spectrum_epochs: Natural = setting(0, free=True)
    tensorboard: bool = setting(True, free=True, own=True)
    carbon_intensity: NonNegative | None = setting(None, free=True, own=True)


@dataclass(frozen=True)
class EvaluationSettings(Section):
    """The final protocol.

    Args:
        fractions: Shares of the labels to learn from.
        subsets: Stratified label subsets per share; the mean over them is reported.
        baselines: Beside the trained encoder: raw (pixels), untrained (encoder), supervised (network).
        split: Images to test on: test, the data's own; validation, those that data.validation_fraction holds out; auto,
            the latter if there are any.
        neighbors: k of the kNN classifier; auto: chosen for each row of the table without the test labels, by
            leave-one-out. The papers': 200. The monitor takes these if it is auto.
        temperature: Temperature of the kNN weights exp(cos / T); auto: chosen with k. The papers': 0.1.
        linear_learning_rate: Base learning rate of the linear probe; auto: chosen for each row on held-out fifths of
            its labels. The CIFAR-10 study's: 30.
        linear_optimizer: sgd, or lars as in the SimSiam paper's appendix: linear_batch_size 4096, linear_epochs 90,
            linear_learning_rate 0.02 (its code: 0.1).
        linear_batch_size: Images in a batch of the linear probe.
        linear_epochs: Epochs of the linear probe at all labels; smaller shares do as many steps.
        supervised_steps: Steps of each supervised network.
        supervised_learning_rate: Base learning rate of the supervised networks.
    """

    prefix: ClassVar[str] = "evaluation."
    fractions: tuple[PositiveShare, ...] = (1.0, 0.1, 0.01)
    subsets: Count = 3
    baselines: tuple[Literal["raw", "untrained", "supervised"], ...] = ()
    split: Literal["auto", "test", "validation"] = "auto"
    neighbors: Count | Literal["auto"] = "auto"
    temperature: Positive | Literal["auto"] = "auto"
    linear_learning_rate: Positive | Literal["auto"] = "auto"
    linear_optimizer: Literal["sgd", "lars"] = "sgd"
    linear_batch_size: Count = 256
    linear_epochs: Count = 100
    supervised_steps: Count = 1000
    supervised_learning_rate: Positive = 0.03

    def __post_init__(self):
        super().__post_init__()
        if not self.fractions:
            raise InputError("evaluation.fractions: [] is empty; give a share of the labels, such as [1.0]")


@dataclass(frozen=True)
class Config(Section):
    """A run.

    Args:
        name: Name of the run; its folder is output/name.
        output: Folder that holds the run folders.
        seed: Seed of everything random.
    """

    name: str = setting("run", free=True, own=True)
    output: str = setting("runs", free=True, own=True)
    seed: Natural = 0
    data: DataSettings = field(default_factory=DataSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    backbone: BackboneSettings = field(default_factory=ResNetSettings)
    method: MethodSettings = field(default_factory=SimSiamSettings)
    optimizer: OptimizerSettings = field(default_factory=SGDSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    monitor: MonitorSettings = field(default_factory=MonitorSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)

    def __post_init__(self):
        """Refuse what no run can use.

        Raises:
            InputError: names the key, its value and what it can be.
        """
        super().__post_init__()
        if not self.name or "/" in self.name or self.name in (".", ".."):
            raise InputError(f"name: {self.name!r} is no plain folder name; give one, such as run")
        views = sum(view.count for view in self.augmentation.views)
        if views and views != self.method.num_views > 1:  # a method of one view takes the first
            raise InputError(
                f"augmentation.views: {views}, but {self.method.name} has {self.method.num_views}; give as many"
            )
        batch, parts = self.optimizer.batch_size, self.training.micro_batches
        if batch % parts:
            raise InputError(
                f"training.micro_batches: {parts} does not divide a batch of {batch}; give a divisor of it"
            )
        self.method.check_batch(batch)
        sizes, epochs = len(self.augmentation.view_sizes), self.optimizer.epochs
        if sizes > epochs:
            raise InputError(
                f"augmentation.view_sizes: {sizes} sizes for {epochs} epochs; give at most one size per epoch"
            )
        self.data.check_epochs(epochs)
        if self.data.order != "epochs" and isinstance(self.method, LabelSettings):
            raise InputError(
                f"data.order: {self.data.order}, but a {self.method.name} learns its labels in epochs; give epochs"
            )
        a, own = self.augmentation, [view.size for view in self.augmentation.views if view.size]
        sides = {"augmentation.view_sizes": a.view_sizes, "augmentation.views.size": own}
        self.backbone.check_sizes(self.data.image_size, sides)

    @property
    def folder(self) -> Path:
        return Path(self.output) / self.name
