"""What the command line says and refuses, its exit codes, and that it does so before TensorFlow is imported."""

import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from simsiam_tf.cli import main as cli
from simsiam_tf.cores import usable_cores
from simsiam_tf.settings.data import PLACES

ROOT = Path(__file__).parents[1]
STUDIES = sorted(path.stem for path in (ROOT / "configs" / "studies").glob("*.yaml"))


def test_print_config_shows_the_result(capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(["train", "--config", "cifar10", "--seed", "5", "--print_config"])
    assert done.value.code in (0, None)
    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["seed"], shown["optimizer"]["epochs"]) == (5, 800)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--help"], 0, "train"),
        ([], 2, "train"),
        (["fly"], 2, "'fly' is unknown"),
        (["evaluate", "nowhere"], 2, "RUN: nowhere is no run folder"),
        (["embed", "nowhere"], 2, "data"),
        (["neighbors", "nowhere"], 2, "query"),
        (["inspect", "nowhere"], 2, "data"),
        (["export", "nowhere", "--format", "onnx"], 2, "RUN: nowhere"),
        (["import-weights", "nowhere"], 2, "FILE: nowhere cannot be read"),
        (["train", "--optimizer.batch_size", "x"], 2, "optimizer.batch_size"),
        (["evaluate"], 2, "run"),
        (["import-weights"], 2, "file"),
        (["train", "--config"], 2, "config"),
    ],
)
def test_exit_codes(arguments, code, text, capsys):
    assert cli.main(arguments) == code
    out, err = capsys.readouterr()
    assert text in (out + err)
    assert "Traceback" not in err
    assert code == 0 or not arguments or err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [["--help"], *([verb, "--help"] for verb in ("train", "export", "import-weights", "neighbors", "inspect"))],
)
def test_help_does_not_import_tensorflow(arguments):
    assert "usage" in without_tensorflow(arguments)


def test_nor_do_the_tables_of_a_report(tmp_path):
    arguments = ["report", "stop_gradient_small", "--results=benchmarks/results/cells", "--format=csv"]
    assert "10 runs" in without_tensorflow([*arguments, f"--output={tmp_path / 'report.csv'}"])


def without_tensorflow(arguments):
    code = (
        "import sys; from simsiam_tf.cli.main import main\n"
        f"try: main({arguments})\n"
        "except SystemExit: pass\n"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_keras_imports_for_others_is_left_out_and_there_afterwards():
    code = (
        "import sys; from simsiam_tf.cli.tensorflow import quiet_tensorflow; quiet_tensorflow(); "
        "print([name for name in ('tensorflow', 'keras_cv', 'torch', 'sklearn') if name in sys.modules]); "
        "import sklearn, torch; print(torch.ones(1) + 1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["['tensorflow',", "'keras_cv']", "tensor([2.])"]


@pytest.mark.parametrize(("asked", "expected"), [(None, max(1, usable_cores() // 2)), ("3", 0)])
def test_an_operation_has_half_of_the_cores_unless_the_environment_says_how_many(asked, expected):
    code = (
        "from simsiam_tf.cli.tensorflow import quiet_tensorflow; quiet_tensorflow(); "
        "import tensorflow; print(tensorflow.config.threading.get_intra_op_parallelism_threads())"
    )
    environment = {key: value for key, value in os.environ.items() if key != "TF_NUM_INTRAOP_THREADS"}
    environment |= {} if asked is None else {"TF_NUM_INTRAOP_THREADS": asked}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) == expected


def test_the_help_names_a_page_that_has_more(capsys):
    with suppress(SystemExit):
        cli.main(["inspect", "--help"])
    [page] = re.findall(r"see\s+(\S+\.md)", capsys.readouterr().out)
    assert "--threshold" in (ROOT / page).read_text()


# For each source that needs a path: one of another kind, and a folder without files of its types.
WRONG = [
    (source, "letter" if place.endings else "run", f"is of another kind; give {place.words}")
    for source, place in PLACES.items()
    if place
] + [
    (source, "run", f"has no files of these types; give {place.words}: {' '.join(place.endings)}")
    for source, place in PLACES.items()
    if place and place.endings
]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "--config=digits", "--data.source=tfds"],
            "data.name: none given, but data.source tfds needs one; give",
        ),
        (["sweep"], "--config: none given; give a study"),
        (["sweep", "--config=digits"], f"--config: no file 'digits'; give a YAML file or one of: {STUDIES[0]}"),
        (["train", "--data.source=folder"], "data.path: none given, but data.source folder needs one; give a folder"),
        (["train", "--data.source=arrays", "--data.path=nowhere.npz"], "data.path: nowhere.npz is not there; give an"),
        *(
            (["train", f"--data.source={source}", f"--data.path={path}"], f"data.path: {path} {why}")
            for source, path, why in WRONG
        ),
        (["train", "--data.source=digits", "--seed=-1"], "seed: -1 is no value of it; give a whole number 0 or more"),
        (["evaluate", "run", "--data.path=nowhere"], "data.path: nowhere is not there; give a folder of image files"),
        (["evaluate", "run", "--seed=3"], "seed: 3 is not the trained run's; give only"),
        (["embed", "run", "--data=nowhere", "--output=f.npz"], "data.path: nowhere is not there; give a folder of"),
        (["embed", "run", "--data=nowhere.npy", "--output=f.npz"], "data.path: nowhere.npy is not there; give an .npz"),
        (["embed", "run", "--data=test", "--output=f.csv"], "output: f.csv ends in neither .parquet nor .npz; give"),
        (["embed", "run", "--data=test", "--output=no/f.npz"], "output: folder no does not exist; make it first"),
        (["neighbors", "run", "--query=nowhere.png"], "query: nowhere.png is not there; give a picture file"),
        (["neighbors", "run", "--query=run"], "query: run is of another kind; give a picture file"),
        (["neighbors", "run", "--query=letter"], "data.path: pictures is not there; give a folder of image files"),
        (["neighbors", "run", "--query=letter", "--data=nowhere"], "data.path: nowhere is not there; give a folder"),
        (["neighbors", "run", "--query=letter", "--k=0"], "k: 0 is no value of it; give 1 or more"),
        (["neighbors", "run", "--query=letter", "--output=n.jpg"], "output: n.jpg does not end in .png; give a name"),
        (["inspect", "run", "--data=nowhere"], "data.path: nowhere is not there; give a folder of image files"),
        (["inspect", "run", "--data=run", "--output=no/f.html"], "output: folder no does not exist; make it first"),
        (["inspect", "run", "--data=run", "--threshold=2"], "threshold: 2.0 is no cosine; give one from -1 to 1"),
        (["export", "run", "--format=tflite"], "format: 'tflite' is unknown; give one of keras, saved_model, onnx"),
        (["export", "run", "--format=onnx", "--output=m.pb"], "output: m.pb does not end in .onnx, which format onnx"),
        (["export", "run", "--format=keras", "--output=m.keras"], "output: m.keras exists; give another one or del"),
        (["import-weights", "nowhere.pth"], "FILE: nowhere.pth cannot be read (No such file or directory); give a"),
        (["import-weights", "letter"], "letter is no PyTorch checkpoint"),
        (["import-weights", "letter", "--method.name=magic"], "method.name: magic is unknown; give one of simsiam"),
    ],
)
def test_what_is_not_there_is_refused_before_tensorflow_and_leaves_nothing(tmp_path, arguments, message):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("data: {source: folder, path: pictures}\n")
    (tmp_path / "letter").write_text("dear")
    (tmp_path / "m.keras").touch()
    before = sorted(tmp_path.rglob("*"))
    code = (
        "import sys; from simsiam_tf.cli.main import main\n"
        f"code = main({arguments})\n"
        "sys.exit(100 if 'tensorflow' in sys.modules or 'keras' in sys.modules else code)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("simsiam-tf: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
