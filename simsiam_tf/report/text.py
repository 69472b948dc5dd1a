"""The tables of a report as CSV and LaTeX."""

from __future__ import annotations

import csv
import io

from simsiam_tf.experiments import tables
from simsiam_tf.report import finetuned, registry
from simsiam_tf.report.compared import Compared, of_groups
from simsiam_tf.report.grouping import groups
from simsiam_tf.report.records import Record

SPECIAL = {letter: f"\\{letter}" for letter in "&%$#_{}"} | {"\\": r"\textbackslash{}"}
SPECIAL |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "√": r"$\sqrt{}$"}


def csv_text(records: list[Record], studies: list[Compared]) -> str:
    """Numbers to compute with: accuracies from 0 to 1, mean and deviation in columns of their own.

    First the tables of the studies and of the accuracies, each with its differences, then the runs that are of no
    study, an empty line between them.
    """
    compared, alone = _parts(records, studies)
    found = [part for each in compared for part in (_means(each), _differences(each)) if len(part) > 1]
    if alone:
        columns = registry.columns(alone)
        found.append([[each.key for each in columns], *zip(*(each.values for each in columns), strict=True)])
    text = io.StringIO()
    for index, rows in enumerate(found):
        text.write("\n" if index else "")
        csv.writer(text, lineterminator="\n").writerows([[_number(cell) for cell in row] for row in rows])
    return text.getvalue()


def _means(compared):
    header = ["row", *(name for column in compared.columns for name in (column, f"{column} sd")), "runs"]
    papers = [column for column in compared.columns if any(column in line.paper for line in compared.lines)]
    rows = [header + [f"paper: {column}" for column in papers]]
    for line in compared.lines:
        samples = [line.samples.get(column) for column in compared.columns]
        figures = [value for each in samples for value in ((each.mean, each.sd) if each else (None, None))]
        rows.append([line.name, *figures, line.outcomes, *(line.paper.get(column, "") for column in papers)])
    return rows


def _differences(compared):
    header = [f"against {compared.lines[0].name}", "column", "difference", "low", "high", "p", "verdict"]
    return [header] + [
        [each.name, each.column, each.found.mean, each.found.low, each.found.high, each.p_value, each.found.verdict]
        for each in tables.comparisons(compared.compared, compared.lines)
    ]


def _number(cell):
    return "" if cell is None else f"{cell:.6g}" if isinstance(cell, float) else cell


def latex_text(records: list[Record], studies: list[Compared]) -> str:
    """The same as tabulars with the rules of booktabs; bold is bold."""
    parts, (compared, alone) = [], _parts(records, studies)
    made = [table for each in compared for table in each.tables()] + ([registry.table(alone)] if alone else [])
    for header, body in made:
        columns = "l" + "r" * (len(header) - 1)
        rows = [" & ".join(map(_latex, row)) + r" \\" for row in body]
        head = " & ".join(map(_latex, header)) + r" \\"
        lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule"]
        parts.append("\n".join([*lines, r"\end{tabular}", ""]))
    return "\n".join(parts)


def _parts(records, studies):
    """What is compared, and the runs that are of no study."""
    alone = [record for record in records if record.row is None]
    return [*studies, *of_groups(groups(alone)), *finetuned.compared(groups(records))], alone


def _latex(cell):
    bold = cell.startswith("**")
    text = "".join(SPECIAL.get(letter, letter) for letter in cell.strip("*"))
    return rf"\textbf{{{text}}}" if bold else text
