"""The verb neighbors: the query itself comes first, figures are NumPy's, and the picture has a cell for each."""

import json

import numpy as np
import pytest
from PIL import Image

from simsiam_tf.cli import main as cli


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Four pictures of each of two classes."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for index in range(8):
        path = root / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(path)
    return root


def test_the_query_itself_comes_first_and_cosines_are_those_of_its_features(trained, pictures, tmp_path):
    queries = [str(pictures / name) for name in ("b/3.png", "a/0.png")]
    words = ["--data", str(pictures), "--k", "5", "--output", str(tmp_path / "near.png")]
    assert cli.main(["neighbors", str(trained), "--query", *queries, *words]) == 0
    found = json.loads((tmp_path / "near.json").read_text())
    assert [each["query"] for each in found] == queries
    embedded = ["--data", str(pictures), "--output", str(tmp_path / "f.npz")]
    assert cli.main(["embed", str(trained), *embedded]) == 0
    with np.load(tmp_path / "f.npz") as file:
        ids, features = file["id"].tolist(), file["features"].astype(float)
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    for each, name in zip(found, ("b/3.png", "a/0.png"), strict=True):
        cosines = units @ units[ids.index(name)]
        neighbors = each["neighbors"]
        assert neighbors[0]["id"] == name
        assert neighbors[0]["cosine"] == pytest.approx(1, abs=1e-6)
        assert len({one["id"] for one in neighbors}) == 5
        expected = [cosines[ids.index(one["id"])] for one in neighbors]
        np.testing.assert_allclose([one["cosine"] for one in neighbors], expected, atol=1e-5)
        np.testing.assert_allclose(expected, np.sort(cosines)[::-1][:5], atol=1e-5)
        assert all(one["class_name"] == one["id"][0] == "ab"[one["label"]] for one in neighbors)
    with Image.open(tmp_path / "near.png") as image:
        assert image.width > 2 * image.height  # six columns, two rows


def test_by_default_among_what_the_run_was_trained_on(run, pictures, capsys):
    query = pictures / "a" / "0.png"
    assert cli.main(["neighbors", str(run), "--query", str(query)]) == 0
    assert "1 pictures with 10 neighbours each" in capsys.readouterr().out
    [found] = json.loads((run / "neighbors.json").read_text())
    assert len(found["neighbors"]) == 10
    assert all(one["class_name"] in "0123456789" for one in found["neighbors"])
    assert (run / "neighbors.png").is_file()


def test_twenty_are_drawn_and_all_are_in_the_file(run, pictures, tmp_path, capsys):
    words = ["--query", str(pictures / "a" / "0.png"), "--k", "45", "--output", str(tmp_path / "near.png")]
    assert cli.main(["neighbors", str(run), *words]) == 0
    assert "45 neighbours each" in (out := capsys.readouterr().out)
    assert "(20 of them drawn)" in out
    [found] = json.loads((tmp_path / "near.json").read_text())
    assert len({one["id"] for one in found["neighbors"]}) == 45
    with Image.open(tmp_path / "near.png") as image:
        assert image.width == pytest.approx(120 * 1.2 * 21, abs=2)  # dots per inch, inches of a cell, cells


def test_unlabelled_pictures_of_any_name(trained, tmp_path):
    (tmp_path / "data").mkdir()
    for index, name in enumerate(("花$x_1$.png", "b\n.png", "0.png")):
        Image.new("L", (20, 20), 80 * index).save(tmp_path / "data" / name)
    words = ["--data", str(tmp_path / "data"), "--output", str(tmp_path / "near.png")]
    assert cli.main(["neighbors", str(trained), "--query", str(tmp_path / "data" / "0.png"), *words]) == 0
    [found] = json.loads((tmp_path / "near.json").read_text())
    assert {one["id"] for one in found["neighbors"]} == {"花$x_1$.png", "b\n.png", "0.png"}
    assert set(found["neighbors"][0]) == {"id", "cosine"}


def test_a_query_that_is_no_picture_is_refused_in_one_line(trained, pictures, tmp_path, capsys):
    (tmp_path / "bad.jpg").write_bytes(b"words")
    words = ["--data", str(pictures), "--output", str(tmp_path / "near.png")]
    assert cli.main(["neighbors", str(trained), "--query", str(tmp_path / "bad.jpg"), *words]) == 2
    err = capsys.readouterr().err
    assert f"query: {tmp_path / 'bad.jpg'} cannot be decoded (not an image); give an intact picture" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "near.png").exists()
