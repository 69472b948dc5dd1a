"""Searches for a file that breaks the image reader, led by the code that each file reaches in Pillow's Python part.

    pip install atheris==3.0.0 numpy pillow
    python benchmarks/fuzz_images.py CORPUS -max_total_time=600 -timeout=10 -rss_limit_mb=2048

CORPUS is a folder of what has been found; it is begun with good and bad files of every format. The options are
libFuzzer's. It ends with a traceback, and the file, if anything but UnreadableImage is raised, if a file takes longer
than the timeout, or if it needs more memory than the limit. Atheris is no requirement of the tests: tests/faults does a
little of this with Hypothesis. The reader needs no TensorFlow, and is loaded without the package.
"""

import importlib.util
import io
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["PIL"]):
    import numpy as np
    import pictures
    from PIL import Image

READER = Path(__file__).parents[1] / "simsiam_tf" / "data" / "decode.py"
specification = importlib.util.spec_from_file_location("decode", READER)
decode = importlib.util.module_from_spec(specification)
specification.loader.exec_module(decode)


def read(content):
    try:
        square = decode.read_square(io.BytesIO(content), 8)
    except decode.UnreadableImage as refusal:
        reason = str(refusal)
    else:
        reason = None
        assert (square.shape, square.dtype) == ((8, 8, 3), np.uint8)
    assert reason is None or (reason and "\n" not in reason)


def main():
    corpus = Path(sys.argv[1])
    corpus.mkdir(exist_ok=True)
    generator = np.random.default_rng(0)
    for index, content in enumerate((pictures.good_files(generator) | pictures.bad_files(generator)).values()):
        (corpus / f"begin{index}").write_bytes(content)
    Image.MAX_IMAGE_PIXELS = 10**6  # a large picture is no finding
    atheris.Setup(sys.argv, read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
