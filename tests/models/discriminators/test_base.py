"""The contract: one forward for all discriminators, a `score` for each."""

import pytest
import torch

from spade_hf import models
from spade_hf.hub.registration import NETWORKS
from spade_hf.layers import read_mask
from spade_hf.models.discriminators.base import Discriminator, DiscriminatorOutput

from ...tiny_networks import random_images, random_label_map


class Mean(Discriminator):
    """A discriminator as small as possible."""

    def read_mask(self, mask, instance_edges, *, dtype):
        return read_mask(
            mask, instance_edges, num_labels=4, use_unknown_label=False, use_instance_edges=False, dtype=dtype
        )

    def score(self, segmap, images):
        return [images.mean(dim=1, keepdim=True) + segmap.mean(dim=1, keepdim=True)], []


def test_a_subclass_defines_its_score_alone():
    discriminator, masks, images = Mean(), random_label_map(), random_images()
    output = discriminator(masks, images)
    assert type(output) is DiscriminatorOutput
    expected = images.mean(dim=1, keepdim=True) + 0.25  # one of four channels is 1
    torch.testing.assert_close(output.logits[0], expected)
    logits, features = discriminator(masks, images, return_dict=False)
    assert torch.equal(logits[0], output.logits[0]) and features == []
    with pytest.raises(ValueError, match=r"`images` has shape \(2, 3, 32, 64\)"):
        discriminator(masks, random_images((32, 64)))


def test_the_old_name_of_the_output():
    assert models.MultiscaleDiscriminatorOutput is DiscriminatorOutput


def test_every_exported_network_is_registered():
    """The nine networks that files can name; a new one comes by its line in `models/__init__.py`."""
    assert {network.__name__ for network in NETWORKS} == {
        "ConcatenationGenerator",
        "MultiscaleDiscriminator",
        "Pix2PixHDGenerator",
        "ProjectedDiscriminator",
        "SPADEGenerator",
        "SPADEOutlineModel",
        "SPADESegmenter",
        "SPADEStyleEncoder",
        "SegmentationDiscriminator",
    }
