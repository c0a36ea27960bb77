"""Seeds of images, and ids as PNG files."""

import io

import numpy as np
import pytest
from PIL import Image

from spade_hf.synthesis import image_seeds, row
from spade_hf.synthesis.row import encode_ids, encode_instances


def decoded(data):
    return np.array(Image.open(io.BytesIO(data)))


def test_seeds_follow_from_where_they_are_used():
    seeds = image_seeds(0, 7, 20)
    assert len(set(seeds)) == 20 and all(0 <= seed < 2**31 for seed in seeds)
    assert image_seeds(0, 7, 3) == seeds[:3]
    assert not set(seeds) & {*image_seeds(1, 7, 20), *image_seeds(0, 8, 20)}
    assert image_seeds(0, 0, 2) == [1295354261, 198722945]  # in files that people have


def test_equal_hashes_are_passed_over(monkeypatch):
    monkeypatch.setattr(row, "NUM_SEEDS", 8)
    assert sorted(image_seeds(0, 0, 8)) == list(range(8))


@pytest.mark.parametrize(("max_id", "dtype"), [(255, np.uint8), (300, np.uint16)])
def test_ids_are_kept(max_id, dtype):
    ids = np.array([[0, 4], [7, max_id]])
    assert decoded(encode_ids(ids, max_id)).dtype == dtype
    np.testing.assert_array_equal(decoded(encode_ids(ids, max_id)), ids)


def test_instances_of_more_than_16_bits_are_numbered():
    few = np.array([[0, 65535], [26001, 0]])
    np.testing.assert_array_equal(decoded(encode_instances(few)), few)
    np.testing.assert_array_equal(decoded(encode_instances(few * 256)), [[0, 2], [1, 0]])
    with pytest.raises(ValueError, match="has 65537 instances; allowed are 65536"):
        encode_instances(np.arange(65537)[None])
