"""views.png: what the network was shown. Drawn with Matplotlib, which needs no display."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from simsiam_tf.atomic import replacing
from simsiam_tf.callbacks.views import view_grid


def draw_sample(path: Path, model, images) -> None:
    """Write views.png.

    Args:
        model: A method with `draw_views`.
        images: ImageSet of which eight images are shown, drawn by the model's seed: sets are often sorted by class.
    """
    shown = np.random.default_rng(model.seed).choice(len(images), min(8, len(images)), replace=False)
    squares, sizes = images.whole(np.sort(shown))
    draw_views(view_grid(model, squares, sizes=sizes), model.num_views, path)


def draw_views(grid: np.ndarray, num_views: int, path: Path) -> None:
    """The grid of `view_grid`: images above `num_views` views of each."""
    height, width = grid.shape[:2]
    figure = Figure(figsize=(9, 9 * height / width + 0.3), layout="constrained")
    axis = figure.subplots()
    axis.imshow(grid, interpolation="nearest")
    names = ["image", *(f"view {i + 1}" for i in range(num_views))]
    axis.set_yticks([height / len(names) * (row + 0.5) for row in range(len(names))], names)
    axis.set_xticks([])
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=120)
