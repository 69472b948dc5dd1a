"""How often Python, TensorFlow's tracing and the device meet."""

from simsiam_tf import SimSiam
from simsiam_tf.runs import build as assemble
from simsiam_tf.settings.schema import Config, SGDSettings, TrainingSettings


def test_steps_per_execution_on_a_gpu_are_the_most_that_divide(monkeypatch):
    assert assemble.steps_per_execution(Config(), 97) == 1
    monkeypatch.setattr(assemble, "has_gpu", lambda: True)
    for steps, most in ((97, 97), (2502, 18), (5000, 100), (1, 1), (101, 1)):
        assert assemble.steps_per_execution(Config(), steps) == most
    for epochs, most in ((40, 100), (39, 50), (10, 25), (1, 2)):  # 1, 2, 4 and 40 looks in an epoch
        assert assemble.steps_per_execution(Config(optimizer=SGDSettings(epochs=epochs)), 100) == most
    assert assemble.steps_per_execution(Config(training=TrainingSettings(steps_per_execution=4)), 6) == 2


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
