"""What `inspect` has found as a page to look at and a table to work with."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from simsiam_tf.atomic import replacing
from simsiam_tf.data.decode import UnreadableImage, read_images
from simsiam_tf.data.files import shown, threads
from simsiam_tf.pages import data_uri, page
from simsiam_tf.runs.embed import id_columns, utf8
from simsiam_tf.runs.inspect import Findings

# At most 300 pictures of 128 px: even noise makes them no more than 4 MB.
GROUPS, OF_GROUP, LONELY, EXTREMES, UNREADABLE = 40, 6, 24, 6, 200
TILE, QUALITY = 128, 70
NAME, REASON = 120, 200  # letters shown
SIDES = (32, 64, 128, 256, 512, 1024, 2048, 4096)
QUANTILES = {"smallest": 0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "largest": 1}


def write_table(found: Findings, path: Path) -> None:
    """A Parquet file with a row per picture: id, width, height, bytes, nearest, cosine, group (null: in none).

    Group numbers are those of the page. Of ids that are not UTF-8 the bytes are in `id_bytes`, as `embed` has them.
    """
    import pyarrow as pa
    import pyarrow.parquet

    width, height, size = found.sizes.T
    columns = id_columns(found.ids) | {
        "width": pa.array(width, pa.int32()),
        "height": pa.array(height, pa.int32()),
        "bytes": pa.array(size, pa.int64()),
        "nearest": [utf8(name) for name in found.ids[found.nearest].tolist()],
        "cosine": pa.array(found.cosine, pa.float32()),
        "group": pa.array(found.group + 1, pa.int32(), mask=found.group < 0),
    }
    with replacing(path) as partial:
        pyarrow.parquet.write_table(pa.table(columns), partial)


def write_page(found: Findings, name: str, table: Path, path: Path) -> None:
    """An HTML file below 5 MB that needs no other: groups, lonely pictures, unreadable files, sizes.

    Args:
        name: Of the folder, for the title.
        table: The Parquet file that it refers to.
    """
    members = found.members()
    area = np.where(found.sizes[:, 0] > 0, found.sizes[:, 0] * found.sizes[:, 1], -1)
    by_area = np.argsort(area, kind="stable")
    by_area = by_area[area[by_area] > 0]
    lonely = np.argsort(found.cosine, kind="stable")[:LONELY]
    smallest, largest = by_area[:EXTREMES], by_area[::-1][:EXTREMES]
    chosen = [rows[:OF_GROUP] for rows in members[:GROUPS]]
    needed = np.unique(np.concatenate([lonely, smallest, largest, *chosen]))
    tiles = dict(zip(needed.tolist(), threads().map(lambda row: _tile(found, row), needed.tolist()), strict=True))
    plain = {row: tile | {"facts": _facts(found.sizes[row])} for row, tile in tiles.items()}
    text = page(
        "inspect.html",
        name=_short(name),
        table=_short(table.name),
        count=len(found),
        rule=_rule(found.levels),
        group_count=len(members),
        grouped=int((found.group >= 0).sum()),
        groups=[
            {"number": number, "count": len(rows), "pictures": [plain[row] for row in some.tolist()]}
            for number, (rows, some) in enumerate(zip(members[:GROUPS], chosen, strict=True), 1)
        ],
        lonely=[
            tiles[row] | {"facts": f"{found.cosine[row]:.3f} to {_short(found.ids[found.nearest[row]])}"}
            for row in lonely.tolist()
        ],
        unreadable=[(_short(id_), _short(why, REASON)) for id_, why in list(found.unreadable.items())[:UNREADABLE]],
        unreadable_count=len(found.unreadable),
        quantiles=_quantiles(found.sizes[area > 0]),
        sides=_sides(found.sizes[area > 0][:, :2].min(axis=1)),
        smallest=[plain[row] for row in smallest.tolist()],
        largest=[plain[row] for row in largest.tolist()],
    )
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _rule(levels):
    if "correlation" not in levels:
        return f"Pairs of a cosine of at least {levels['cosine']:.3f}, and what they join."
    return (
        f"Pairs whose cosine is at least {levels['cosine']:.3f} and whose small gray versions correlate by at least "
        f"{levels['correlation']:.3f}, mirrored or cropped by 5 % or as they are, and what they join. Both levels come "
        "from copies made of some of these pictures: saved anew, cropped, brighter, mirrored."
    )


def _tile(found, row):
    """A small version of a picture, with its name; without `uri` where the file has gone meanwhile."""
    tile = {"name": _short(found.ids[row]), "uri": None, "width": 0, "height": 0}
    try:
        (image,) = read_images(found.root / str(found.ids[row]), lambda size: (2 * TILE, 2 * TILE))
    except UnreadableImage:
        return tile
    image.thumbnail((TILE, TILE), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return tile | {"uri": data_uri(file.getvalue(), "image/jpeg"), "width": image.width, "height": image.height}


def _short(text, most=NAME):
    """Fit for a line, and not too long for it: the end of a path tells more than its beginning."""
    text = shown(text)
    return text if len(text) <= most else f"…{text[1 - most :]}"


def _facts(size):
    width, height, count = size.tolist()
    return f"{width} x {height}, {_amount(count)}"


def _amount(count):
    """Bytes in words."""
    power = 0 if count < 1000 else min(3, int(np.log10(count)) // 3)
    return f"{count / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB')[power]}"


def _quantiles(sizes):
    rows = [
        (label, [show(int(value)) for value in np.quantile(column, list(QUANTILES.values()), method="nearest")])
        for label, column, show in zip(("width", "height", "file"), sizes.T, (str, str, _amount), strict=True)
        if len(column)
    ]
    return {"titles": list(QUANTILES), "rows": rows}


def _sides(sides):
    """(range in words, pictures, % of the longest bar) of the shorter sides, from the first that occurs to the last."""
    counts = np.bincount(np.searchsorted(SIDES, sides, side="right"), minlength=len(SIDES) + 1)
    edges = [0, *SIDES]
    names = [f"{low} to {high - 1}" for low, high in zip(edges[:-1], SIDES, strict=True)] + [f"{SIDES[-1]} and more"]
    present = np.flatnonzero(counts)
    some = range(present[0], present[-1] + 1) if len(present) else []
    return [(names[i], int(counts[i]), round(100 * counts[i] / counts.max(), 1)) for i in some]
