"""The verb diagnose: its spectra are NumPy's of what embed writes, beside the untrained encoder and an export."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from simsiam_tf.cli import main as cli
from simsiam_tf.runs.build import build_backbone, build_method, load_images
from simsiam_tf.runs.diagnose import Diagnosis, Part
from simsiam_tf.runs.spectra import of_diagnoses
from simsiam_tf.settings import files
from small_run import arguments, rows


@pytest.fixture(scope="module")
def found(trained, tmp_path_factory):
    """The diagnosis of a run on its own images, and the folder that it is in."""
    folder = tmp_path_factory.mktemp("diagnosis")
    assert cli.main(["diagnose", str(trained), "--output", str(folder / "d.png")]) == 0
    [each] = json.loads((folder / "d.json").read_text())
    return each, folder


def values(features):
    features = features.astype(np.float64)
    return np.linalg.svd(features - features.mean(axis=0), compute_uv=False)


def embedded(trained, folder):
    assert cli.main(["embed", str(trained), "--data", "train", "--output", str(folder / "f.npz")]) == 0
    with np.load(folder / "f.npz") as file:
        return file["features"]


def test_features_are_those_of_embed(trained, found):
    each, folder = found
    expected = values(embedded(trained, folder))
    s = np.array(each["features"]["singular_values"])
    np.testing.assert_allclose(s, expected, rtol=1e-4, atol=1e-5 * expected[0])
    shares = np.cumsum(expected) / expected.sum()
    np.testing.assert_allclose(each["features"]["explained"], shares, atol=1e-5)
    assert each["features"]["spectrum_auc"] == pytest.approx(shares.mean(), abs=1e-5)
    known = json.loads((trained / "result.json").read_text())["label_free"]
    for part, name in (("features", "encoder"), ("untrained", "untrained")):
        for figure, value in known[name].items():
            assert each[part][figure] == pytest.approx(value, rel=1e-4), figure


def test_the_untrained_encoder_is_the_one_of_its_seed(trained, found):
    each, _ = found
    config = files.read(trained / "config.yaml")
    frames = np.concatenate(list(load_images(config, "train").batches(32, crop=12)))
    expected = values(np.asarray(build_backbone(config)(frames, training=False)))
    untrained = each["untrained"]["singular_values"]
    np.testing.assert_allclose(untrained, expected, rtol=1e-3, atol=1e-5 * expected[0])


def test_projections_are_those_of_the_trained_heads(found, trained):
    """The run's own last look saw 160 of the same images, all that there are."""
    each, _ = found
    *_, last = (trained / "collapse.csv").read_text().splitlines()
    names = (trained / "collapse.csv").read_text().splitlines()[0].split(",")
    look = dict(zip(names, map(float, last.split(",")), strict=True))
    for figure in ("feature_std", "relative_std", "correlation_strength", "effective_rank"):
        assert each["projections"][figure] == pytest.approx(look[figure], rel=1e-3), figure
    assert len(each["projections"]["singular_values"]) == 16


def test_untrained_projections_are_those_of_fresh_heads(found, trained):
    each, _ = found
    config = files.read(trained / "config.yaml")
    frames = np.concatenate(list(load_images(config, "train").batches(32, crop=12)))
    expected = values(np.asarray(build_method(config).project(frames)))
    untrained = each["untrained projections"]["singular_values"]
    np.testing.assert_allclose(untrained, expected, rtol=1e-3, atol=1e-4 * expected[0])
    assert not np.allclose(untrained, each["projections"]["singular_values"], rtol=0.01)


def test_picture(found):
    _, folder = found
    with Image.open(folder / "d.png") as image:
        assert image.size == (1200, 840)  # a row for features, one for projections


def test_an_exported_encoder_beside_its_run(trained, tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 12, 12, 3), dtype=np.uint8)
    np.save(tmp_path / "p.npy", pixels)
    assert cli.main(["export", str(trained), "--format", "keras", "--output", str(tmp_path / "e.keras")]) == 0
    words = ["--data", str(tmp_path / "p.npy"), "--output", str(tmp_path / "both.png")]
    assert cli.main(["diagnose", str(trained), str(tmp_path / "e.keras"), *words]) == 0
    run, encoder = json.loads((tmp_path / "both.json").read_text())
    assert set(encoder) == {"name", "images", "features"}
    assert (run["images"], encoder["images"]) == (40, 40)
    np.testing.assert_allclose(
        encoder["features"]["singular_values"], run["features"]["singular_values"], rtol=1e-3, atol=1e-4
    )
    assert "lidar" in run["features"]
    assert "lidar" not in encoder["features"]  # no recipe of views comes with it
    assert "e.keras" in capsys.readouterr().out


def test_encoders_that_began_alike_share_one_dashed_line():
    def found(name, *untrained):
        values = {"features": np.array([3.0, 1.0]), "untrained": np.array(untrained)}
        return Diagnosis(name, 2, {key: Part(each, {}) for key, each in values.items()})

    def labels(*diagnoses):
        return [label for label, _, _ in of_diagnoses(diagnoses)["features"]]

    assert labels(found("a", 2.0, 1.0), found("b", 2.0, 1.0)) == ["untrained", "a", "b"]
    assert labels(found("a", 2.0, 1.0), found("b", 2.0, 1.5)) == ["a", "a, untrained", "b", "b, untrained"]
    assert labels(found("a", 2.0, 1.0)) == ["a", "a, untrained"]


def test_a_run_without_checkpoints_has_no_projections(run, tmp_path, capsys):
    shutil.rmtree(run / "checkpoints")
    assert cli.main(["diagnose", str(run)]) == 0
    assert "no projections: RUN:" in capsys.readouterr().out.replace("\n", " ")
    [each] = json.loads((run / "diagnose.json").read_text())
    assert set(each) == {"name", "images", "features", "untrained", "forecast"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing.keras"], "RUN_OR_ENCODER: missing.keras is not there; give a run folder or a .keras file"),
        (["ENCODER"], "has no images of its own; give a folder or an array file"),
        (["ENCODER", "--data", "DATA"], "does not say it; give --image_size"),
        (["ENCODER", "--data", "DATA", "--image_size", "0"], "image_size: 0 is no size; give 1 or more"),
        (["RUN", "--image_size", "12"], "image_size: 12, but runs have sizes of their own; leave it out"),
        (
            ["ENCODER", "--data", "DATA", "--image_size", "12", "--output", "d.jpg"],
            "output: d.jpg does not end in .png; give a name that does",
        ),
    ],
)
def test_refusals(trained, tmp_path, capsys, words, said):
    shutil.copy(trained / "backbone.keras", tmp_path / "e.keras")
    np.save(tmp_path / "p.npy", np.zeros((4, 12, 12, 3), np.uint8))
    places = {"RUN": str(trained), "ENCODER": str(tmp_path / "e.keras"), "DATA": str(tmp_path / "p.npy")}
    assert cli.main(["diagnose", *(places.get(word, word) for word in words)]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_a_diagnosis_takes_the_place_of_no_other_file(run, found, tmp_path, capsys):
    before = (run / "result.json").read_bytes()
    assert cli.main(["diagnose", str(run), "--output", str(run / "result.png")]) == 2
    assert "result.json, which is no diagnosis; give another name" in capsys.readouterr().err
    assert (run / "result.json").read_bytes() == before
    for content in ("[1, 2]", "[]", "{", '[{"name": "mine"}]'):
        (tmp_path / "d.json").write_text(content)
        assert cli.main(["diagnose", str(run), "--output", str(tmp_path / "d.png")]) == 2
        assert (tmp_path / "d.json").read_text() == content
    assert cli.main(["diagnose", str(run), "--output", str(found[1] / "d.png")]) == 0  # its own, a second time


def test_spectra_of_a_training_are_kept_and_drawn(output):
    assert cli.main(arguments(output, name="looked", monitor__spectrum_epochs=2, evaluation__baselines="[]")) == 0
    with np.load(output / "looked" / "spectra.npz") as file:
        assert file["steps"].tolist() == [0, 10, 20]
    assert (output / "looked" / "spectra.png").stat().st_size > 10_000
    last, names = rows(output / "looked")[-1], {"spectrum_auc": "auc", "effective_rank": "rank"}
    known = json.loads((output / "looked" / "result.json").read_text())["label_free"]["encoder"]
    assert {"features_alignment", "features_lidar", "features_nesum"} <= last.keys()
    live = {name: float(last[f"features_{names.get(name, name)}"]) for name in known if name != "images"}
    assert live == pytest.approx({name: known[name] for name in live}, rel=1e-4)  # as the finished run is judged
