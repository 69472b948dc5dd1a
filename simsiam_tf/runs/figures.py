"""Pictures of a run: its curves and its augmented views. Drawn with Matplotlib, which needs no display."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from simsiam_tf.atomic import replacing
from simsiam_tf.callbacks.views import view_grid

PANELS = [
    ("loss", {"loss": "loss"}),
    ("accuracy on test images", {"knn_accuracy": "kNN", "val_probe_accuracy": "linear probe"}),
    ("collapse figures", {"feature_std": "std of z/|z|", "correlation_strength": "correlation strength"}),
]


def draw_run(folder: Path, rows: list[dict], model, images) -> None:
    """Write curves.png and views.png into a run folder.

    Args:
        rows: A dict of figures per epoch, as RunRecord holds them.
        model: A method with `draw_views`.
        images: ImageSet of which eight images are shown, drawn by the model's seed: sets are often sorted by class.
    """
    if rows:
        draw_curves(rows, folder / "curves.png")
    shown = np.random.default_rng(model.seed).choice(len(images), min(8, len(images)), replace=False)
    squares, sizes = images.whole(np.sort(shown))
    draw_views(view_grid(model, squares, sizes=sizes), model.num_views, folder / "views.png")


def draw_curves(rows: list[dict], path: Path) -> None:
    """Loss, accuracies and collapse figures over epochs; panels without data are left out."""
    panels = [(title, {k: v for k, v in lines.items() if any(k in row for row in rows)}) for title, lines in PANELS]
    panels = [panel for panel in panels if panel[1]]
    figure = Figure(figsize=(4 * len(panels), 3), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, lines) in zip(axes, panels, strict=True):
        for key, label in lines.items():
            points = [(row["epoch"], row[key]) for row in rows if key in row]
            axis.plot(*zip(*points, strict=True), marker="." if len(points) < 30 else None, label=label)
        axis.set(title=title, xlabel="epoch")
        axis.grid(alpha=0.3)
        if len(lines) > 1:
            axis.legend(frameon=False)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=120)


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
