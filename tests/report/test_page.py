"""The page of a real run: whole, without network, and safe with any name; and the verb."""

import base64
import io
import re
import shutil
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from simsiam_tf.cli import main as cli
from simsiam_tf.report import pictures, text
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
    assert sheet.size == (10 * 40, 10 * 40)
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


def test_tables_for_spreadsheets_and_papers(record):
    records = [record("50 %_a", seed=1), record("b", outcome="collapsed")]
    assert text.csv_text(records, []).splitlines()[-3:] == [
        "run,method,seed,outcome,kNN,loss",
        "50 %_a,simsiam,1,healthy,50.0 %,-0.700",
        "b,simsiam,0,collapsed,50.0 %,-0.700",
    ]
    lines = text.latex_text(records, []).split("\n\n")[-1].splitlines()
    assert lines[:3] == [r"\begin{tabular}{lrrrrr}", r"\toprule", r"run & method & seed & outcome & kNN & loss \\"]
    assert lines[4] == r"50 \%\_a & simsiam & 1 & healthy & 50.0 \% & -0.700 \\"
    assert text._latex("**1 ± 2**") == r"\textbf{1 $\pm$ 2}"


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
