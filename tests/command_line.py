"""The command in this process, and what the options of `simsiam-tf train` come to."""

from simsiam_tf.cli import main as cli
from simsiam_tf.settings import files


def parse(*arguments):
    return files.parse(files.OneLineParser(prog="simsiam-tf train"), list(arguments))[1]


def run(*arguments):
    """The exit code."""
    return cli.main([str(argument) for argument in arguments])
