"""How often Python, TensorFlow's tracing and the device meet."""

import numpy as np

from simsiam_tf import LinearProbe, SimSiam, recipe
from simsiam_tf.runs import build as assemble
from simsiam_tf.settings.schema import Config, SGDSettings, TrainingSettings


def test_steps_per_execution_on_a_gpu_make_few_calls_of_like_length(monkeypatch):
    assert assemble.steps_per_execution(Config(), 97) == 1
    monkeypatch.setattr(assemble, "has_gpu", lambda: True)
    for steps, each in ((97, 97), (101, 51), (2502, 97), (5000, 100), (1, 1)):  # 1, 2, 26, 50 and 1 calls
        assert assemble.steps_per_execution(Config(), steps) == each
    for epochs, each in ((40, 51), (39, 34), (10, 21), (1, 2)):  # 1, 2, 4 and 40 looks in an epoch
        assert assemble.steps_per_execution(Config(optimizer=SGDSettings(epochs=epochs)), 101) == each
    for wanted, each in ((4, 4), (7, 6)):
        settings = TrainingSettings(steps_per_execution=wanted)
        assert assemble.steps_per_execution(Config(training=settings), 6) == each


def test_the_step_is_traced_once_for_all_epochs(small_model, images, monkeypatch):
    """Neither the number of the step nor the epoch makes TensorFlow trace again, compiled or not."""
    traces = []
    draw_views = SimSiam.draw_views

    def noted(self, *arguments):
        traces.append(arguments)
        return draw_views(self, *arguments)

    monkeypatch.setattr(SimSiam, "draw_views", noted)
    for jit in (False, True):
        model = small_model()
        model.compile(model.optimizer, jit_compile=jit)
        model.fit(images, batch_size=16, epochs=1, verbose=0)
        first = len(traces)
        assert first >= 1
        for epochs in (2, 4):
            model.fit(images, batch_size=16, initial_epoch=epochs - 1, epochs=epochs, verbose=0)
        assert len(traces) == first
        traces.clear()


def test_a_second_fit_traces_again_for_another_probe_other_views_or_another_optimizer_alone(small_model, images):
    """A run that goes on inside an epoch is two fits, of different numbers of steps a call."""
    model, functions = small_model(), []
    probe = LinearProbe(4)
    labels = np.arange(64) % 4

    def fit(callbacks, steps=3):
        model.steps_per_execution = steps
        model.fit(images, labels, batch_size=16, epochs=1, verbose=0, callbacks=callbacks)
        functions.append(model.train_function)
        return len({id(each) for each in functions})

    assert [fit([probe]), fit([probe], 4)] == [1, 1]
    assert fit([]) == 2
    assert [fit([LinearProbe(4)]), fit([probe])] == [3, 4]
    model.use_augmenter(recipe("none", image_size=8))
    assert [fit([probe]), fit([probe])] == [5, 5]
    model.compile(model.optimizer)
    assert fit([probe]) == 6
