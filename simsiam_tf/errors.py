"""The one exception that means "the user's input is wrong": a single line that names argument, value and way out."""

import errno


class InputError(ValueError):
    """Bad input from a user. The command line prints its message without a traceback and exits with code 2."""


def unwritable(path, error: OSError) -> InputError:
    """The message for a file that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        way_out = "free some space and run the same command again; the last checkpoint is intact"
    else:
        way_out = "give another folder with --output"
    return InputError(f"output: cannot write {path}: {error.strerror or error}; {way_out}")
