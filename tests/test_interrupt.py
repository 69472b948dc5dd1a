"""Signals: obeyed at once, or noted where asked for."""

import os
import signal
import threading

import pytest

from simsiam_tf.runs.interrupt import Interrupt, Interrupted


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_raises_at_once(number):
    with pytest.raises(Interrupted), Interrupt():
        os.kill(os.getpid(), number)


def test_an_exception_made_of_the_signal_is_still_the_signal():
    """tf.function turns what its binding of arguments meets into a TypeError."""

    def binding():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Interrupted as error:
            raise TypeError("Binding inputs to tf.function failed") from error

    with pytest.raises(Interrupted), Interrupt():
        binding()


def test_without_a_signal_exceptions_pass_as_they_are():
    with pytest.raises(TypeError, match="own"), Interrupt():
        raise TypeError("own")


def test_a_deferred_signal_waits_for_the_check():
    with Interrupt() as interrupt:
        interrupt.check()
        with interrupt.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            assert interrupt.requested
        with pytest.raises(Interrupted):
            interrupt.check()


def test_a_second_signal_finds_the_handlers_of_before():
    before = {number: signal.getsignal(number) for number in Interrupt.SIGNALS}
    with Interrupt() as interrupt, interrupt.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is before[signal.SIGTERM]
        assert signal.getsignal(signal.SIGINT) == interrupt._note
    assert {number: signal.getsignal(number) for number in Interrupt.SIGNALS} == before


def test_outside_the_main_thread_nothing_is_installed():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work():
        with Interrupt() as interrupt:
            seen.append((signal.getsignal(signal.SIGTERM) is before, interrupt.requested))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(True, False)]
