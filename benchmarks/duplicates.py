"""Planted near-duplicates in a folder of photographs: what `simsiam-tf inspect` finds, beside perceptual hashes.

    python benchmarks/duplicates.py --run RUN --photos FOLDER --json benchmarks/results/duplicates.json

Of a random tenth of the photographs for each kind, a copy is put into a copy of the folder: saved anew (JPEG quality
60), cropped by 5 % at a random side of each axis, brighter by 20 %, mirrored. A pair is right if it is a photograph and
its copy. Photographs that are near-duplicates by themselves are listed with `--known`, a line `one other` each; they
count neither for nor against. The hashes (`imagehash`, a package of its own) call a pair what differs in at most so
many of 64 bits; without and with the hash of the mirrored picture.
"""

import argparse
import os
import shutil
import tempfile
import time
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import record
from PIL import Image, ImageEnhance, ImageOps

from simsiam_tf.runs.build import load_images
from simsiam_tf.runs.folder import RunFolder
from simsiam_tf.runs.inspect import inspect
from simsiam_tf.settings import files

KINDS = ("saved anew", "cropped", "brighter", "mirrored")
HASHES = ("phash", "dhash")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, metavar="FOLDER", help="finished run whose encoder is used")
    parser.add_argument("--photos", required=True, metavar="FOLDER")
    parser.add_argument("--known", metavar="FILE", help="near-duplicates that the photographs hold by themselves")
    parser.add_argument("--share", type=float, default=0.1, help="of the photographs that are copied, for each kind")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--bits", type=int, nargs="+", default=[2, 4, 6, 8, 10, 12, 14, 16])
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args()


def copy(image, kind, generator):
    """One copy of a kind, and the JPEG quality that it is saved with."""
    width, height = image.size
    if kind == "saved anew":
        return image, 60
    if kind == "cropped":
        cut = round(0.05 * width), round(0.05 * height)
        left, top = (int(generator.integers(0, each + 1)) for each in cut)
        return image.crop((left, top, left + width - cut[0], top + height - cut[1])), 92
    return (ImageEnhance.Brightness(image).enhance(1.2) if kind == "brighter" else ImageOps.mirror(image)), 92


def plant(photos, target, share, seed):
    """Copy the folder and plant copies in it; {id of the copy: (id of the photograph, kind)}."""
    shutil.copytree(photos, target)
    generator = np.random.default_rng(seed)
    originals = sorted(
        path.relative_to(target) for path in target.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg")
    )
    chosen = generator.permutation(len(originals))[: round(share * len(originals)) * len(KINDS)]
    planted = {}
    for kind, rows in zip(KINDS, np.array_split(chosen, len(KINDS)), strict=True):
        for row in rows.tolist():
            name = originals[row].with_name(f"{row:05d}_copy.jpg")
            with Image.open(target / originals[row]) as image:
                changed, quality = copy(image.convert("RGB"), kind, generator)
            changed.save(target / name, quality=quality)
            planted[name.as_posix()] = originals[row].as_posix(), kind
    return planted


def judged(found, planted, known):
    """Precision and recall, in all and by kind, of pairs of ids (frozensets)."""
    truth = {frozenset((name, original)): kind for name, (original, kind) in planted.items()}
    family = {name: original for name, (original, _) in planted.items()}
    # A copy of one of two photographs that are known to be alike is alike to the other, too.
    wrong = {pair for pair in found - truth.keys() if frozenset(family.get(name, name) for name in pair) not in known}
    right = {kind: sum(truth.get(pair) == kind for pair in found) for kind in KINDS}
    total = {kind: list(truth.values()).count(kind) for kind in KINDS}
    hits = sum(right.values())
    return {
        "precision": hits / (hits + len(wrong)) if hits + len(wrong) else 1.0,
        "recall": hits / len(truth),
        "recall_by_kind": {kind: right[kind] / max(1, total[kind]) for kind in KINDS},
        "wrong": sorted(sorted(pair) for pair in wrong),
    }


def by_encoder(run, folder):
    """Pairs inside the groups that `inspect` finds, and its levels."""
    config = files.read(files.stored(run))
    found = inspect(RunFolder.existing(Path(run)).load_backbone(), load_images(config, str(folder)), folder)
    pairs = {frozenset(found.ids[list(two)].tolist()) for rows in found.members() for two in combinations(rows, 2)}
    return pairs, found.levels


def hashes(kind, folder):
    """Ids, their hashes (n, 64) and those of their mirror images."""
    try:
        import imagehash
    except ImportError:
        raise SystemExit("imagehash: not installed; give pip install ImageHash==4.3.2") from None
    ids = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))
    bits = []
    for name in ids:
        with Image.open(folder / name) as image:
            bits.append([getattr(imagehash, kind)(each).hash.ravel() for each in (image, ImageOps.mirror(image))])
    plain, mirrored = np.array(bits).transpose(1, 0, 2).astype(np.int64)
    return np.array(ids), plain, mirrored


def apart(a, b):
    """Bits that differ (n, n)."""
    return a @ (1 - b).T + (1 - a) @ b.T


def by_hash(ids, distance, bits):
    first, second = np.nonzero(np.triu(distance <= bits, 1))
    return {frozenset(pair) for pair in zip(ids[first].tolist(), ids[second].tolist(), strict=True)}


def mean(results):
    """Over seeds."""
    figures = {key: float(np.mean([each[key] for each in results])) for key in ("precision", "recall")}
    by_kind = {kind: float(np.mean([each["recall_by_kind"][kind] for each in results])) for kind in KINDS}
    return figures | {"recall_by_kind": by_kind, "by_seed": results}


def main():
    arguments = parse()
    lines = Path(arguments.known).read_text().splitlines() if arguments.known else []
    known = {frozenset(line.split()) for line in lines}
    results, seconds = {}, []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "photos"
            planted = plant(arguments.photos, folder, arguments.share, seed)
            start = time.perf_counter()
            found, levels = by_encoder(arguments.run, folder)
            seconds.append(time.perf_counter() - start)
            results.setdefault("inspect", []).append(judged(found, planted, known) | {"levels": levels})
            for kind in HASHES:
                ids, plain, mirrored = hashes(kind, folder)
                distance = apart(plain, plain)
                either = np.minimum(distance, np.minimum(apart(plain, mirrored), apart(mirrored, plain)))
                for bits in arguments.bits:
                    for name, each in ((kind, distance), (f"{kind}, mirrored too", either)):
                        found = by_hash(ids, each, bits)
                        results.setdefault(f"{name}, {bits} bits", []).append(judged(found, planted, known))
    results = {name: mean(each) for name, each in results.items()}
    width = max(map(len, results))
    print(f"{'':<{width}}  precision  recall  " + "  ".join(f"{kind:>10}" for kind in KINDS))
    for name, each in results.items():
        kinds = "  ".join(f"{100 * each['recall_by_kind'][kind]:>10.1f}" for kind in KINDS)
        print(f"{name:<{width}}  {100 * each['precision']:>9.1f}  {100 * each['recall']:>6.1f}  {kinds}")
    print("wrong pairs of inspect:", [pair for each in results["inspect"]["by_seed"] for pair in each["wrong"]])
    for each in (seed for name, result in results.items() if name != "inspect" for seed in result["by_seed"]):
        each["wrong"] = len(each["wrong"])  # thousands, with many bits
    if arguments.json:
        config = files.read(files.stored(arguments.run))
        run = {"name": config.name, "seed": config.seed, "backbone": asdict(config.backbone)}
        planted = {"seeds": arguments.seeds, "share": arguments.share, "known": sorted(sorted(pair) for pair in known)}
        record.write(arguments.json, {"run": run, "planted": planted, "inspect_seconds": seconds, "results": results})


if __name__ == "__main__":
    main()
