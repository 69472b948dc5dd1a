"""SIGTERM and SIGINT: finish the step, save, leave with code 75 so that the same command goes on later."""

import contextlib
import signal
import threading


class Interrupted(Exception):
    """The run was asked to stop; what it had reached is saved."""


class Interrupt:
    """Context in which SIGTERM and SIGINT raise Interrupted: at once, or where asked for inside `deferred`.

    Whatever else the block ends with after a signal is Interrupted, too: code that the exception passes through may
    turn it into another one, as TensorFlow's tracing does. A second signal of the same kind acts as if there were
    no handler.
    Outside the main thread, where Python allows no handlers, nothing is ever requested.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self):
        self.requested = False
        self._deferred = False
        self._previous = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def _note(self, number, frame):
        self.requested = True
        signal.signal(number, self._previous[number])
        if not self._deferred:
            raise Interrupted

    @contextlib.contextmanager
    def deferred(self):
        """Inside, a signal is only noted, for `check` at a point where the state can be saved."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def check(self):
        """Raise Interrupted if a signal came."""
        if self.requested:
            raise Interrupted

    def __exit__(self, kind, exception, traceback):
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self.requested and isinstance(exception, Exception) and kind is not Interrupted:
            raise Interrupted from exception
