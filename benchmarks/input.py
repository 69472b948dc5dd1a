"""Images per second and core of the input, and its memory over epochs, on generated photographs that are streamed.

    python benchmarks/input.py --json benchmarks/results/input.json

A folder of 500x375 JPEGs (a few, hard-linked under many names: every file is opened and decoded, but comes from the
page cache), a prepared TFDS set of the same pictures as TFRecords, and random 32 px images in memory, each through
`load` and `training_batches`. Per core: images per second of CPU time of all threads. Reference: Pillow in one thread.
"""

import argparse
import io
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import record
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from simsiam_tf.data import from_arrays, load, training_batches
from simsiam_tf.data.decode import read_square


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000, help="files in the folder")
    parser.add_argument("--records", type=int, default=2000, help="records of the TFDS set")
    parser.add_argument("--distinct", type=int, default=200, help="different pictures among them")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--image-size", type=int, default=224, help="of the views")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5, help="of the comparison with Pillow")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    return parser.parse_args()


def photo(generator):
    """A smooth picture with grain as a JPEG of about the 110 KB that ImageNet's have."""
    patches = generator.integers(0, 256, (8, 10, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(patches).resize((500, 375), Image.Resampling.BICUBIC), np.float32)
    grain = generator.normal(0, 18, (375, 500, 1))
    file = io.BytesIO()
    Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=92)
    return file.getvalue()


def make_folder(root, photos, count):
    """`count` files in 100 class folders; the first of each picture is written, the others are links to it."""
    files = [root / f"{i % 100:03}" / f"{i:07}.jpg" for i in range(count)]
    for i, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        if i < len(photos):
            file.write_bytes(photos[i])
        else:
            os.link(files[i % len(photos)], file)


def make_records(root, photos, count):
    """The same pictures as a TFDS set, which encodes them again."""
    tfds.disable_progress_bar()
    pictures = tf.data.Dataset.from_tensor_slices(photos).map(lambda file: {"image": tf.io.decode_jpeg(file)})
    tfds.dataset_builders.store_as_tfds_dataset(
        name="photos",
        version="1.0.0",
        features=tfds.features.FeaturesDict({"image": tfds.features.Image(encoding_format="jpeg")}),
        split_datasets={"train": pictures.repeat().take(count)},
        data_dir=root,
    )


def resident():
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def stream(images, batch_size, epochs, repeats=1):
    """Rate of all threads, rate per core and memory of every epoch (or `repeats` of them) of one stream."""
    steps = len(images) // batch_size * repeats
    batches = iter(training_batches(images, batch_size, 0, steps=epochs * steps))
    rows = []
    for _ in range(epochs):
        wall, cpu, peak = time.perf_counter(), time.process_time(), 0
        for _ in range(steps):
            next(batches)
            peak = max(peak, resident())
        n = steps * batch_size
        rates = {"images_per_second": n / (time.perf_counter() - wall), "per_core": n / (time.process_time() - cpu)}
        rows.append(rates | {"memory_mb": resident() / 1e6, "peak_memory_mb": peak / 1e6})
    return rows


def pillow(file, side):
    """What anyone would write: decode, cut the middle square, resize."""
    with Image.open(file) as image:
        left, top = (image.width - image.height) // 2, 0
        box = (left, top, left + image.height, image.height)
        return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR, box=box))


def shrunk(file, side):
    """The same picture with a shorter side of `side`, as a JPEG in memory."""
    with Image.open(file) as image:
        smaller = io.BytesIO()
        image.resize((image.width * side // image.height, side)).save(smaller, "JPEG", quality=92)
    return smaller


def beside_pillow(images, rounds, count=500):
    """Images per second of CPU time, in turns: Pillow and `read_square` in one thread, an ImageSet in all."""
    side, files = 256, [images.open(image_id) for image_id in images.ids[:count]]
    smaller = [shrunk(file, side) for file in files]
    functions = {
        "Pillow, one thread": lambda: [pillow(file, side) for file in files],
        "read_square, one thread": lambda: [read_square(file, side) for file in files],
        "whole, all threads": lambda: images.whole(np.arange(len(files))),
        "frames, all threads": lambda: images.frames(np.arange(len(files))),
        f"read_square, {side} px files": lambda: [read_square(file, side) for file in smaller],
    }
    seconds = record.in_turns(functions, rounds, clock="cpu")
    reference = seconds["Pillow, one thread"]
    return {
        name: {
            "per_core": record.spread([len(files) / s for s in values]),
            "over_pillow": 1 / record.ratio(values, reference),
        }
        for name, values in seconds.items()
    }


def main():
    a, generator = parse(), np.random.default_rng(0)
    cores = len(os.sched_getaffinity(0))
    photos = [photo(generator) for _ in range(a.distinct)]
    with tempfile.TemporaryDirectory() as root:
        start = time.perf_counter()
        make_folder(Path(root, "folder"), photos, a.images)
        make_records(root, photos, a.records)
        kilobytes = sum(map(len, photos)) / len(photos) / 1e3
        print(f"{a.images} files of {kilobytes:.0f} KB made in {time.perf_counter() - start:.0f} s; {cores} cores")
        settings = {"image_size": a.image_size, "memory_limit_gb": 0.1}
        folder = load("folder", path=f"{root}/folder", **settings).train
        records = load("tfds", name="photos", path=root, test_split=None, **settings).train
        small = from_arrays(generator.integers(0, 256, (50_000, 32, 32, 3), np.uint8))
        streams, before = {}, resident() / 1e6
        print(f"memory before: {before:,.0f} MB")
        print(f"{'':16}{'epoch':>6}{'images/s':>10}{'per core':>10}{'memory, MB':>12}{'peak, MB':>10}")
        for name, images, repeats in [
            ("folder", folder, 1),
            ("TFDS records", records, 1),
            ("32 px in memory", small, 20),
        ]:
            streams[name] = stream(images, a.batch_size, a.epochs, repeats)
            for i, row in enumerate(streams[name]):
                figures = "".join(f"{value:>{w},.0f}" for value, w in zip(row.values(), (10, 10, 12, 10), strict=True))
                print(f"{name:16}{i + 1:>6}{figures}", flush=True)
        single = beside_pillow(folder, a.rounds)
    print(f"{'':26}{'per core':>10}{'slowest':>10}{'fastest':>10}{'over Pillow':>13}")
    for name, row in single.items():
        figures = "".join(f"{row['per_core'][key]:>10,.0f}" for key in ("median", "min", "max"))
        print(f"{name:26}{figures}{row['over_pillow']:>11.2f} x")
    if a.json:
        setting = {k: v for k, v in vars(a).items() if k != "json"}
        setting |= {"kilobytes": kilobytes, "usable_cores": cores, "memory_before_mb": before}
        record.write(a.json, setting | {"streams": streams, "beside_pillow": single})


if __name__ == "__main__":
    main()
