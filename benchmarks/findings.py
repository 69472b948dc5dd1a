"""What the SimSiam paper finds, one by one, and what its small twins say of it: a table of docs/methods.md.

    python benchmarks/findings.py          puts it there, from the results that are committed

A finding that one row is above or below another is confirmed, or not, where Welch's two-sided 95 % interval of the
difference in linear accuracy lies on one side of 0; each is a test of its own. A collapse is confirmed where all seeds
of the row collapse and none of the other does.
"""

from dataclasses import dataclass
from pathlib import Path

import yaml
from study_page import RESULTS, ROOT
from verdicts import table, write

from simsiam_tf.cli.sweep import parser
from simsiam_tf.evaluation.verdict import COLLAPSED
from simsiam_tf.experiments.results import Results, figure
from simsiam_tf.experiments.statistics import Sample, difference
from simsiam_tf.experiments.study import Study
from simsiam_tf.settings import yaml_files

PAGE = ROOT / "docs" / "methods.md"
COLUMN = "linear_accuracy"
CONFIRMED, NOT, UNDECIDED, UNMEASURED = "confirmed", "not", "undecided", "not measured"


@dataclass(frozen=True)
class Finding:
    """In words, and as two rows of a study.

    Args:
        relation: Of `row` to `other`: "below", "above", "like" (at least as good), "no more than"; or "collapses" or
            "learns", where the other does the contrary.
    """

    where: str
    words: str
    paper: str
    study: str
    row: str
    relation: str
    other: str


FINDINGS = [Finding(**each) for each in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())]


def judge(relation, row, other):
    """The verdict on a finding, and the difference in points, from the results of two rows; a missing one is None."""
    if not all(row) or not all(other):
        return UNMEASURED, ""
    found = difference(*(Sample.of([figure(run, COLUMN) for run in runs]) for runs in (row, other)))
    said = f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    fallen, stood = (sum(run["outcome"] == COLLAPSED for run in runs) for runs in (row, other))
    if relation in ("collapses", "learns"):
        counts = f"{fallen} of {len(row)} seeds collapse; {said}"
        if relation == "learns":
            return (NOT if fallen == len(row) else UNDECIDED if fallen else CONFIRMED), counts
        return (CONFIRMED if fallen == len(row) and not stood else UNDECIDED if fallen else NOT), counts
    against = {"below": "higher", "above": "lower", "like": "lower", "no more than": "higher"}[relation]
    if found.verdict == against:
        return NOT, said
    if relation in ("below", "above"):
        return (UNDECIDED if found.verdict == "undecided" else CONFIRMED), said
    # "At least as good", "no more than": the interval shows it where no point of it is against it by more than a point.
    worst = -found.low if relation == "like" else found.high
    return (CONFIRMED if worst < 0.01 else UNDECIDED), said


def rows_of(study_name):
    """{row: results, None where one is missing} of a study."""
    study, results, found = Study.read(yaml_files.find(study_name, "studies")), Results(RESULTS), {}
    for cell in study.cells(parser, [])[1]:
        found.setdefault(cell.row, []).append(results.find(cell.config))
    return found


def findings_table():
    studies = {name: rows_of(name) for name in dict.fromkeys(each.study for each in FINDINGS)}
    body = []
    for each in FINDINGS:
        verdict, said = judge(each.relation, studies[each.study][each.row], studies[each.study][each.other])
        body.append([each.where, each.words, each.paper, said, verdict])
    return table(["of the paper", "finding", "paper: linear", "ours: linear, 95 % interval", "verdict"], body)


if __name__ == "__main__":
    PAGE.write_text(write(PAGE.read_text(), {"findings": findings_table()}))
