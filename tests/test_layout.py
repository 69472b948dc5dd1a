"""The rooms of the package: imports go down, none goes round in a circle, and no file outgrows a few screens."""

import ast
import statistics
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "simsiam_tf"
# From the top down. Rooms of one line do not know each other; what lies at the root besides them is in no room.
FLOORS = [
    {"__main__"},
    {"cli"},
    {"report"},
    {"experiments"},
    {"runs"},
    {"callbacks", "interop"},
    {"methods", "evaluation"},
    {"data", "augment", "networks", "optimizers"},
    {"settings", "pages"},
    {"atomic", "cores", "cuda", "duration", "positions"},
    {"errors"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}


def room(module):
    return module.split(".")[1]


def imports(module):
    """Modules of the package that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return {name for name in found if name in MODULES and name not in (module, "simsiam_tf")}


GRAPH = {module: imports(module) for module in MODULES if module != "simsiam_tf"}


def test_every_module_lies_in_a_room():
    assert {room(module) for module in GRAPH} == set(FLOOR)


def test_imports_go_down_only():
    for module, others in GRAPH.items():
        for other in others:
            below = FLOOR[room(other)] > FLOOR[room(module)]
            assert below or room(other) == room(module), f"{module} imports {other}, which does not lie below it"


def test_no_import_goes_round_in_a_circle():
    TopologicalSorter({m: {o for o in others if not m.startswith(f"{o}.")} for m, others in GRAPH.items()}).prepare()


def test_files_fit_into_a_head():
    lengths = {path: len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert max(lengths.values()) <= 250, max(lengths, key=lengths.get)
    assert statistics.median(lengths.values()) <= 120


def at_import(module):
    """Top-level packages and modules of ours that are imported with a module, not by its functions."""
    found = set()
    for node in ast.parse(MODULES[module].read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found


def test_settings_and_the_command_line_know_nothing_of_tensorflow():
    """Nor does anything that they import with themselves."""
    waiting, seen = [module for module in GRAPH if room(module) in ("settings", "cli", "__main__")], set()
    assert len(waiting) > 15
    while waiting:
        module = waiting.pop()
        names = at_import(module)
        if module != "simsiam_tf.cli.table":  # which a verb imports when it has something to print
            assert not {name.split(".")[0] for name in names} & {"tensorflow", "keras", "keras_cv"}, module
            waiting += [name for name in names if name in MODULES and name not in seen]
        seen.add(module)


def test_marks_of_a_test_file_stand_once():
    """A second `pytestmark` would take the first one's place, and with it "long"."""
    for path in Path(__file__).parent.rglob("*.py"):
        assert path.read_text().count("\npytestmark = ") <= 1, path
