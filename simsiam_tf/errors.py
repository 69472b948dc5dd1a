"""Exceptions whose message is a single line for the user: wrong input, which names the way out, and a diverged run."""

import errno


class InputError(ValueError):
    """Bad input from a user. The command line prints its message without a traceback and exits with code 2."""


class Diverged(ArithmeticError):
    """The loss or its gradients are no longer finite. `step` counts from 0, the message from 1."""

    def __init__(self, step: int, steps_per_epoch: int):
        self.step = step
        epoch, batch = divmod(step, steps_per_epoch)
        super().__init__(
            f"the loss or its gradients are not finite at step {step + 1}, batch {batch + 1} of {steps_per_epoch} of "
            f"epoch {epoch + 1}; lower the learning rate, or train in float32 if it was float16"
        )


def unwritable(path, error: OSError) -> InputError:
    """The message for a file that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        way_out = "free some space and run the same command again; the last checkpoint is intact"
    else:
        way_out = "give another folder with --output"
    return InputError(f"output: cannot write {path}: {error.strerror or error}; {way_out}")
