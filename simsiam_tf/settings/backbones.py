"""What can be said of each backbone, the encoder that is kept after training: a frozen dataclass a family, found by
`backbone.name`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

from simsiam_tf.errors import InputError
from simsiam_tf.settings.types import Count, Number, Positive, Section

MLP_RATIO = 4  # hidden units over `dim` in every ViT


@dataclass(frozen=True)
class BackboneSettings(Section):
    """What all backbones have.

    Args:
        name: Name of the backbone.
        mean: Per-channel mean that the first layer subtracts, for pixels in [0, 1].
        std: Per-channel standard deviation that the first layer divides by.
    """

    prefix: ClassVar[str] = "backbone."
    name: str = ""
    mean: tuple[Number, Number, Number] = (0.4914, 0.4822, 0.4465)
    std: tuple[Positive, Positive, Positive] = (0.247, 0.2435, 0.2616)

    def arguments(self, image_size: int) -> dict:
        """Those of `networks.build`."""
        return asdict(self)

    def check_sizes(self, image_size: int, view_sizes: dict[str, list[int]]) -> None:
        """Refuse images that the network does not take.

        Args:
            image_size: data.image_size.
            view_sizes: Sides of the views by the key that sets them.

        Raises:
            InputError: names the key, its value and what it can be.
        """


@dataclass(frozen=True)
class ResNetSettings(BackboneSettings):
    """A ResNet (He et al. 2016), for images of any size.

    Args:
        name: resnet18, resnet34 or resnet50.
        stem: cifar (3x3, stride 1, no pooling) or imagenet (7x7, stride 2, max-pooling).
        width: Channels of the first stage; 64 is the standard network.
        zero_init_residual: Start each residual block as the identity.
    """

    name: Literal["resnet18", "resnet34", "resnet50"] = "resnet18"
    stem: Literal["cifar", "imagenet"] = "cifar"
    width: Count = 64
    zero_init_residual: bool = True

    def __str__(self):
        return f"{self.name} with {self.stem} stem, width {self.width}"


@dataclass(frozen=True)
class ViTSettings(BackboneSettings):
    """A Vision Transformer (Dosovitskiy et al. 2021), by default MoCo v3's ViT-S; all images are whole patches.

    Args:
        name: vit_small.
        patch: Side of a patch in pixels.
        dim: Width of the tokens.
        depth: Number of blocks.
        heads: Heads of each attention; 12 in MoCo v3's ViT-S, 6 in timm's.
        positions: sincos (fixed, MoCo v3's) or learned (timm's), for one size of images.
        freeze_patch: Do not train the projection of the patches.
    """

    name: Literal["vit_small"] = "vit_small"
    patch: Count = 16
    dim: Count = 384
    depth: Count = 12
    heads: Count = 12
    positions: Literal["sincos", "learned"] = "sincos"
    freeze_patch: bool = True

    def __post_init__(self):
        super().__post_init__()
        if self.dim % self.heads:
            raise InputError(f"backbone.heads: {self.heads} for tokens of {self.dim}; give a divisor of backbone.dim")
        if self.positions == "sincos" and self.dim % 4:
            raise InputError(f"backbone.dim: {self.dim} with positions sincos; give a multiple of 4")

    def __str__(self):
        layers = f"{self.depth} layers of {self.dim}, {self.heads} heads"
        return f"{self.name} with {layers}, patches of {self.patch} px, positions {self.positions}"

    def arguments(self, image_size: int) -> dict:
        return super().arguments(image_size) | {"image_size": image_size}

    def check_sizes(self, image_size: int, view_sizes: dict[str, list[int]]) -> None:
        for key, sizes in {"data.image_size": [image_size], **view_sizes}.items():
            for size in sizes:
                if size % self.patch:
                    raise InputError(f"{key}: {size} px are no whole patches of {self.patch} px; give a multiple")
                if self.positions == "learned" and size != image_size:
                    raise InputError(
                        f"{key}: {size} px, but the learned positions are those of {image_size}; give data.image_size, "
                        "or backbone.positions sincos"
                    )


BACKBONES = dict.fromkeys(("resnet18", "resnet34", "resnet50"), ResNetSettings) | {"vit_small": ViTSettings}
