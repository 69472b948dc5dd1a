"""simsiam-tf serve."""

from __future__ import annotations

import signal
import sys

from simsiam_tf.cli import DONE
from simsiam_tf.cli.tensorflow import quiet_tensorflow
from simsiam_tf.errors import InputError
from simsiam_tf.settings import files
from simsiam_tf.settings.paths import check_data


def run(arguments: list[str]) -> int:
    """Decode training images for `train` on other hosts (data.service), until it is ended."""
    parser = files.OneLineParser(prog="simsiam-tf serve", description=run.__doc__)
    parser.add_argument("--port", type=int, default=5050, help="that trainers are given; 0: a free one, printed")
    options, config = files.parse(parser, files.file_first(arguments, "cifar10"))
    if not 0 <= options.port <= 65535:
        raise InputError(f"port: {options.port} is no port; give 1024 to 65535, or 0")
    check_data(config.data)

    quiet_tensorflow()
    from simsiam_tf.data.service import BatchServer
    from simsiam_tf.runs.build import load_data

    images = load_data(config).train
    server = BatchServer(images, options.port)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(DONE))  # the first process of a container has no other
    print(f"serving {len(images)} images at port {server.port}", flush=True)
    server.run()
    return DONE
