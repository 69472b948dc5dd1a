"""What the README tells a user to type works."""

import re
import tomllib
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_user_script_runs(tmp_path, monkeypatch):
    """The README's script as it stands, with smaller numbers and the arrays it loads."""
    script = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    assert len(script.strip().splitlines()) <= 15
    smaller = {"batch_size=256": "batch_size=16", " // 256)": " // 16)", "epochs=100": "epochs=1", "[:1000]": "[:20]"}
    smaller |= {"[1000:]": "[20:]", '"resnet18"': '"resnet18", width=4'}
    for before, after in smaller.items():
        assert before in script
        script = script.replace(before, after)
    generator = np.random.default_rng(0)
    np.save(tmp_path / "images.npy", generator.integers(0, 256, (64, 32, 32, 3), dtype=np.uint8))
    np.save(tmp_path / "labels.npy", generator.integers(0, 3, 64))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(script, "README.md", "exec"), names)
    assert names["features"].shape == (64, 32)
    assert "knn_accuracy" in names["model"].history.history
    assert list(tmp_path.glob("logs/**/events.out.tfevents.*"))
    assert (tmp_path / "model.keras").is_file()


def test_every_path_the_readme_links_to_exists():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) > 3
    for link in links:
        assert (ROOT / link).exists(), link


def test_every_extra_stands_with_the_command_of_a_clone():
    """The package is in no registry, so its own name would install nothing."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    for name in ("energy", "index", "heic"):
        assert f"`pip install {extras[name][0]}`" in pages
    said = (ROOT / "simsiam_tf" / "evaluation" / "neighbors.py").read_text()
    assert f"pip install {extras['index'][0]}" in said


def test_the_table_of_verbs_is_complete():
    from simsiam_tf.cli.main import VERBS

    for verb in VERBS:
        assert f"| `{verb}" in README
