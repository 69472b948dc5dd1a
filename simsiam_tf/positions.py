"""Fixed positions of patches, as a network computes them and as files of PyTorch hold them."""

import numpy as np

TEMPERATURE = 10_000


def sincos(rows, columns, dim, sin=np.sin, cos=np.cos, join=np.concatenate):
    """Positions (..., dim) of patches in these rows and columns (..., 1), which are numbers from 0.

    A quarter each of sine and cosine of the row, sine and cosine of the column, times 10000^(-4 i / dim) for i from 0:
    the layout of MoCo v3 (Chen, Xie & He 2021; facebookresearch/moco-v3, vits.py).

    Args:
        rows, columns: arrays, or symbolic tensors with functions of their own.
    """
    frequencies = (TEMPERATURE ** -(np.arange(dim // 4) * 4 / dim)).astype(rows.dtype)
    return join([turn(place * frequencies) for place in (rows, columns) for turn in (sin, cos)], -1)
