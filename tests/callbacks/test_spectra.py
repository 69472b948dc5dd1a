"""The spectrum monitor: singular values are NumPy's, and the file goes on where a run does."""

import numpy as np
import pytest

from fitting import run
from simsiam_tf import SimSiam
from simsiam_tf.callbacks import SpectrumMonitor, spectra
from simsiam_tf.callbacks.spectra import NAMES, read_looks
from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.label_free import alignment, label_free_figures, lidar


def numpy_values(outputs):
    """Singular values of the centred outputs, and the mean of their cumulative shares."""
    outputs = np.asarray(outputs, np.float64)
    values = np.linalg.svd(outputs - outputs.mean(axis=0), compute_uv=False)
    return values, np.mean(np.cumsum(values) / values.sum())


def test_spectra_are_those_of_the_trained_network(small_model, colours, tmp_path):
    model, monitor = small_model(), SpectrumMonitor(colours, path=tmp_path / "spectra.npz")
    history = run(model, colours, [monitor])
    assert [look["step"] for look in monitor.looks] == [0, 4, 8]
    assert isinstance(model, SimSiam)
    for kind, outputs in (("features", model(colours)), ("projections", model.project(colours))):
        values, auc = numpy_values(outputs)
        np.testing.assert_allclose(monitor.looks[-1][kind], values, rtol=1e-4, atol=1e-4 * values[0])
        assert history[f"{kind}_auc"][-1] == pytest.approx(auc, rel=1e-4)
    with np.load(tmp_path / "spectra.npz") as file:
        assert file["steps"].tolist() == [0, 4, 8]
        assert file["features"].shape == (3, 8)
        assert file["projections"].shape == (3, 16)
    assert not np.allclose(monitor.looks[1]["features"], monitor.looks[2]["features"])
    values = np.linalg.eigvalsh(np.cov(np.asarray(model(colours), np.float64).T))
    assert history["features_nesum"][-1] == pytest.approx(values.sum() / values[-1], rel=1e-3)


def test_views_give_alignment_and_lidar(small_model, colours):
    model, views = small_model(), [colours[:6], colours[6:12], colours[12:18]]
    history = run(model, colours, [SpectrumMonitor(colours, every=2, views=views)], epochs=3)
    features = np.stack([model(view) for view in views], axis=1)
    assert history["features_alignment"][-1] == pytest.approx(alignment(features[:, 0], features[:, 1]), rel=1e-5)
    assert history["features_lidar"][-1] == pytest.approx(lidar(features), rel=1e-5)


def test_views_whose_features_are_not_finite_leave_their_figures_out(small_model, colours, monkeypatch):
    monkeypatch.setattr(spectra, "view_features", lambda model, views: np.full((6, 2, 8), np.inf))
    history = run(small_model(), colours, [SpectrumMonitor(colours, views=[colours[:6]] * 2)])
    assert "features_nesum" in history
    assert "features_lidar" not in history


def test_a_figure_that_one_look_lacks_is_known_of_the_others(small_model, colours, tmp_path, monkeypatch):
    path, found = tmp_path / "spectra.npz", iter([np.ones((6, 2, 8)), np.full((6, 2, 8), np.inf), np.ones((6, 2, 8))])
    monkeypatch.setattr(spectra, "view_features", lambda model, views: next(found))
    run(small_model(), colours, [SpectrumMonitor(colours, path=path, views=[colours[:6]] * 2)])
    looks = read_looks(path)
    assert ["features_alignment" in look["figures"] for look in looks] == [True, False, True]
    assert looks[0]["figures"]["features_alignment"] == 0


@pytest.mark.parametrize("content", [b"", b"PK", b"spectra"])
def test_a_damaged_file_is_named(content, small_model, colours, tmp_path):
    path = tmp_path / "spectra.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"spectra.npz: no spectra can be read from it; remove it, and the"):
        run(small_model(), colours, [SpectrumMonitor(colours, path=path)])


def test_the_first_look_is_at_the_untrained_network(small_model, colours):
    model, monitor = small_model(), SpectrumMonitor(colours)
    before = model(colours).numpy()
    untrained = numpy_values(before)[0]
    run(model, colours, [monitor])
    np.testing.assert_allclose(monitor.looks[0]["features"], untrained, rtol=1e-4, atol=1e-4 * untrained[0])
    figures = label_free_figures(before)
    named = {f"features_{NAMES.get(name, name)}": value for name, value in figures.items() if name != "images"}
    assert {name: monitor.looks[0]["figures"][name] for name in named} == pytest.approx(named, rel=1e-4)


def test_a_run_goes_on_with_the_looks_that_its_checkpoint_knows_of(small_model, colours, tmp_path):
    path = tmp_path / "spectra.npz"
    run(small_model(), colours, [SpectrumMonitor(colours, path=path)], epochs=3)
    before = read_looks(path)
    model = small_model()
    model.step.assign(8)  # the third epoch is lost
    monitor = SpectrumMonitor(colours, path=path)
    run(model, colours, [monitor], epochs=1)
    assert [look["step"] for look in read_looks(path)] == [0, 4, 8, 12]
    np.testing.assert_array_equal(monitor.looks[2]["features"], before[2]["features"])
    assert monitor.looks[2]["figures"] == before[2]["figures"]
    assert not np.array_equal(monitor.looks[3]["features"], before[3]["features"])


def test_every_second_epoch_and_the_last(small_model, colours):
    monitor = SpectrumMonitor(colours, every=2)
    run(small_model(), colours, [monitor], epochs=3)
    assert [look["step"] for look in monitor.looks] == [0, 8, 12]


def test_what_has_no_projections_is_refused(small_backbone, colours):
    with pytest.raises(InputError, match="SpectrumMonitor: Functional has no project"):
        SpectrumMonitor(colours).set_model(small_backbone())
    with pytest.raises(InputError, match="every: 0; give 1 epoch or more"):
        SpectrumMonitor(colours, every=0)
    with pytest.raises(InputError, match="views: 1 of them; give 2 or more views of the same images"):
        SpectrumMonitor(colours, views=[colours])
