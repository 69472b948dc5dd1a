"""What the SimSiam paper finds, one by one, and what its small twins say of it: a table of docs/methods.md.

    python benchmarks/findings.py          puts it there, from the results that are committed

A finding that one row is above or below another is confirmed, or not, where Welch's two-sided 95 % interval of the
difference in linear accuracy lies on one side of 0; each is a test of its own. That a row collapses, or fails in any
way, is confirmed where all of its seeds do and none of the other's; that it learns, where none fails and it is above
the untrained encoder.
"""

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
from simsiam_tf.settings import yaml_files

PAGE = ROOT / "docs" / "methods.md"
COLUMN = "linear_accuracy"
CONFIRMED, NOT, UNDECIDED, UNMEASURED = "confirmed", "not", "undecided", "not measured"
BAD = {"collapses": {COLLAPSED}, "fails": {COLLAPSED, DIVERGED, NOT_CONVERGING, OSCILLATING}}


@dataclass(frozen=True)
class Finding:
    """In words, and as two rows of a study.

    Args:
        relation: Of `row` to `other`: "below", "above", "like" (at least as good), "no more than"; or "collapses",
            "fails", or "learns".
    """

    where: str
    words: str
    paper: str
    study: str
    row: str
    relation: str
    other: str


FINDINGS = [Finding(**each) for each in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())]


def judge(relation, row, other, untrained=()):
    """The verdict on a finding, and the difference in points.

    Args:
        row, other: Results of their seeds, None where one is missing.
        untrained: Accuracies of the untrained encoder, which a row that learns has to be above.
    """
    if not all(row) or not all(other):
        return UNMEASURED, ""
    accuracies = Sample.of([figure(run, COLUMN) for run in row])
    found = difference(accuracies, Sample.of([figure(run, COLUMN) for run in other]))
    said = f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    if relation in BAD:
        bad, others = (sum(run["outcome"] in BAD[relation] for run in runs) for runs in (row, other))
        verdict = CONFIRMED if bad == len(row) and not others else UNDECIDED if bad else NOT
        return verdict, f"{relation}: {bad} of {len(row)} seeds; {said}"
    if relation == "learns":
        bad = sum(run["outcome"] != HEALTHY for run in row)
        above = difference(accuracies, Sample.of(untrained)).verdict == "higher"
        verdict = NOT if bad == len(row) else CONFIRMED if above and not bad else UNDECIDED
        return verdict, f"learns: {len(row) - bad} of {len(row)} seeds; {said}"
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
        rows = studies[each.study]
        known = [figure(run, f"untrained/{COLUMN}") for runs in rows.values() for run in runs if run]
        untrained = [accuracy for accuracy in known if accuracy is not None]
        verdict, said = judge(each.relation, rows[each.row], rows[each.other], untrained)
        body.append([each.where, each.words, each.paper, said, verdict])
    return table(["of the paper", "finding", "paper: linear", "ours: linear, 95 % interval", "verdict"], body)


if __name__ == "__main__":
    PAGE.write_text(write(PAGE.read_text(), {"findings": findings_table()}))
