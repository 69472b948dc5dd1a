"""Pictures that were damaged in any way: a square of pixels, or UnreadableImage with a reason in one line.

benchmarks/fuzz_images.py looks longer, led by the paths that it reaches.
"""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import FORMATS, bad_files, good_files

from simsiam_tf.data.decode import UnreadableImage, check_header, read_square

GOOD = list(good_files(np.random.default_rng(0)).values())
SIDE = 8
many = settings(max_examples=300, deadline=None)


def assert_square_or_refused(content):
    reasons = []
    for read in (check_header, lambda file: read_square(file, SIDE)):
        try:
            square = read(io.BytesIO(content))
        except UnreadableImage as error:
            reasons.append(str(error))
        else:
            assert read is check_header or (square.shape == (SIDE, SIDE, 3) and square.dtype == np.uint8)
    assert all(reason and "\n" not in reason for reason in reasons)
    return reasons


@many
@given(st.sampled_from(GOOD), st.floats(0, 1, exclude_max=True), st.binary(max_size=8), st.integers(0, 8))
def test_damaged_pictures(content, place, inserted, removed):
    start = int(place * len(content))
    assert_square_or_refused(content[:start] + inserted + content[start + removed :])


@many
@given(st.sampled_from([content[:12] for content in GOOD]), st.binary(max_size=200))
def test_the_beginning_of_a_picture_and_then_anything(beginning, rest):
    assert_square_or_refused(beginning + rest)


def test_good_ones_are_read_and_bad_ones_refused():
    assert not any(assert_square_or_refused(content) for content in GOOD)
    assert all(assert_square_or_refused(content) for content in bad_files(np.random.default_rng(1)).values())


@pytest.mark.parametrize("ending", FORMATS.values())
def test_every_cut_of_a_picture(ending):
    content = good_files(np.random.default_rng(0))[f"plain.{ending.upper()}"]
    for length in range(len(content)):
        assert_square_or_refused(content[:length])
