"""The page segments photographs as the library does: Node.js runs its functions on what a segmenter answers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from spade_hf.images.resize import resize_photo
from spade_hf.pipelines.segmentation import read_size_of, segment_photo


pytestmark = pytest.mark.pages

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("size", [(64, 96), (32, 64), (96, 160), (37, 53)])
def test_a_photograph_is_resized_as_in_the_library(node, size):
    pixels = RNG.integers(0, 256, (37, 53, 3))
    rgba = np.concatenate([pixels, np.full((37, 53, 1), 255)], axis=2)
    given = {"picture": {"pixels": rgba.ravel().tolist(), "width": 53, "height": 37}, "size": size}
    found = node(
        '{ resizedPhoto } from "./segmentation.js"', "return [...resizedPhoto(given.picture, given.size)];", given
    )
    expected = resize_photo(torch.from_numpy(pixels / 255).float().movedim(-1, 0), size) * 2 - 1
    np.testing.assert_allclose(np.reshape(found, expected.shape), expected.numpy(), atol=1e-5)


class Answering:
    """A segmenter that answers the same logits to every photograph."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits

    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        return F.interpolate(self.logits, images.shape[-2:], mode="bilinear").softmax(dim=1)


@pytest.mark.parametrize("size", [(128, 128), (128, 192), (40, 24)])
def test_labels_are_those_of_the_library(node, size):
    read_size = read_size_of(size, 64)
    logits = 4 * torch.from_numpy(RNG.standard_normal((1, 5, read_size[0] // 4, read_size[1] // 4))).float()
    logits[0, 0] -= 200  # so unlikely that its probability is 0 in single precision
    photo = torch.zeros(3, *size)
    expected = segment_photo(Answering(logits), photo, image_size=64, device="cpu")
    given = {"answer": logits.softmax(dim=1).ravel().tolist(), "read": read_size, "size": size}
    body = """
const { labels, confidence } = labelsOf(Float32Array.from(given.answer), given.read, given.size);
return { labels: [...labels], confidence };
"""
    found = node('{ labelsOf } from "./segmentation.js"', body, given)
    assert (np.reshape(found["labels"], size) == expected.numbers.numpy()).mean() > 0.999  # but for rounding
    assert len(np.unique(found["labels"])) == 4
    assert found["confidence"] == pytest.approx(expected.confidence, abs=1e-5)
