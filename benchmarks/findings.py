"""What the papers find, one by one, and what small twins say of it: tables of docs/methods.md and docs/collapse.md.

    python benchmarks/findings.py          puts them there, from the results that are committed

A finding that one row is above or below another is confirmed, or not, where Welch's two-sided 95 % interval of the
difference in linear accuracy, or in another figure, lies on one side of 0; each is a test of its own. That a row
collapses, diverges, or fails in any way, is confirmed where all of its seeds do and none of the other's; that it does
not collapse, keeps its spread within a tenth of 1/sqrt(d), or that its kNN rises over both halves of the training,
where all seeds do; that it learns, where none fails and it is above the untrained encoder.
"""

import collections
import functools
from dataclasses import dataclass
from pathlib import Path

import yaml
from study_page import RESULTS, ROOT
from verdicts import table, write

from simsiam_tf.cli.sweep import parser
from simsiam_tf.evaluation.verdict import COLLAPSED, DIVERGED, HEALTHY, NOT_CONVERGING, OSCILLATING
from simsiam_tf.experiments.results import Results, figure
from simsiam_tf.experiments.statistics import Sample, difference
from simsiam_tf.experiments.study import Study
from simsiam_tf.experiments.tables import is_accuracy
from simsiam_tf.settings import yaml_files

COLUMN = "linear_accuracy"
CONFIRMED, NOT, UNDECIDED, UNMEASURED = VERDICTS = "confirmed", "not", "undecided", "not measured"
ORDERS = {"below": "higher", "above": "lower", "like": "lower", "no more than": "higher"}  # and what refutes them
BAD = {"collapses": {COLLAPSED}, "diverges": {DIVERGED}, "fails": {COLLAPSED, DIVERGED, NOT_CONVERGING, OSCILLATING}}
ALONE = {"does not collapse", "keeps its spread", "rises"}  # a difference says nothing of these
COUNTED = {
    "learns": lambda run: run["outcome"] == HEALTHY,
    "does not collapse": lambda run: run["outcome"] != COLLAPSED,
    "keeps its spread": lambda run: figure(run, "relative_std") > 0.9,
    "rises": lambda run: rises(run),
}


@dataclass(frozen=True)
class Finding:
    """In words, and as two rows of a study.

    Args:
        relation: Of `row` to `other`: one of ORDERS, "like" being at least as good; or one of BAD or COUNTED.
        other_study: Of `other`, where it is not of `study`.
        column: The figure that is compared.
    """

    where: str
    words: str
    paper: str
    study: str
    row: str
    relation: str
    other: str
    other_study: str = ""
    column: str = COLUMN


# {page: findings}
FINDINGS = {
    ROOT / "docs" / f"{page}.md": [Finding(**each) for each in some]
    for page, some in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text()).items()
}


def judge(relation, row, other, untrained=(), column=COLUMN):
    """The verdict on a finding, and what ours is: the difference in points, after what is counted.

    Args:
        row, other: Results of their seeds, None where one is missing.
        untrained: Accuracies of the untrained encoder, which a row that learns has to be above.
    """
    values = [[run and figure(run, column) for run in some] for some in (row, other)]
    if any(value is None for some in values for value in some):
        return UNMEASURED, ""
    ours, theirs = map(Sample.of, values)
    found = difference(ours, theirs)
    factor, form = (100, "+.1f") if is_accuracy(column) else (1, "+.3f")
    mean, low, high = (format(factor * each, form) for each in (found.mean, found.low, found.high))
    said = f"{mean} ({low} to {high})"
    if relation in ORDERS:
        return ordered(relation, found), said
    count = COUNTED.get(relation, lambda run: run["outcome"] in BAD.get(relation, ()))
    n = sum(map(count, row))
    verdict = CONFIRMED if n == len(row) else UNDECIDED if n else NOT
    if relation in BAD and n and any(map(count, other)):
        verdict = UNDECIDED
    if relation == "learns" and n and difference(ours, Sample.of(untrained)).verdict != "higher":
        verdict = UNDECIDED
    return verdict, f"{relation}: {n} of {len(row)} seeds" + ("" if relation in ALONE else f"; {said}")


def ordered(relation, found):
    """Of a difference: the side of 0 that its interval is on.

    "At least as good" and "no more than" are confirmed where it leaves less than a point of accuracy against them.
    """
    if found.verdict == ORDERS[relation]:
        return NOT
    if relation in ("below", "above"):
        return UNDECIDED if found.verdict == "undecided" else CONFIRMED
    worst = -found.low if relation == "like" else found.high
    return CONFIRMED if worst < 0.01 else UNDECIDED


def rises(run):
    """Whether kNN rises over each half of the training."""
    accuracies = [epoch["knn_accuracy"] for epoch in run["epochs"] if "knn_accuracy" in epoch]
    return accuracies[0] < accuracies[len(accuracies) // 2] < accuracies[-1]


@functools.cache
def rows_of(study_name):
    """{row: results, None where one is missing} of a study."""
    study, results, found = Study.read(yaml_files.find(study_name, "studies")), Results(RESULTS), {}
    for cell in study.cells(parser, [])[1]:
        found.setdefault(cell.row, []).append(results.find(cell.config))
    return found


def findings_table(some):
    body = []
    for each in some:
        rows, others = rows_of(each.study), rows_of(each.other_study or each.study)
        known = [figure(run, f"untrained/{COLUMN}") for runs in rows.values() for run in runs if run]
        untrained = [accuracy for accuracy in known if accuracy is not None]
        verdict, said = judge(each.relation, rows[each.row], others[each.other], untrained, each.column)
        body.append([each.where, each.words, each.paper, said, verdict])
    counts = collections.Counter(row[-1] for row in body)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    found = table(["of the paper", "finding", "paper", "ours, 95 % interval", "verdict"], body)
    return f"{found}\nOf these {len(body)} findings: {said}.\n"


if __name__ == "__main__":
    for page, some in FINDINGS.items():
        page.write_text(write(page.read_text(), {"findings": findings_table(some)}))
