"""Finds the verb, runs it, and makes one line and an exit code of whatever ends it."""

from __future__ import annotations

import logging
import sys
from importlib import import_module

from simsiam_tf.cli import BAD_INPUT, DONE, INTERRUPTED, KILLED
from simsiam_tf.errors import InputError, unwritable
from simsiam_tf.runs.interrupt import Interrupted

VERBS = ("train", "sweep", "evaluate", "report", "embed", "neighbors", "inspect", "diagnose", "finetune", "predict")
VERBS += ("export", "import-weights", "serve")
log = logging.getLogger("simsiam_tf")


def verb(name: str):
    """The function run(arguments) -> exit code of a verb."""
    return import_module(f"simsiam_tf.cli.{name.replace('-', '_')}").run


def usage() -> str:
    lines = [f"  {name:<16}{verb(name).__doc__}" for name in VERBS]
    return "\n".join(["usage: simsiam-tf VERB ...", "", *lines, "", "simsiam-tf VERB --help shows its options."])


class _Stderr(logging.Handler):
    """Prints to the present sys.stderr, so that lines appear above a live progress bar."""

    def emit(self, record):
        print(self.format(record), file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run a verb; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not log.handlers:
        log.addHandler(_Stderr())
        log.setLevel(logging.INFO)
        log.propagate = False
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return DONE if arguments else BAD_INPUT
    try:
        if arguments[0] not in VERBS:
            raise InputError(f"VERB: {arguments[0]!r} is unknown; give one of {', '.join(VERBS)}")
        return verb(arguments[0])(arguments[1:])
    except InputError as error:
        print(f"simsiam-tf: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        print(f"simsiam-tf: {unwritable(error.filename or 'a file', error)}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return KILLED
    except Interrupted as error:
        interrupted = "interrupted, everything is saved; run the same command again to go on"
        print(f"simsiam-tf: {error if error.args else interrupted}", file=sys.stderr)
        return INTERRUPTED
