"""Every row of the SimSiam paper's tables: its study, the paper's figure and ours; a table of docs/methods.md.

python benchmarks/rows.py          puts it there, from the results that are committed
"""

import functools

from study_page import RESULTS, ROOT
from verdicts import table, write

from simsiam_tf.cli.sweep import parser
from simsiam_tf.experiments.results import Results
from simsiam_tf.experiments.study import Study
from simsiam_tf.experiments.tables import lines
from simsiam_tf.settings import yaml_files

PAGE = ROOT / "docs" / "methods.md"
COLUMN = "linear_accuracy"
# Study at full size: where it is in the paper, and its small twin.
STUDIES = {
    "stop_gradient": ("figure 2", "stop_gradient_small"),
    "predictor": ("table 1", "predictor_small"),
    "batch_size": ("table 2", "batch_size_small"),
    "batch_norm": ("table 3", "batch_norm_small"),
    "similarity": ("section 4.5", "similarity_small"),
    "symmetry": ("section 4.6", "symmetry_small"),
    "alternation": ("section 5.2", "alternation_small"),
    "comparison": ("table 4", "relatives_small"),
    "relatives": ("section 6.2", "relatives_small"),
}
# Rows that have a place of their own; the others stand where their study does.
PLACES = {
    "predictor": {"none": "table 1a", "fixed random": "table 1b", "rate does not decay": "table 1c"},
    "batch_norm": {
        "none": "table 3a",
        "hidden only": "table 3b",
        "default with scale and offset": "table 3c",
        "all": "table 3d",
        "default": "section 4.4",
    },
    "symmetry": {"asymmetric, no predictor": "section 4.2"},
}
# Widths and batches of the small setting are a quarter of the paper's.
QUARTERS = {f"hidden width {width}": f"hidden width {width // 4}" for width in (128, 256, 1024, 2048)}
QUARTERS |= {str(batch): str(batch // 4) for batch in (64, 128, 256, 512, 1024, 2048, 4096)} | {
    "4096, LARS": "1024, LARS",
    "4096, in 8 parts": "256, in 4 parts",
}


def twin(row: str) -> str:
    """The name of a row's small twin; of table 4, those of 100 epochs have one."""
    return QUARTERS.get(row, row.removesuffix(", 100 epochs"))


@functools.cache
def measured(name: str) -> tuple[Study, dict[str, str]]:
    """A study, and {row: mean ± deviation of its linear accuracy in %, or "not measured"}."""
    study = Study.read(yaml_files.find(name, "studies"))
    found = lines(study, study.cells(parser, [])[1], Results(RESULTS))
    return study, {line.name: _text(line.samples.get(COLUMN)) for line in found}


def _text(sample):
    if sample is None:
        return "not measured"
    return f"{100 * sample.mean:.1f}" + ("" if sample.sd is None else f" ± {100 * sample.sd:.1f}")


def rows_table() -> str:
    body = []
    for name, (where, small) in STUDIES.items():
        (study, ours), (_, twins) = measured(name), measured(small)
        links = ", ".join(f"[{each}](../configs/studies/{each}.yaml)" for each in (name, small))
        for row in study.rows:
            at = twin(row.name)
            said = f"{twins[at]} ({at})" if at in twins and at != row.name else twins.get(at, "not measured")
            place = PLACES.get(name, {}).get(row.name, where)
            body.append([place, row.name, links, row.paper.get(COLUMN, ""), ours[row.name], said])
    return table(["of the paper", "row", "study", "paper: linear", "ours, full size", "ours, small twin"], body)


if __name__ == "__main__":
    PAGE.write_text(write(PAGE.read_text(), {"rows": rows_table()}))
