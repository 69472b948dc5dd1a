"""python -m simsiam_tf, and the simsiam-tf command."""

import sys

from simsiam_tf.cli import main as run


def main():
    sys.exit(run())


if __name__ == "__main__":
    main()
