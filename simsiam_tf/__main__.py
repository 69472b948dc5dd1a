"""python -m simsiam_tf, and the simsiam-tf command."""

import os
import signal
import sys

from simsiam_tf.cli import INTERRUPTED
from simsiam_tf.cli.main import main as run


def main():
    # What SIGTERM does anyway, but for the first process of a container, which ignores signals without a handler.
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(128 + number))
    code = run()
    if code == INTERRUPTED:  # TensorFlow takes up to 20 s to take itself apart, and `docker stop` kills after 10
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
