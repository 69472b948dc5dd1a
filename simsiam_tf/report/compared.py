"""What stands beside each other: the rows of a study, or runs on the same images with what they were judged beside."""

from __future__ import annotations

from dataclasses import dataclass

from simsiam_tf.experiments import tables
from simsiam_tf.experiments.results import Results, figure
from simsiam_tf.experiments.study import BASELINES, CLASSIFIERS, Cell, Study
from simsiam_tf.report.grouping import Group

SUPERVISED = "supervised network"
BESIDE = BASELINES | {"supervised": SUPERVISED}  # rows of an evaluation beside the encoder


@dataclass(frozen=True)
class Compared:
    """Rows, and the columns that are known of them.

    Args:
        name: For links.
        columns: As `experiments.results.figure` takes them.
        compared: Columns in which every row is tested against the first.
    """

    name: str
    title: str
    seeds: tuple[int, ...]
    columns: tuple[str, ...]
    compared: tuple[str, ...]
    lines: list[tables.Line]

    def tables(self) -> list[tuple[list[str], list[list[str]]]]:
        """(header, body) of the table and of the differences from its first row."""
        both = tables.table(self.columns, self.lines), tables.differences(self.compared, self.lines)
        return [table for table in both if table[0]]


def of_study(study: Study, cells: list[Cell], results: Results) -> Compared:
    """A study's rows."""
    name, lines = f"study-{study.name}", tables.lines(study, cells, results)
    return Compared(name, study.title, study.seeds, study.columns, study.compared, lines)


def of_groups(groups: list[Group]) -> list[Compared]:
    """Accuracies of groups on the same images, by classifier and share of the labels, for all images that there are.

    Raw pixels, untrained encoders and supervised networks are rows, too, once for all groups that they are the same of.
    """
    found: dict[str, list[Group]] = {}
    for group in groups:
        found.setdefault(group.images, []).append(group)
    made = [_of_images(f"accuracy-{i}", each) for i, each in enumerate(found.values(), 1)]
    return [each for each in made if each.columns]


def _of_images(name, groups):
    records = [record for group in groups for record in group.records]
    shares = {1.0} | {
        line["fraction"] for each in records for lines in each.figures.get("by_fraction", {}).values() for line in lines
    }
    known = [tables.column(key, share) for key in CLASSIFIERS for share in sorted(shares, reverse=True)]
    lines = [
        tables.Line(group.name, _samples(_by_seed(group, "", known)), {}, set(), _outcomes(group)) for group in groups
    ]
    for key, title in BESIDE.items():
        lines += _once(title, [(group.name, _by_seed(group, f"{key}/", known)) for group in groups])
    columns = tuple(column for column in known if any(line.samples.get(column) for line in lines))
    first = [next((column for column in columns if column.startswith(key)), None) for key in list(CLASSIFIERS)[:2]]
    seeds = tuple(sorted({record.seed for record in records}))
    title = f"Accuracy on {records[0].data}" if records[0].data else "Accuracy"
    rows = [line for line in lines if any(line.samples.values())]
    return Compared(name, title, seeds, columns, tuple(filter(None, first)), tables.with_best(columns, rows))


def _outcomes(group):
    return tables.outcomes([record.result for record in group.records])


def _by_seed(group, row, columns):
    """{seed: {column: figure or None}} of one row of the group's evaluations."""
    found = {r.seed: {column: figure(r.result, row + column) for column in columns} for r in group.records}
    return {seed: figures for seed, figures in found.items() if any(value is not None for value in figures.values())}


def _samples(by_seed):
    columns = next(iter(by_seed.values()), {})
    return {column: tables.sample_of([figures[column] for figures in by_seed.values()]) for column in columns}


def _once(title, rows):
    """Lines of those that differ; groups that agree at the seeds that they share have one, over the seeds of all."""
    distinct = {}
    for group, by_seed in rows:
        same = (each for each in distinct.values() if _agree(each, by_seed))
        if (known := next(same, None)) is not None:
            known |= by_seed
        elif by_seed:
            distinct[group] = dict(by_seed)
    return [
        tables.Line(title if len(distinct) == 1 else f"{title} ({group})", _samples(by_seed), {}, set(), "")
        for group, by_seed in distinct.items()
    ]


def _agree(one, other):
    shared = one.keys() & other.keys()
    return bool(shared) and all(one[seed] == other[seed] for seed in shared)
