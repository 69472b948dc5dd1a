"""The page of a real run: whole, without network, and safe with any name; and the verb."""

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from simsiam_tf.cli import main as cli
from simsiam_tf.cli.report import LARGE, _parser
from simsiam_tf.cli.sweep import parser as sweep_parser
from simsiam_tf.experiments.results import file_name
from simsiam_tf.experiments.study import Study
from simsiam_tf.report import pictures, plots, text
from simsiam_tf.report.page import html
from simsiam_tf.report.pictures import details
from simsiam_tf.report.records import of_folders


class Page(HTMLParser):
    """Elements of a page: (tag, attributes)."""

    def __init__(self, content):
        super().__init__()
        self.elements = []
        self.feed(content)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def all(self, tag):
        return [attributes for found, attributes in self.elements if found == tag]


@pytest.fixture(scope="module")
def looked(trained):
    return details(trained)


@pytest.fixture(scope="module")
def content(trained, looked):
    return html("digits", of_folders(trained), [], [("run", looked)], 150)


def test_the_page_needs_no_network_and_is_small(content):
    outside = re.sub(r'xmlns(:\w+)?="[^"]*"', "", content)
    assert "://" not in outside
    assert len(content) < 1.5e6


def test_every_picture_says_what_it_shows(content):
    page = Page(content)
    assert len(page.all("img")) >= 8 * 11
    assert all(each.get("alt") for each in page.all("img"))
    assert all(each.get("aria-label") for each in page.all("svg"))


def test_links_lead_to_sections(content):
    page = Page(content)
    ids = {attributes.get("id") for _, attributes in page.elements}
    links = [each["href"] for each in page.all("a")]
    assert links[0] == "#summary"
    assert {link.removeprefix("#") for link in links} <= ids


def test_neighbours_are_the_most_similar_of_other_pictures(looked):
    assert len(looked.neighbours) == 8
    for _, others in looked.neighbours:
        cosines = [float(each.words.rpartition(" ")[2]) for each in others]
        assert len(others) == 10
        assert cosines == sorted(cosines, reverse=True)
        assert {each.right for each in others} <= {True, False}
    query, others = looked.neighbours[0]
    for other in others:
        same = query.words.split(":")[0] == other.words.split(":")[0]
        assert other.right == same


def test_the_map_has_a_point_and_a_tile_for_each_picture(looked):
    drawn = looked.map
    assert len(drawn.points) == len(drawn.labels) == len(drawn.words) == 100
    assert np.all((np.array(drawn.points) >= 0) & (np.array(drawn.points) <= 1))
    sheet = Image.open(io.BytesIO(base64.b64decode(drawn.sheet.partition(",")[2])))
    assert sheet.size == (10 * 32, 10 * 32)
    assert drawn.classes == [str(digit) for digit in range(10)]


def test_without_its_data_a_run_has_its_views(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    config = (tmp_path / "run" / "config.yaml").read_text()
    config = re.sub(r"source: digits", "source: folder", config)
    (tmp_path / "run" / "config.yaml").write_text(re.sub(r"\n  path: null", f"\n  path: {tmp_path / 'gone'}", config))
    found = details(tmp_path / "run")
    assert found.views.uri.startswith("data:image/jpeg")
    assert found.neighbours is None
    assert "gone" in found.missing
    assert "Not shown: data.path" in html("x", of_folders(tmp_path / "run"), [], [("run", found)])


def test_views_that_cannot_be_read_leave_the_rest_of_the_page(trained, tmp_path, looked):
    shutil.copytree(trained, tmp_path / "run")
    whole = (tmp_path / "run" / "views.png").read_bytes()
    for damaged in (b"no picture", whole[: len(whole) // 2]):
        (tmp_path / "run" / "views.png").write_bytes(damaged)
        found = details(tmp_path / "run")
        assert found.views is None
        assert found.missing.startswith("views.png: ")
        assert len(found.neighbours) == len(looked.neighbours)


@pytest.mark.parametrize(
    ("count", "words"),
    [(1, "images, and one augmented view of each below them"), (4, "images, and 4 augmented views of each below them")],
)
def test_views_are_counted(trained, count, words):
    found = pictures._views(trained / "views.png", count)
    assert f'alt="{words}"' in html("x", of_folders(trained), [], [("run", pictures.Details(found))])


def test_features_that_are_not_finite_leave_the_rest_of_the_page(trained, monkeypatch):
    nothing = SimpleNamespace(of=lambda images, side: np.full((len(images), 3), np.nan))
    monkeypatch.setattr(pictures, "Extractor", lambda model: nothing)
    found = details(trained)
    assert found.views is not None
    assert "NaN or infinity" in found.missing


def test_class_names_are_shown_whatever_their_bytes():
    named = SimpleNamespace(class_names=("a", "b\udce9"), labels=np.array([0, 1]), ids=np.array(["0.png", "1.png"]))
    assert pictures._class_names(named, 2) == ["a", "b\\udce9"]
    assert pictures._words(named, 1).encode().startswith(b"b\\udce9: ")


def test_names_are_text(record):
    page = html("<b>", [record("<script>alert(1)</script>"), record("&amp;", optimizer__learning_rate="<i>")], [], [])
    assert "<script>alert" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&amp;amp;" in page


def test_energy_is_that_of_all_runs_with_their_own_carbon(record):
    records = [record(energy_kwh=1.5, carbon_kg=0.3), record(energy_kwh=0.5, carbon_kg=0.1)]
    said = "2 kWh in the training of 2 of 2 runs, an estimate, "
    assert f"<p>{said}0.4 kg of CO2, as a car's 3.7 km.</p>" in html("x", records, [], []).replace("&#39;", "'")
    assert f"<p>{said}1 kg of CO2 at 500 g for a kWh" in html("x", records, [], [], 500)
    assert "Energy" not in html("x", [record()], [], [], 150)


def test_a_study_is_on_the_page_with_its_tests(study):
    table, runs = study
    content = html("x", runs, [table], [])
    page = Page(content)
    assert "study-mine" in {attributes.get("id") for _, attributes in page.elements}
    assert "#study-mine" in [each["href"] for each in page.all("a")]
    assert content.count("<strong>81.0 ± 1.0</strong>") == 1
    assert "<strong>80.3 ± 0.6</strong>" in content
    assert "<td>51.0 ± 1.0</td>" in content
    p = 2 * stats.ttest_ind([0.5, 0.52, 0.51], [0.8, 0.82, 0.81], equal_var=False).pvalue
    assert f"<td>{p:.2g}</td><td>lower</td>" in content.replace("\n", "")
    assert 'id="accuracy-1"' not in content  # its own table says it all
    assert r"\textbf{81.0 $\pm$ 1.0}" in text.latex_text(runs, [table])


def test_a_study_that_was_swept_with_further_settings(study, tmp_path, monkeypatch, capsys):
    """Its results have other names; without these settings there are none."""
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("{base: digits, seeds: [0, 1], rows: [{name: one}]}")
    cells = Study.read(Path("mine.yaml")).cells(sweep_parser, ["--data.limit=100"])[1]
    Path("results").mkdir()
    for cell in cells:
        made = {"configuration": {"seed": cell.seed, "data.limit": 100}} | {"figures": {"knn_accuracy": 0.5}}
        Path("results", file_name(cell.config)).write_text(
            json.dumps(made | {"outcome": "healthy", "epochs": [], "looks": [], "made": {}})
        )
    verb = ["report", "mine.yaml", "--results", "results", "--format", "csv"]
    for given in (["--data.limit", "100"], ["--data.limit=100"]):
        assert cli.main([*verb, *given]) == 0
        assert "2 runs: report.csv" in capsys.readouterr().out
    assert cli.main(verb) == 2
    assert "nothing of mine.yaml is done yet; sweep it, or give --results and the settings" in capsys.readouterr().err


def test_a_large_page_says_what_makes_it_smaller(trained, tmp_path, capsys, monkeypatch):
    report = ["report", str(trained), "--details", "1", "--output", str(tmp_path / "r.html")]
    monkeypatch.setattr("simsiam_tf.cli.report.LARGE", 0.1)
    assert cli.main(report) == 0
    said = capsys.readouterr()
    size = (tmp_path / "r.html").stat().st_size / 1e6
    assert f"r.html, {size:.1f} MB" in said.out
    assert said.err.endswith(f"r.html is large: {size:.1f} MB; give fewer --details than 1\n")


def test_by_default_the_page_is_below_5_mb_even_of_noise(record):
    """Nothing is larger as JPEG; of as many runs and pictures as are looked at."""
    noise = np.random.default_rng(0)

    def picture(height, width, side=None):
        return pictures._jpeg(noise.integers(0, 256, (height, width, 3), np.uint8), side)

    def noisy():
        near = [
            (
                pictures.Picture(picture(64, 64), "x"),
                [pictures.Picture(picture(64, 64), "x", True) for _ in range(pictures.NEIGHBOURS)],
            )
            for _ in range(pictures.QUERIES)
        ]
        n, columns = pictures.MAPPED, int(np.ceil(np.sqrt(pictures.MAPPED)))
        sheet = picture(-(-n // columns) * pictures.DOT, columns * pictures.DOT)
        drawn = pictures.Map(
            noise.random((n, 2)).tolist(), [0] * n, ["class: folder/picture.jpg"] * n, sheet, columns, ["a"]
        )
        matrix = plots.confusion(noise.integers(0, 99, (20, 20)), [f"class {i}" for i in range(20)])
        spectrum = plots.spectrum({name: np.linspace(1, 0, 2048) for name in ("trained", "untrained")})
        return pictures.Details(pictures.Picture(picture(420, 1080), "views"), near, drawn, matrix, spectrum)

    looked = [(f"run {i}", noisy()) for i in range(_parser().get_defaults().details)]
    assert 2.5e6 < len(html("x", [record(f"run {i}", seed=i) for i in range(3)], [], looked)) < 1e6 * LARGE


def test_the_verb(trained, tmp_path, capsys):
    for form, name in (("html", "r.html"), ("csv", "r.csv"), ("latex", "r.tex")):
        output = ["--output", str(tmp_path / name), "--format", form, "--details", "0"]
        assert cli.main(["report", str(trained), *output]) == 0
        assert f"1 runs: {tmp_path / name}" in capsys.readouterr().out
        assert (tmp_path / name).stat().st_size > 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "RUN_OR_STUDY: nowhere is neither a folder nor a study"),
        (
            ["table5_small", "--results", "empty"],
            "RUN_OR_STUDY: nothing of table5_small is done yet; sweep it, or",
        ),
        ([".", "--data.limit", "100"], "data.limit: runs have settings of their own; give it with a study only"),
        (["table5_small", "--format", "pdf"], "format: 'pdf' is unknown; give one of html, csv, latex"),
        (["table5_small", "--output", "no/where.html"], "output: folder no does not exist; make it first"),
        (["table5_small", "--output", "t.csv"], "output: t.csv is no name for html; give --format, or another ending"),
        (["table5_small", "--details", "-1"], "details: -1 is no value of it; give 0 or more"),
        (["table5_small", "--carbon_intensity", "-1"], "carbon_intensity: -1 is no value of it; give 0 or more"),
    ],
)
def test_refusals(arguments, message, capsys):
    assert cli.main(["report", *arguments]) == 2
    assert message in capsys.readouterr().err
