"""The schema of a run: frozen dataclasses that YAML files and dotted command-line overrides fill.

Known to the command line, to `train` and to experiments only; models, data and callbacks take plain arguments.
TensorFlow is not imported here, so that `--help` answers at once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class DataConfig:
    """Images to train on and to test with.

    Args:
        source: digits (built in), tfds (a TensorFlow Datasets name), folder (of image files) or arrays (.npz or .npy).
        name: TFDS name, for example cifar10.
        path: Folder of images, array file, or TFDS data_dir.
        image_size: Side of the square the network sees, in pixels.
        store_size: Side at which images are kept before cropping; default image_size, or 8/7 of it above 64.
        validation_fraction: Share of the training images held out by seed and tested on instead of the test split.
        train_split: TFDS split to train on.
        test_split: TFDS split to test on.
        limit: Use only this many training images, drawn by seed.
        test_limit: Use only this many test images, drawn by seed.
        memory_limit_gb: Larger sets are streamed from disk.
    """

    source: Literal["digits", "tfds", "folder", "arrays"] = "tfds"
    name: str | None = None
    path: str | None = None
    image_size: int = 32
    store_size: int | None = None
    validation_fraction: float = 0.0
    train_split: str = "train"
    test_split: str = "test"
    limit: int | None = None
    test_limit: int | None = None
    memory_limit_gb: float = 4.0


@dataclass(frozen=True)
class AugmentationConfig:
    """How a view is made of an image. Values left null come from the recipe.

    Args:
        recipe: cifar10, imagenet, digits or none.
        min_area: Smallest share of the image that a crop covers.
        flip: Probability of a horizontal flip.
        jitter_probability: Probability of the colour jitter.
        brightness: Strength of the brightness jitter.
        contrast: Strength of the contrast jitter.
        saturation: Strength of the saturation jitter.
        hue: Strength of the hue jitter, at most 0.5.
        grayscale: Probability of dropping colour.
        blur_probability: Probability of a Gaussian blur.
        view_sizes: Sides of the views over equal parts of the epochs, for example [24, 32]: small views cost less.
            Empty: data.image_size throughout.
    """

    recipe: Literal["cifar10", "imagenet", "digits", "none"] = "cifar10"
    min_area: float | None = None
    flip: float | None = None
    jitter_probability: float | None = None
    brightness: float | None = None
    contrast: float | None = None
    saturation: float | None = None
    hue: float | None = None
    grayscale: float | None = None
    blur_probability: float | None = None
    view_sizes: tuple[int, ...] = ()

    def overrides(self) -> dict[str, float]:
        """The values that differ from the recipe."""
        values = asdict(self).items()
        return {key: value for key, value in values if key not in ("recipe", "view_sizes") and value is not None}


@dataclass(frozen=True)
class BackboneConfig:
    """The encoder that is kept after training.

    Args:
        name: resnet18, resnet34 or resnet50.
        stem: cifar (3x3, stride 1, no pooling) or imagenet (7x7, stride 2, max-pooling).
        width: Channels of the first stage; 64 is the standard network.
        zero_init_residual: Start each residual block as the identity.
        mean: Per-channel mean that the first layer subtracts, for pixels in [0, 1].
        std: Per-channel standard deviation that the first layer divides by.
    """

    name: Literal["resnet18", "resnet34", "resnet50"] = "resnet18"
    stem: Literal["cifar", "imagenet"] = "cifar"
    width: int = 64
    zero_init_residual: bool = True
    mean: tuple[float, float, float] = (0.4914, 0.4822, 0.4465)
    std: tuple[float, float, float] = (0.247, 0.2435, 0.2616)


@dataclass(frozen=True)
class MethodConfig:
    """The self-supervised method and its heads.

    Args:
        name: simsiam.
        projector_layers: Fully connected layers of the projector: 2 for CIFAR-10, 3 for ImageNet.
        projector_hidden: Hidden width of the projector; null means the feature dimension.
        projection_dim: Width of the projector's and the predictor's output.
        projector_output_norm: BatchNorm without scale and offset on the projector's output.
        predictor: mlp, or none for the ablation.
        predictor_hidden: Width of the predictor's bottleneck.
        stop_gradient: False for the ablation that collapses.
        num_views: Views of each image in a step; above 2, each prediction meets the mean of the others (FastSiam).
        ema_momentum: Evaluate and keep a moving average of the encoder's weights with this momentum; 0: the weights.
    """

    name: Literal["simsiam"] = "simsiam"
    projector_layers: int = 2
    projector_hidden: int | None = None
    projection_dim: int = 2048
    projector_output_norm: bool = True
    predictor: Literal["mlp", "none"] = "mlp"
    predictor_hidden: int = 512
    stop_gradient: bool = True
    num_views: int = 2
    ema_momentum: float = 0.0


@dataclass(frozen=True)
class OptimizerConfig:
    """SGD with coupled weight decay on every variable; learning rate = learning_rate x batch_size / 256.

    Args:
        learning_rate: Base learning rate, per 256 images.
        batch_size: Images per step.
        epochs: Passes over the training images; the cosine ends there.
        momentum: Momentum.
        weight_decay: Weight decay, added to the gradient before the momentum.
        warmup_epochs: Epochs of linear warm-up.
        predictor_ratio: Learning rate of the predictor over that of the encoder.
        predictor_schedule: constant (the papers' choice) or cosine.
    """

    learning_rate: float = 0.03
    batch_size: int = 512
    epochs: int = 800
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_epochs: int = 0
    predictor_ratio: float = 1.0
    predictor_schedule: Literal["constant", "cosine"] = "constant"


@dataclass(frozen=True)
class TrainingConfig:
    """How the run is carried out; only precision and sync_batch_norm change what is computed.

    Args:
        distribution: Who shares a batch: none, mirrored (the GPUs of this host) or multi_worker (TF_CONFIG or Slurm).
        sync_batch_norm: BatchNorm over the whole batch, as on one device, not over the part of each device.
        precision: float32, bfloat16, float16, or auto (bfloat16 on a GPU, float32 on a CPU).
        jit_compile: Compile the step with XLA: auto means on a GPU only.
        deterministic: Same seed, same weights, bit for bit, on one machine. auto means on a CPU only: on a GPU
            it rules out XLA.
        steps_per_execution: Steps per call from Python, a divisor of the steps of an epoch: between them nothing waits
            for the device, and no signal is heard. auto means one on a CPU, on a GPU as many as divide, up to 100.
        compilation_cache: Folder where XLA keeps compiled programs, so that the next start on this machine loads them.
        stop_after_steps: End the run early, after this many steps in all.
        checkpoint_epochs: Save every so many epochs.
        keep_checkpoints: Keep this many of the newest checkpoints, and the best.
    """

    distribution: Literal["none", "mirrored", "multi_worker"] = "none"
    sync_batch_norm: bool = True
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    jit_compile: bool | Literal["auto"] = "auto"
    deterministic: bool | Literal["auto"] = "auto"
    steps_per_execution: int | Literal["auto"] = "auto"
    compilation_cache: str | None = None
    stop_after_steps: int | None = None
    checkpoint_epochs: int = 1
    keep_checkpoints: int = 2


@dataclass(frozen=True)
class MonitorConfig:
    """What is watched while training.

    Args:
        knn_epochs: kNN accuracy every so many epochs; 0 switches it off.
        knn_bank: At most this many training images form the neighbour bank.
        linear_probe: Train a linear classifier beside the encoder, on stopped features.
        collapse_epochs: Look for collapse every so many epochs; 0 switches it off.
        collapse_patience: Stop after so many "collapsed" verdicts in a row.
        stop_on_collapse: End a collapsed run with exit code 3.
        tensorboard: Write event files.
    """

    knn_epochs: int = 10
    knn_bank: int = 50_000
    linear_probe: bool = True
    collapse_epochs: int = 5
    collapse_patience: int = 3
    stop_on_collapse: bool = True
    tensorboard: bool = True


@dataclass(frozen=True)
class EvaluationConfig:
    """The final protocol.

    Args:
        fractions: Shares of the labels to learn from.
        subsets: Stratified label subsets per share; the mean over them is reported.
        baselines: Beside the trained encoder: raw (pixels), untrained (encoder), supervised (network).
        neighbors: k of the kNN classifier.
        temperature: Temperature of the kNN weights exp(cos / T).
        linear_learning_rate: Base learning rate of the linear probe.
        linear_epochs: Epochs of the linear probe at all labels; smaller shares do as many steps.
        supervised_steps: Steps of each supervised network.
        supervised_learning_rate: Base learning rate of the supervised networks.
    """

    fractions: tuple[float, ...] = (1.0, 0.1, 0.01)
    subsets: int = 3
    baselines: tuple[Literal["raw", "untrained", "supervised"], ...] = ()
    neighbors: int = 200
    temperature: float = 0.1
    linear_learning_rate: float = 30.0
    linear_epochs: int = 100
    supervised_steps: int = 1000
    supervised_learning_rate: float = 0.03


@dataclass(frozen=True)
class Config:
    """A run.

    Args:
        name: Name of the run; its folder is output/name.
        output: Folder that holds the run folders.
        seed: Seed of everything random.
    """

    name: str = "run"
    output: str = "runs"
    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    @property
    def folder(self) -> Path:
        return Path(self.output) / self.name
