"""Bars: accuracy by share of the labels, of encoders and of what they are judged beside."""

from __future__ import annotations

import itertools

import matplotlib as mpl
from matplotlib.ticker import PercentFormatter

from simsiam_tf.experiments.study import BASELINES, CLASSIFIERS
from simsiam_tf.experiments.tables import labels_of, shown_labels
from simsiam_tf.report.compared import SUPERVISED, Compared
from simsiam_tf.report.finetuned import ACCURACY
from simsiam_tf.report.plots import INK, PALETTE, STYLE, empty, legend, svg

BESIDE_COLOURS = dict(zip([*BASELINES.values(), SUPERVISED], ["#777777", "#aaaaaa", INK], strict=True))


def bars(found: Compared, colours: dict[str, str]) -> dict[str, str]:
    """{classifier: SVG}: means over seeds. The supervised network, trained end to end, is beside every classifier.

    Args:
        colours: Of the rows that are encoders.
    """
    *classifiers, end_to_end = CLASSIFIERS
    supervised = by_share(found, end_to_end)
    drawn = {key: by_share(found, key) | supervised for key in classifiers if by_share(found, key)}
    drawn = drawn or ({end_to_end: supervised} if supervised else {})
    of = {
        name: colours.get(name) or next(c for key, c in BESIDE_COLOURS.items() if name.startswith(key))
        for rows in drawn.values()
        for name in rows
    }
    return {
        key: chart(CLASSIFIERS[key], rows, of)
        for key, rows in drawn.items()
        if sum(map(len, rows.values())) > 1  # a bar alone says no more than its number
    }


def of_classifiers(found: list[Compared]) -> list[str]:
    """What `finetuned.compared` gives, as SVG."""
    rows = [(each, by_share(each, ACCURACY)) for each in found]
    return [chart(each.title, of, dict(zip(of, itertools.cycle(PALETTE)))) for each, of in rows]


def by_share(found: Compared, classifier: str) -> dict[str, dict[float, float]]:
    """{row: {share: accuracy}} of those that have any."""
    shares = [(column, labels_of(column)) for column in found.columns if column.partition("@")[0] == classifier]
    rows = {
        line.name: {share: sample.mean for column, share in shares if (sample := line.samples.get(column))}
        for line in found.lines
    }
    return {name: values for name, values in rows.items() if values}


def chart(title: str, rows: dict[str, dict[float, float]], colours: dict[str, str]) -> str:
    """Test accuracy of each row by labels, a share of them up to 1 or a number of them from 2 on, as SVG."""
    places = sorted({labels for values in rows.values() for labels in values}, key=lambda each: (each > 1, -each))
    with mpl.rc_context(STYLE):
        figure, axis = empty(5.2, 1.2 + 0.14 * len(rows) * len(places) + 0.09 * len(rows))
        for index, (name, values) in enumerate(rows.items()):
            at = [places.index(labels) + (index + 0.5) * 0.85 / len(rows) for labels in values]
            axis.barh(at, list(values.values()), 0.85 / len(rows), label=name, color=colours[name])
        axis.set_yticks([place + 0.42 for place in range(len(places))], [shown_labels(each) for each in places])
        axis.invert_yaxis()
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.set(title=title, xlabel="test accuracy", ylabel="of the labels")
        legend(figure, list(rows))
        said = "; ".join(
            f"{name} {', '.join(f'{100 * values[each]:.1f} % with {shown_labels(each)}' for each in values)}"
            for name, values in rows.items()
        )
        return svg(figure, f"{title}: test accuracy by labels: {said}")
