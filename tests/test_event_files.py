"""What TensorBoard is given of a run: each figure once, views, words, and features for the projector."""

import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from same_run import events
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from simsiam_tf.callbacks import CollapseMonitor, RunRecord, ViewImages
from simsiam_tf.data import from_arrays
from simsiam_tf.runs.build import load_data
from simsiam_tf.runs.event_files import EventFiles
from simsiam_tf.runs.folder import RunFolder
from simsiam_tf.runs.projector import metadata, sprite, write_projector
from simsiam_tf.settings import files
from simsiam_tf.settings.schema import Config
from small_run import rows


@pytest.fixture(scope="module")
def shown(trained):
    return events(trained / "tensorboard")


def test_each_figure_of_the_record_is_there_once_under_its_name(trained, shown):
    record = rows(trained)
    columns = set(record[0]) - {"epoch", "step", "feature_std", "correlation_strength", "effective_rank"}
    validation = {"knn_accuracy", "val_probe_accuracy"}
    scalars = {key for key in shown if "/" in key[1] and not key[1].startswith("collapse/")}
    assert {(run, tag.split("/")[1]) for run, tag in scalars} == {
        ("validation", name.removeprefix("val_")) if name in validation else ("train", name) for name in columns
    }
    assert len(scalars) == len(columns)
    for run, tag in scalars:
        name = tag.split("/")[1]
        column = f"val_{name}" if (run, name) == ("validation", "probe_accuracy") else name
        expected = [(int(row["step"]), float(row[column])) for row in record if row[column]]
        np.testing.assert_allclose(shown[run, tag], expected, rtol=1e-6)


def test_the_looks_are_there_with_their_steps(trained, shown):
    looks = np.genfromtxt(trained / "collapse.csv", delimiter=",", names=True)
    assert len(looks) == 20  # of 20 steps; more than there are epochs
    for name in ("relative_std", "feature_std", "correlation_strength", "effective_rank"):
        expected = np.stack([looks["step"], looks[name]], axis=1)
        np.testing.assert_allclose(shown["train", f"collapse/{name}"], expected, rtol=1e-6)


def test_views_are_large_and_drawn_anew(shown):
    pictures = [(step, tf.io.decode_png(value[2]).numpy()) for step, value in shown["views", "views"]]
    assert [step for step, _ in pictures] == [0, 5, 10, 15]
    for (_, one), (_, other) in itertools.pairwise(pictures):
        assert one.shape[1] >= 8 * 128
        edge = one.shape[0] // 3
        np.testing.assert_array_equal(one[:edge], other[:edge])  # the images
        assert (one[edge:] != other[edge:]).any()


def test_configuration_and_verdict_can_be_read(trained, shown):
    result = json.loads((trained / "result.json").read_text())
    ((step, text),) = shown["train", "configuration"]
    assert (step, text.decode()) == (0, f"```yaml\n{(trained / 'config.yaml').read_text()}```")
    ((step, text),) = shown["result", "verdict"]
    assert step == 20
    assert text.decode() == f"{result['verdict']}\n\n{result['quality']['sentence']}"
    assert shown["train", "verdict"][0][0] == 1


def test_a_run_that_goes_on_writes_nothing_twice_and_every_change_of_the_verdict(small_model, images, tmp_path):
    """As if killed in its second epoch after more had been written than the checkpoint knows of."""
    model, folder = small_model(compiled=False), RunFolder(tmp_path)
    folder.config.write_text("name: x\n")
    look = {"feature_std": 0.25, "correlation_strength": 0.1, "effective_rank": 9.0, "rows": 64, "channels": 16}
    spread = [1, 1, 0.01, 0.01, 0.01, 0.01]

    def begin(known, step):
        record, monitor = RunRecord(folder.metrics), CollapseMonitor(images, grace_steps=0)
        rows = [{"epoch": epoch + 1, "step": 4 * epoch + 4, "loss": -epoch} for epoch in range(known)]
        record.rows = [row | {"features_nesum": 3.0} for row in rows]
        monitor.looks = [{"step": i + 1, "relative_std": s, **look} for i, s in enumerate(spread[:step])]
        views = ViewImages(images[:2], folder.tensorboard / "views", every=1)
        model.step.assign(step)
        written = EventFiles(Config(), folder, record, monitor, views, 4)
        written.begin(model)
        return written

    begin(known=2, step=8)
    second = begin(known=1, step=6)
    second.on_epoch_begin(1)  # what is left of the second epoch
    second.on_train_batch_end(0)
    second.finish({"verdict": "collapsed: all of it", "steps": 6})
    shown = events(tmp_path)
    assert [step for step, _ in shown["train", "loss/loss"]] == [4]
    assert shown["train", "spectrum/features_nesum"] == [(4, 3.0)]
    assert [step for step, _ in shown["train", "collapse/relative_std"]] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in shown["views", "views"]] == [0, 4]
    words = [(step, text.decode().split(":")[0]) for step, text in shown["train", "verdict"]]
    assert words == [(1, "healthy"), (3, "at risk"), (5, "collapsed")]
    assert shown["result", "verdict"] == [(6, b"collapsed: all of it")]


def test_projector_shows_features_pictures_and_classes_of_the_test_images(trained):
    folder, config = trained / "tensorboard" / "result", files.read(trained / "config.yaml")
    test = load_data(config).test
    embedding = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig()).embeddings[0]
    backbone = keras.models.load_model(trained / "backbone.keras")
    expected = backbone.predict(test.images, verbose=0)
    np.testing.assert_allclose(np.loadtxt(folder / embedding.tensor_path, delimiter="\t"), expected, 1e-3, 1e-5)
    header, *lines = (folder / embedding.metadata_path).read_text().splitlines()
    assert header == "class\timage"
    assert [int(line.split("\t")[0]) for line in lines] == test.labels.tolist()
    assert list(embedding.sprite.single_image_dim) == [12, 12]
    sheet = tf.io.decode_png((folder / embedding.sprite.image_path).read_bytes()).numpy()
    columns = sheet.shape[1] // 12
    assert columns == np.ceil(np.sqrt(len(test)))
    for i, image in enumerate(test.images):
        top, left = i // columns * 12, i % columns * 12
        np.testing.assert_array_equal(sheet[top : top + 12, left : left + 12], image)


def test_projector_takes_at_most_2000_small_pictures_evenly_spaced(tmp_path):
    pixels = np.zeros((2100, 80, 80, 3), np.uint8) + (np.arange(2100) // 10).astype(np.uint8)[:, None, None, None]
    images = keras.Input((None, None, 3))
    mean = keras.Model(images, keras.layers.GlobalAveragePooling2D()(images))
    write_projector(tmp_path, mean, from_arrays(pixels), 80)
    features = np.loadtxt(tmp_path / "features.tsv", delimiter="\t")
    rows = np.array((tmp_path / "metadata.tsv").read_text().split(), int)  # one column, and so no header
    assert len(features) == len(rows) == 2000
    assert (rows[0], rows[-1]) == (0, 2099)
    np.testing.assert_allclose(features[:, 0], rows // 10)
    sheet = tf.io.decode_png((tmp_path / "sprite.png").read_bytes()).numpy()
    assert sheet.shape == (45 * 64, 45 * 64, 3)
    np.testing.assert_array_equal(sheet[32::64, 32::64, 0].ravel()[:2000], rows // 10)


def test_names_with_tabs_are_one_column():
    images = from_arrays(np.zeros((2, 4, 4, 3), np.uint8), np.array([1, 0]))
    images.class_names, images.ids = ("a\tb", "c"), np.array(["x\ny.png", "\udce9.png"])
    assert metadata(images) == "class\timage\nc\tx\\ny.png\na\\tb\t\\udce9.png\n"


def test_sprite_fills_rows_from_left_to_right():
    sheet = tf.io.decode_png(sprite(np.arange(5)[:, None, None, None] * np.ones((5, 1, 1, 3)))).numpy()[..., 0]
    assert sheet.tolist() == [[0, 1, 2], [3, 4, 255]]
