"""What every method promises, tried on each entry of METHODS at 8 px: nothing here knows any of them by name."""

import inspect
import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf import METHODS, DivergenceMonitor, LinearProbe, make_optimizer
from simsiam_tf.errors import Diverged, InputError
from simsiam_tf.methods.targets import Follower
from simsiam_tf.optimizers import check_groups
from simsiam_tf.runs.checkpoint import by_path, collect, restore
from simsiam_tf.runs.checkpointer import method_variables
from simsiam_tf.settings import files, yaml_files
from simsiam_tf.settings.methods import METHODS as SETTINGS
from small_methods import BATCH, STEPS, VARIANTS, build, images, labels
from test_workers import free_ports

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.long
KEEPING = [name for name, settings in VARIANTS.items() if {"target", "freeze_prototypes"} & settings.keys()]


def pytest_generate_tests(metafunc):
    """What goes on from files is tried on banks and on what begins later, too."""
    more = KEEPING if "goes_on" in metafunc.function.__name__ else []
    metafunc.parametrize("name", [*METHODS, *more], scope="module")


def given(model, part, with_labels=False):
    """A part of the images; where the method asks for them or the test does, labels; rows, each in every other step."""
    x = images()[part]
    if "rows" in model.reads:
        x = {"images": x, "rows": np.arange(BATCH * STEPS)[part] % (2 * BATCH)}
    return x, labels()[part] if with_labels or "labels" in model.reads else None


def train(model, steps, start=0, callbacks=(), with_labels=False):
    """So many steps of `fit`, each on its own part of the images, as from a user's script."""
    x, y = given(model, slice(start * BATCH, (start + steps) * BATCH), with_labels)
    return model.fit(x, y, BATCH, verbose=0, shuffle=False, callbacks=list(callbacks)).history


def first_head(model):
    """That of the projections: the projector, where there is one."""
    return next(iter(model.heads.values()))


def state(model):
    return collect(method_variables(model) | by_path("optimizer", model.optimizer.variables, model.optimizer.name))


def assert_same(a, b):
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)


RUN = {"total_steps": STEPS, "weight_average": 0.9}


@pytest.fixture(scope="module")
def whole(name):
    """A run of four steps: the model, its weights before, and how often its step was traced."""
    model, traces = build(name, **RUN), []
    forward = model.forward
    model.forward = lambda *arguments, **options: traces.append(1) or forward(*arguments, **options)
    before = [np.array(v) for v in model.trainable_variables]
    losses = [train(model, 2, start)["loss"][0] for start in (0, 2)]
    return model, before, len(traces), losses


@pytest.fixture(scope="module")
def half(name, tmp_path_factory):
    """Its first two steps: a saved model, and the state that a checkpoint has."""
    model = build(name, **RUN)
    train(model, 2)
    file = tmp_path_factory.mktemp("half") / "model.keras"
    model.save(file)
    return file, state(model)


def test_its_settings_are_its_arguments(name):
    known = {each.name for each in fields(SETTINGS[name])} - {"name"}
    parameters = inspect.signature(METHODS[name]).parameters
    assert known <= parameters.keys()
    assert {key: parameters[key].default for key in known} == SETTINGS[name]().arguments()
    assert known | {"backbone", "augmenter", "seed", "total_steps"} <= build(name).get_config().keys()
    assert not [key for key in known if f" {key}:" not in METHODS[name].__doc__]


def test_an_unknown_setting_is_refused(name):
    with pytest.raises(InputError, match=r"method\.projecton_dim: unknown; give one of .*weight_average"):
        build(name, projecton_dim=3)


def test_each_variable_is_in_one_group(name):
    model = build(name)
    check_groups(model)
    grouped = [id(v) for group in model.groups() for layer in group.layers for v in layer.trainable_variables]
    assert len(grouped) == len(set(grouped))


def test_fit_in_a_script_trains_every_weight(whole):
    """Without a run folder: the loss is finite, every trainable variable moves, and two fits trace the step once."""
    model, before, traces, losses = whole
    assert np.isfinite(losses).all()
    assert traces == 1
    assert int(model.step) == 4
    now = [np.array(v) for v in model.trainable_variables]
    unmoved = [v.path for v, a, b in zip(model.trainable_variables, before, now, strict=True) if np.array_equal(a, b)]
    assert not unmoved
    assert model.predict(images()[:4], verbose=0).shape == (4, 8)
    assert np.asarray(model.project(images()[:4])).shape == (4, first_head(model).output_dim)


def test_a_saved_model_goes_on_as_if_it_had_not_been_saved(name, half, whole):
    loaded = keras.models.load_model(half[0])
    assert type(loaded) is METHODS[name.split("/")[0]]
    assert (loaded.settings, loaded.seed, loaded.total_steps) == (whole[0].settings, 0, STEPS)
    train(loaded, 2, start=2)
    assert_same(state(loaded), state(whole[0]))


def test_a_checkpoint_goes_on_bit_for_bit(name, half, whole):
    """All that decides what comes next is in the named variables."""
    fresh = build(name, **RUN)
    variables = method_variables(fresh) | by_path("optimizer", fresh.optimizer.variables, fresh.optimizer.name)
    for variable in variables.values():
        variable.assign(tf.zeros_like(variable))
    restore(half[1], variables)
    train(fresh, 2, start=2)
    assert_same(state(fresh), state(whole[0]))


def test_another_seed_is_another_network(name):
    first, other = (state(build(name, seed=seed)) for seed in (0, 1))
    assert all(not np.array_equal(first[key], other[key]) for key in first if key.endswith("kernel"))


def test_bfloat16_trains_float32_variables(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = build(name)
    assert np.isfinite(train(model, 2)["loss"]).all()
    assert {v.dtype for v in model.trainable_variables} == {"float32"}


def test_a_step_that_is_not_finite_is_noted(name):
    model = build(name)
    x, y = given(model, slice(2 * BATCH))
    bad = x.astype("float32")
    bad[BATCH + 3] = np.nan
    with pytest.raises(Diverged, match="step 2, batch 2 of 2"):
        model.fit(bad, y, BATCH, verbose=0, shuffle=False, callbacks=[DivergenceMonitor()])
    assert int(model.diverged_at) == 1


def test_a_probe_sees_the_features_and_leaves_the_encoder_alone(name, half):
    probed = build(name, **RUN)
    history = train(probed, 2, callbacks=[LinearProbe(4)], with_labels=True)
    assert 0 <= history["probe_accuracy"][0] <= 1
    for key, array in method_variables(probed).items():
        np.testing.assert_allclose(array, half[1][key], rtol=1e-5, atol=1e-6, err_msg=key)


def test_evaluate_changes_nothing(whole):
    model = whole[0]
    before = state(model)
    assert np.isfinite(model.evaluate(*given(model, slice(BATCH)), BATCH, verbose=0))
    assert_same(before, state(model))


def test_targets_begin_from_weights_that_are_put_in(name):
    """Those of a file, say: what follows a network starts as a copy of it."""
    model = build(name, **RUN)
    networks = [model.backbone, first_head(model)]
    for network in networks:
        network.set_weights([weight + 1 for weight in network.get_weights()])
    model.restart_targets()
    followers = [layer for layer in model.layers if isinstance(layer, Follower)]
    copies = [copy for follower in followers for copy in follower.networks]
    originals = networks * len(followers)
    for copy, original in zip([model.average, *copies], [model.backbone, *originals], strict=True):
        for ours, theirs in zip(copy.get_weights(), original.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_it_has_a_recipe_and_can_be_chosen_over_any(name):
    recipes = [files.read(path) for path in yaml_files.shipped_folder().glob("*.yaml")]
    assert name in {config.method.name for config in recipes}
    for recipe in ("cifar10", "byol_cifar10", "moco_imagenet"):
        parser = files.OneLineParser(prog="simsiam-tf train")
        _, config = files.parse(parser, ["--config", recipe, "--method.name", name])
        assert config.method.name == name


@pytest.fixture(scope="session")
def replicas(tmp_path_factory):
    """{method/run/variable: array} of `small_methods.py`: on one device, on two, and in two processes, side by side."""
    folder = tmp_path_factory.mktemp("replicas")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    clusters = [{"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}} for index in range(2)]
    processes = []
    for own in ({}, *({"TF_CONFIG": json.dumps(cluster)} for cluster in clusters)):
        program = [sys.executable, str(ROOT / "tests" / "small_methods.py"), str(folder / f"{bool(own)}.npz")]
        with (folder / f"stderr{len(processes)}").open("w") as errors:
            processes.append(subprocess.Popen(program, env=environment | own, stderr=errors))
    try:
        codes = [process.wait(1800) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0, 0, 0], "\n".join(file.read_text()[-2000:] for file in folder.glob("stderr*"))
    return {key: array for file in folder.glob("*.npz") for key, array in np.load(file).items()}


def trained_by(run, replicas):
    return {key.removeprefix(run): array for key, array in replicas.items() if key.startswith(run)}


@pytest.mark.parametrize("kind", ["two devices", "two processes"])
def test_several_devices_train_the_weights_of_one(name, kind, replicas):
    """After 20 steps; the method, and each of its variants. Numbers that are kept in float16 round to neighbours."""
    for variant in [name, *(each for each in VARIANTS if each.startswith(f"{name}/"))]:
        one, many = (trained_by(f"{variant}/{run}/", replicas) for run in ("one", kind))
        assert one, variant
        assert one.keys() == many.keys()
        for key, array in one.items():
            bound = 1e-3 if array.dtype == "float16" else 1e-5
            np.testing.assert_allclose(many[key].astype("float64"), array, 0, bound, err_msg=f"{variant} {key}")


def test_make_optimizer_knows_the_groups(name):
    """A script that gives the model has each group's rate."""
    model = build(name)
    rates = make_optimizer(model, STEPS, learning_rate=0.1, batch_size=256, epochs=2)
    assert {group.name for group in model.groups()} == {part.name for part in getattr(rates, "optimizers", [rates])}
