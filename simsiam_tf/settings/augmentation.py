"""What can be said of the views."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, Literal

from simsiam_tf.errors import InputError
from simsiam_tf.settings.types import Count, PositiveShare, Range, Section, Share

Strength = Annotated[float, Range(0, 255)]
Recipe = Literal["cifar10", "imagenet", "digits", "byol_first", "byol_second", "none"]


@dataclass(frozen=True)
class RecipeSettings(Section):
    """How a view is made of an image. Values left null come from the recipe.

    Args:
        recipe: Named set of values.
        min_area: Smallest share of the image that a crop covers.
        max_area: Largest share of the image that a crop covers.
        flip: Probability of a horizontal flip.
        jitter_probability: Probability of the colour jitter.
        brightness: Strength of the brightness jitter.
        contrast: Strength of the contrast jitter.
        saturation: Strength of the saturation jitter.
        hue: Strength of the hue jitter, at most 0.5.
        grayscale: Probability of dropping colour.
        solarize: Probability of inverting the bright pixels.
        blur_probability: Probability of a Gaussian blur.
    """

    prefix: ClassVar[str] = "augmentation."
    recipe: Recipe | None = None
    min_area: PositiveShare | None = None
    max_area: PositiveShare | None = None
    flip: Share | None = None
    jitter_probability: Share | None = None
    brightness: Strength | None = None
    contrast: Strength | None = None
    saturation: Strength | None = None
    hue: Annotated[float, Range(0, 0.5)] | None = None
    grayscale: Share | None = None
    solarize: Share | None = None
    blur_probability: Share | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.min_area is not None and self.min_area > (1 if self.max_area is None else self.max_area):
            raise InputError(f"{self.prefix}min_area: {self.min_area} is above max_area {self.max_area}; give less")

    def values(self) -> dict:
        """What is given, recipe and overrides, as keywords of `augment.recipe`."""
        known = {each.name: getattr(self, each.name) for each in fields(RecipeSettings)}
        return {"name" if key == "recipe" else key: value for key, value in known.items() if value is not None}


@dataclass(frozen=True)
class ViewSettings(RecipeSettings):
    """One kind of view, where not all are alike.

    Args:
        size: Side of the view in pixels; null: data.image_size.
        count: Views of this kind.
    """

    prefix: ClassVar[str] = "augmentation.views."
    size: Count | None = None
    count: Count = 1


@dataclass(frozen=True)
class AugmentationSettings(RecipeSettings):
    """How the views of a step are made of an image. Values left null come from the recipe.

    Args:
        view_sizes: Sides of the views over equal parts of the epochs, for example [24, 32]: small views cost less.
            Empty: data.image_size throughout.
        views: Kinds of views, where not all are alike: a list of {recipe: ..., size: ..., count: ...}, with the values
            above, too. What a kind leaves out is as above. Empty: all views are alike, as many as the method has.
    """

    recipe: Recipe | None = "cifar10"
    view_sizes: tuple[Count, ...] = ()
    views: tuple[ViewSettings, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        if self.view_sizes and any(view.size for view in self.views):
            raise InputError("augmentation.view_sizes: views have sizes of their own, too; give one of the two")
