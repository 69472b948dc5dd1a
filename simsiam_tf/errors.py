"""The one exception that means "the user's input is wrong": a single line that names argument, value and way out."""


class InputError(ValueError):
    """Bad input from a user. The command line prints its message without a traceback and exits with code 2."""
