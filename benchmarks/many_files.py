"""Seconds and memory until a folder of very many pictures can be trained on: listed, labelled, each header read.

    python benchmarks/many_files.py --files 1000000 --json benchmarks/results/many_files.json
    python benchmarks/many_files.py --files 10000000 --listing --json benchmarks/results/ten_million_files.json

Small JPEGs, hard-linked under many names in a thousand class folders, one name of 240 letters among them; the page
cache is warm. The second start finds the headers in the cache. All of it grows in proportion to the number of files.
Memory is what the process has more at a stage's end than before them all, and at most until then.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import psutil
import record
from PIL import Image

from simsiam_tf.data import training_batches
from simsiam_tf.data.folder import folder
from simsiam_tf.data.renderings import Form
from simsiam_tf.data.sources import Request

LINKS = 30_000  # of one file; file systems allow some 65,000
CLASSES = 1000


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--listing", action="store_true", help="list and label only; no header is read")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    return parser.parse_args()


def make_folder(root, count):
    for i in range(count):
        place = root / f"n{i % CLASSES:08}"
        name = place / ("x" * 236 + ".jpg" if i == 0 else f"n{i % CLASSES:08}_{i:08}.jpg")
        if i < CLASSES:
            place.mkdir()
        if i % LINKS == 0:
            Image.effect_noise((32, 32), i % 200 + 10).save(name)
            source = name
        else:
            os.link(source, name)


def stages(root, listing):
    """{stage: (seconds, further bytes of memory at its end, at most)} of the way from a folder to its first batch."""
    form = Form(32, None)
    request = Request("folder", None, str(root), form, "train", "test", 0.0, False, 0.0, 0, True)
    process, found, images = psutil.Process(), {}, None
    steps = {
        "listed and labelled": lambda: folder(request)[0],
        "headers read": lambda: images.measured().checked(),
        "first batch": lambda: next(iter(training_batches(images, 64, 0))) is not None and images,
        "second start": lambda: folder(request)[0].measured().checked(),
    }
    before = process.memory_info().rss
    for name, step in list(steps.items())[: 1 if listing else None]:
        start = time.perf_counter()
        images = step()
        seconds, most = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        found[name] = seconds, process.memory_info().rss - before, most - before
    assert len(np.unique(images.labels)) == CLASSES
    return found


def main():
    arguments = parse()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["XDG_CACHE_HOME"] = temporary
        root = Path(temporary, "pictures")
        root.mkdir()
        make_folder(root, arguments.files)
        found = stages(root, arguments.listing)
    million = 1e6 / arguments.files
    for name, (seconds, size, most) in found.items():
        memory = f"{size / 1e6:.0f} MB, at most {most / 1e6:.0f}"
        print(f"{name}: {seconds:.1f} s, {memory}; a million files: {seconds * million:.1f} s")
    if arguments.json:
        keys = ("seconds", "bytes", "bytes_at_most")
        figures = {name: dict(zip(keys, each, strict=True)) for name, each in found.items()}
        record.write(arguments.json, {"files": arguments.files, "stages": figures})


if __name__ == "__main__":
    main()
