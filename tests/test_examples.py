"""The examples run as they stand, with fewer epochs."""

import json
import runpy
from pathlib import Path

import matplotlib as mpl
import numpy as np

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_notebook(monkeypatch, capsys, tmp_path):
    """All cells, one after the other; nothing of an earlier run is kept in the file."""
    notebook = json.loads((EXAMPLES / "digits.ipynb").read_text())
    assert "`pip install notebook==" in "".join(notebook["cells"][0]["source"])  # nothing else brings Jupyter
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells)
    monkeypatch.setenv("EPOCHS", "1")
    monkeypatch.chdir(tmp_path)
    names = {}
    with mpl.rc_context({"backend": "agg"}):
        for number, cell in enumerate(cells):
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
    said = capsys.readouterr().out
    assert "of these neighbours show the same digit" in said
    assert names["queries"].shape == (359, 64)


def test_a_network_of_ones_own(capsys):
    example = runpy.run_path(str(EXAMPLES / "own_backbone.py"))
    features = example["main"](["--epochs", "1", "--batch", "256"])
    assert features.shape == (1438, 128)
    assert np.isfinite(features).all()
    assert "image 4 is most like images" in capsys.readouterr().out


def test_arrays_of_ones_own(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (64, 20, 20, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", images)
    example = runpy.run_path(str(EXAMPLES / "own_backbone.py"))
    assert example["main"](["--images", str(tmp_path / "a.npy"), "--epochs", "1", "--batch", "32"]).shape == (64, 128)


def test_fine_tuning(capsys):
    found = runpy.run_path(str(EXAMPLES / "fine_tune.py"))["main"](["--epochs", "2", "--fraction", "0.05"])
    assert list(found) == ["linear, on the encoder as it is", "with the encoder", "from scratch"]
    assert found["linear, on the encoder as it is"] > 0.2  # of ten classes
    assert "test images, by 70 labels" in capsys.readouterr().out
