"""The verbs that take a finished run: evaluate, embed and export."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pyarrow.parquet
import pytest
import tensorflow as tf

from simsiam_tf.cli import main as cli
from simsiam_tf.runs.embed import write_table


def test_evaluate_takes_overrides_of_its_own_and_no_others(run, capsys):
    assert cli.main(["evaluate", str(run), "--evaluation.fractions", "[1.0]", "--evaluation.baselines", "[]"]) == 0
    printed = capsys.readouterr().out
    assert "kNN" in printed
    assert "linear probe" in printed
    result = json.loads((run / "result.json").read_text())
    assert [row["fraction"] for row in result["by_fraction"]["encoder"]] == [1.0]
    assert result["epochs"] == 4
    (run / "result.json").write_text(json.dumps(result | {"any_other_accuracy": 0.5}))  # by a later version
    assert cli.main(["evaluate", str(run), "--evaluation.fractions", "[0.5]", "--evaluation.baselines", "[]"]) == 0
    result = json.loads((run / "result.json").read_text())
    assert not [key for key in result if key.endswith("_accuracy")]  # those of another protocol
    assert result["evaluation"]["fractions"] == [0.5]
    assert cli.main(["evaluate", str(run), "--optimizer.epochs", "9"]) == 2
    assert "optimizer.epochs: 9 is not the trained run's; give only data.* and evaluation.*" in capsys.readouterr().err


def test_embed_writes_ids_labels_and_features(run, tmp_path):
    assert cli.main(["embed", str(run), "--data", "test", "--output", str(tmp_path / "test.npz")]) == 0
    assert cli.main(["embed", str(run), "--data", "test", "--output", str(tmp_path / "test.parquet")]) == 0
    arrays = np.load(tmp_path / "test.npz")
    table = pyarrow.parquet.read_table(tmp_path / "test.parquet")
    assert table.column_names == ["id", "label", "class_name", "features"]
    assert table["id"].to_pylist() == arrays["id"].tolist()
    assert table["label"].to_pylist() == arrays["label"].tolist()
    np.testing.assert_array_equal(np.array(table["features"].to_pylist(), np.float32), arrays["features"])
    assert arrays["features"].shape == (100, 32)


def test_parquet_is_written_a_part_at_a_time(tmp_path):
    """Whole, 40,000 features of 1,024 took 1.6 times their size in memory."""
    ids, numbers = np.arange(20_000).astype(str), np.arange(20_000)
    write_table({"id": ids, "number": numbers}, tmp_path / "table.parquet")
    with pyarrow.parquet.ParquetFile(tmp_path / "table.parquet") as file:
        assert file.num_row_groups == 3
        assert file.read()["number"].to_pylist() == numbers.tolist()


def test_names_of_classes_reach_the_figures_and_the_features(run, tmp_path):
    assert json.loads((run / "result.json").read_text())["class_names"] == [str(digit) for digit in range(10)]
    for ending in ("npz", "parquet"):
        assert cli.main(["embed", str(run), "--data", "test", "--output", str(tmp_path / f"test.{ending}")]) == 0
    with np.load(tmp_path / "test.npz") as file:
        assert file["class_names"][file["label"]].tolist() == file["label"].astype(str).tolist()
        assert file["class_names"].tolist() == [str(digit) for digit in range(10)]
    table = pyarrow.parquet.read_table(tmp_path / "test.parquet")
    assert pyarrow.types.is_dictionary(table["class_name"].type)
    assert table["class_name"].to_pylist() == [str(label) for label in table["label"].to_pylist()]


def test_embed_takes_a_folder_of_pictures_without_labels(run, tmp_path):
    from PIL import Image

    for index, part in enumerate(("test/a", "test/b", "train/a")):
        (tmp_path / "pictures" / part).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20 + index, 30), (80 * index, 10, 10)).save(tmp_path / "pictures" / part / f"{index}.png")
    assert cli.main(["embed", str(run), "--data", str(tmp_path / "pictures"), "--output", str(tmp_path / "f.npz")]) == 0
    arrays = np.load(tmp_path / "f.npz")
    assert sorted(arrays.files) == ["features", "id"]
    assert arrays["id"].tolist() == ["test/a/0.png", "test/b/1.png", "train/a/2.png"]


ODD = (
    b"caf\xe9.png",
    rb"caf\xe9.png",
    rb"caf\udce9.png",
    b"two\nlines.png",
    rb"two\nlines.png",
    b"a\tb.png",
    b'"q",.png',
)


def planted(folder, names):
    """The pictures of these names, each of a gray of its own."""
    from PIL import Image

    for index, name in enumerate(names):
        (folder / os.fsdecode(name)).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (20, 20), 30 * index).save(folder / os.fsdecode(name), "PNG")


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_features_are_joined_to_files_of_any_name(run, tmp_path, ending):
    planted(tmp_path / "pictures", ODD)
    planted(tmp_path / "plain", [b"%d.png" % index for index in range(len(ODD))])
    (tmp_path / "pictures" / os.fsdecode(b"bad\xe9.png")).write_bytes(b"words")
    found = []
    for folder in ("pictures", "plain"):
        output = tmp_path / f"{folder}.{ending}"
        assert cli.main(["embed", str(run), "--data", str(tmp_path / folder), "--output", str(output)]) == 0
        if ending == "npz":
            with np.load(output) as file:
                found.append(dict(zip(map(os.fsencode, file["id"].tolist()), file["features"].tolist(), strict=True)))
        else:
            table = pyarrow.parquet.read_table(output)
            assert ("id_bytes" in table.column_names) == (folder == "pictures")
            ids = table["id_bytes"] if folder == "pictures" else table["id"].cast("binary")
            found.append(dict(zip(ids.to_pylist(), table["features"].to_pylist(), strict=True)))
            assert {b"two\nlines.png", rb"two\nlines.png"} <= set(found[0])
    odd, plain = found
    assert odd.keys() == set(ODD)
    same, apart = [], []
    for index, name in enumerate(ODD):
        for other, features in plain.items():
            distance = np.abs(np.subtract(odd[name], features)).max()
            (same if other == b"%d.png" % index else apart).append(distance)
    assert max(same) < 1e-5 < 1e-4 < min(apart)
    assert (tmp_path / f"pictures.{ending}.unreadable.txt").read_text() == "bad\\udce9.png: not an image\n"


def test_in_parquet_text_stays_as_it_is_and_other_bytes_are_escaped(run, tmp_path):
    planted(tmp_path / "pictures", [b"a\n1/caf\xe9.png", "b/花\n.png".encode()])
    output = tmp_path / "f.parquet"
    assert cli.main(["embed", str(run), "--data", str(tmp_path / "pictures"), "--output", str(output)]) == 0
    table = pyarrow.parquet.read_table(output)
    assert table["id"].to_pylist() == ["a\n1/caf\\xe9.png", "b/花\n.png"]
    assert table["class_name"].to_pylist() == ["a\n1", "b"]


@pytest.mark.parametrize("output_name", ["f.csv", "missing/f.npz"])
def test_embed_refuses_an_output_it_cannot_write(run, tmp_path, output_name, capsys):
    assert cli.main(["embed", str(run), "--data", "test", "--output", str(tmp_path / output_name)]) == 2
    assert "output:" in capsys.readouterr().err


@pytest.mark.parametrize("format", ["keras", "saved_model", "onnx"])
def test_export_writes_a_checked_file_once(run, format, tmp_path, capsys):
    output = tmp_path / {"keras": "m.keras", "saved_model": "m", "onnx": "m.onnx"}[format]
    assert cli.main(["export", str(run), "--format", format, "--output", str(output)]) == 0
    assert output.exists()
    assert "largest difference" in capsys.readouterr().out
    facts = json.loads(output.with_name(f"{output.name}.json").read_text())
    assert (facts["format"], facts["frame"]["size"], facts["output"]["dimension"]) == (format, [12, 12], 32)
    assert facts["weights"] == {"method": "simsiam", "data": "digits", "steps": 20}
    assert "BICUBIC" in facts["frame"]["data"]
    if format == "saved_model":
        serve = tf.saved_model.load(output).signatures["serving_default"]
        assert [*serve.structured_input_signature[1]] == [facts["input"]["name"]]
        assert [*serve.structured_outputs] == [facts["output"]["name"]]
    assert cli.main(["export", str(run), "--format", format, "--output", str(output)]) == 2
    assert "exists" in capsys.readouterr().err


def test_the_exported_keras_file_needs_keras_alone(run, tmp_path):
    output = tmp_path / "m.keras"
    assert cli.main(["export", str(run), "--format", "keras", "--output", str(output)]) == 0
    code = (
        f"import keras, sys; print(keras.models.load_model({str(output)!r}).output_shape, 'simsiam_tf' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "(None, 32) False"


def test_export_refuses_unknown_formats_and_endings(run, tmp_path, capsys):
    assert cli.main(["export", str(run), "--format", "tflite"]) == 2
    assert "'tflite' is unknown; give one of keras, saved_model, onnx" in capsys.readouterr().err
    assert cli.main(["export", str(run), "--format", "onnx", "--output", str(tmp_path / "m.pb")]) == 2
    assert "does not end in .onnx" in capsys.readouterr().err


@pytest.mark.parametrize("format", ["saved_model", "onnx"])
def test_a_mixed_precision_network_is_exported_in_float32(format, tmp_path):
    from simsiam_tf.interop import export
    from simsiam_tf.networks import resnet as backbones

    keras.config.set_dtype_policy("mixed_bfloat16")
    backbone = backbones.build("resnet18", width=4)
    assert export.export(backbone, tmp_path / "exported", format, {"frame": {"size": [12, 12]}}) < 1e-5


def test_export_notices_a_model_that_differs(run, tmp_path, monkeypatch):
    from simsiam_tf.interop import export

    backbone = keras.models.load_model(run / "backbone.keras")
    wrong = dict(export.FORMATS, keras=lambda model, *_: lambda images: 1.001 * np.asarray(model(images)))
    monkeypatch.setattr(export, "FORMATS", wrong)
    with pytest.raises(export.InputError, match=r"differ by 0\.001"):
        export.export(backbone, tmp_path / "m.keras", "keras", {"frame": {"size": [12, 12]}})
    assert not list(tmp_path.iterdir())


def test_a_corrupt_backbone_is_refused(run, tmp_path, capsys):
    (tmp_path / "config.yaml").write_text((run / "config.yaml").read_text())
    (tmp_path / "backbone.keras").write_bytes(b"nonsense")
    assert cli.main(["export", str(tmp_path), "--format", "onnx"]) == 2
    assert "backbone.keras cannot be loaded" in capsys.readouterr().err
    (tmp_path / "backbone.keras").unlink()
    assert cli.main(["export", str(tmp_path), "--format", "onnx"]) == 2
    assert "has no backbone.keras yet" in capsys.readouterr().err
