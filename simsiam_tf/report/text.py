"""The tables of a report as CSV and LaTeX."""

from __future__ import annotations

import csv
import io

from simsiam_tf.report.compared import Compared, of_groups
from simsiam_tf.report.page import run_header, run_row
from simsiam_tf.report.records import Record, groups

SPECIAL = {letter: f"\\{letter}" for letter in "&%$#_{}"} | {"\\": r"\textbackslash{}"}
SPECIAL |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "√": r"$\sqrt{}$"}


def csv_text(records: list[Record], studies: list[Compared]) -> str:
    """The tables of the studies, and that of the runs that are of none, an empty line between them."""
    text = io.StringIO()
    for index, (header, body) in enumerate(_tables(records, studies)):
        if index:
            text.write("\n")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([[cell.strip("*") for cell in row] for row in body])
    return text.getvalue()


def latex_text(records: list[Record], studies: list[Compared]) -> str:
    """The same as tabulars with the rules of booktabs; bold is bold."""
    parts = []
    for header, body in _tables(records, studies):
        columns = "l" + "r" * (len(header) - 1)
        rows = [" & ".join(map(_latex, row)) + r" \\" for row in body]
        head = " & ".join(map(_latex, header)) + r" \\"
        lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule"]
        parts.append("\n".join([*lines, r"\end{tabular}", ""]))
    return "\n".join(parts)


def _tables(records, studies):
    alone = [record for record in records if record.row is None]
    found = [table for each in [*studies, *of_groups(groups(alone))] for table in each.tables()]
    return found + ([(run_header(alone), [run_row(record, alone) for record in alone])] if alone else [])


def _latex(cell):
    bold = cell.startswith("**")
    text = "".join(SPECIAL.get(letter, letter) for letter in cell.strip("*"))
    return rf"\textbf{{{text}}}" if bold else text
