"""The final figures as a table, and what they say in words."""

from __future__ import annotations

from textwrap import fill

from rich.console import Console
from rich.table import Table

from simsiam_tf.evaluation.energy import used
from simsiam_tf.evaluation.forecast import sentence
from simsiam_tf.experiments.study import CLASSIFIERS
from simsiam_tf.runs.evaluate import TITLES

WIDTH = 80
# Columns of a diagnosis: the figure, and how it is written.
DIAGNOSED = {
    "AUC": ("spectrum_auc", "{:.3f}"),
    "rank": ("effective_rank", "{:.1f}"),
    "RankMe": ("rankme", "{:.1f}"),
    "NESum": ("nesum", "{:.1f}"),
    "alpha": ("alpha_req", "{:.2f}"),
    "LiDAR": ("lidar", "{:.1f}"),
    "align.": ("alignment", "{:.3f}"),
    "uniform.": ("uniformity", "{:.2f}"),
    "spread": ("relative_std", "{:.2f}"),
    "corr.": ("correlation_strength", "{:.2f}"),
}


def print_result(result: dict) -> None:
    """The table, if there are accuracies; whether the encoder is any good; and the verdict of its training."""
    if "by_fraction" in result:
        _print_table(result)
    if "classifier" in result:
        _print_classifier(result["classifier"])
    if "quality" in result:
        print(fill(result["quality"]["sentence"], WIDTH))
    if "forecast" in result and "linear_accuracy" not in result:
        print(fill(sentence(result["forecast"]), WIDTH))
    if "verdict" in result:
        print(fill(f"training: {result['verdict']}", WIDTH))
    if energy := used([result]):
        print(fill(f"energy: {energy}", WIDTH))


def print_diagnoses(diagnoses) -> None:
    """The figures without labels of several encoders, a row for each of their outputs, and what could not be had."""
    counts = " / ".join(map(str, sorted({each.images for each in diagnoses})))
    table = Table(title=f"Without labels, of {counts} images")
    for title in ("encoder", "output", "d", *DIAGNOSED):
        table.add_column(title, justify="left" if title in ("encoder", "output") else "right", overflow="fold")
    for each in diagnoses:
        for key, part in each.parts.items():
            known = part.figures
            cells = [form.format(known[figure]) if figure in known else "-" for figure, form in DIAGNOSED.values()]
            style = "bold" if key == "features" else None
            table.add_row(each.name, key, str(len(part.singular_values)), *cells, style=style)
    Console(width=120).print(table)
    for each in diagnoses:
        if each.forecast:
            print(fill(f"{each.name}: {sentence(each.forecast)}", WIDTH))
        if each.missing:
            print(fill(f"{each.name}: no projections: {each.missing}", WIDTH))


def _print_table(result):
    """Test accuracy by share of the labels, a row per method and classifier."""
    subsets = result["evaluation"]["subsets"]
    spread = f" (mean ± std of {subsets} label subsets)" if subsets > 1 else ""
    by_fraction = result["by_fraction"]
    fractions = [row["fraction"] for row in by_fraction["encoder"]]
    table = Table(title=f"Test accuracy in % by share of the labels{spread}")
    table.add_column("features")
    table.add_column("classifier")
    for fraction in fractions:
        table.add_column(f"{100 * fraction:.4g} %", justify="right")
    for name, rows in by_fraction.items():
        for key in (key for key in rows[0] if key.endswith("_accuracy")):
            classifier, cells = CLASSIFIERS.get(key, key.removesuffix("_accuracy")), [_cell(row, key) for row in rows]
            table.add_row(TITLES[name], classifier, *cells, style="bold" if name == "encoder" else None)
    Console(width=100).print(table)


def _print_classifier(found):
    """What it learned from, and how it does on images that it did not learn from."""
    table = Table(title="Classifier, accuracy in %")
    cells = {"labels": found["labels"], "of them held out": found["held_out"], "epoch": found["epoch"]}
    for key, title in (("held_out_accuracy", "held-out labels"), ("test_accuracy", "test images")):
        if key in found:
            cells[title] = f"{100 * found[key]:.1f}"
    for title in cells:
        table.add_column(title, justify="right")
    table.add_row(*map(str, cells.values()))
    Console(width=100).print(table)


def _cell(row, key):
    text = f"{100 * row[key]:.1f}"
    return f"{text} ± {100 * row[key + '_std']:.1f}" if f"{key}_std" in row else text
