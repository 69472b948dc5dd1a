"""SIGTERM and SIGINT: finish the step, save, leave with code 75 so that the same command goes on later."""

import signal
import threading


class Interrupted(Exception):
    """The run was asked to stop and its state is saved."""


class Interrupt:
    """Context in which SIGTERM and SIGINT are noted, not obeyed at once.

    A second signal of the same kind acts as if there were no handler.
    Outside the main thread, where Python allows no handlers, nothing is ever requested.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self):
        self.requested = False
        self._previous = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def _note(self, number, frame):
        self.requested = True
        signal.signal(number, self._previous[number])

    def check(self):
        """Raise Interrupted if a signal came."""
        if self.requested:
            raise Interrupted

    def __exit__(self, *exception):
        for number, handler in self._previous.items():
            signal.signal(number, handler)
