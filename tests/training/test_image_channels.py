"""What of training, fine-tuning and evaluation depends on the number of image channels."""

from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import PIL.Image
import pytest
import torch

from spade_hf import SPADEImageProcessor, SPADEPipeline
from spade_hf.metrics import ImageCache, Missing, laplacian_variance, light_agreement
from spade_hf.metrics.figures import Comparison, Measurements, light_of_color
from spade_hf.metrics.styles import color_statistics
from spade_hf.training import DiscriminatorAugmentation
from spade_hf.training.finetuning import Pretrained
from spade_hf.training.samples import paint_samples, sample_grid
from spade_hf_cli.train import build as parts
from spade_hf_cli.train.messages import describe_values
from spade_hf_cli.train.parser import parse_args

from ..examples.programs import SMALL
from ..tiny_networks import random_images, tiny_generator, tiny_style_encoder
from ..training_data import LABELS, make_rows, png


def options(*given: str):
    return parse_args([*SMALL, "--dataset_name", "x", *given])


def processor(**images) -> SPADEImageProcessor:
    return SPADEImageProcessor(label_set=LABELS, **images)


@pytest.mark.parametrize("generator", ["spade", "concatenation", "pix2pixhd"])
@pytest.mark.parametrize("discriminator", ["patch", "segmentation", "projected"])
def test_all_networks_have_the_channels_of_the_images(generator: str, discriminator: str):
    backbone = "efficientnet-lite0" if discriminator == "projected" else "none"
    given = replace(options(), generator=generator, discriminator=discriminator, discriminator_backbone=backbone)
    for count in (1, 3, 5):
        networks = {}
        for side in parts.build_networks(given, processor(image_channels=count)):
            networks |= side
        assert {network.config.image_channels for network in networks.values()} == {count}


def rows_of(values: np.ndarray) -> datasets.Dataset:
    return make_rows(count=1, image=[{"bytes": png(PIL.Image.fromarray(values)), "path": None}])


def test_images_of_16_bits_give_a_model_that_writes_16_bits():
    wide, narrow = np.zeros((4, 4), np.uint16), np.zeros((4, 4), np.uint8)
    gray = processor(image_channels=1)
    found = parts.with_16_bits(gray, rows_of(wide), "image")
    assert found.value_range == (0, 65535) and found.config.image_channels == 1
    assert found.label_set.names == gray.label_set.names
    lines = describe_values(options("--image_channels", "1"), found)
    assert [line[:26] for line in lines] == ["The images have 16 bits, a", "Networks that were trained"]
    assert parts.with_16_bits(gray, rows_of(narrow), "image") is gray
    given = processor(image_channels=1, value_range=(0, 4095))
    assert parts.with_16_bits(given, rows_of(wide), "image") is given
    usual = processor()
    assert parts.with_16_bits(usual, rows_of(wide), "image") is usual and describe_values(options(), usual) == []


@pytest.mark.parametrize(
    "images, message",
    [
        ({"image_channels": 1}, "`image_channels` is 1, but the pretrained model has 3"),
        ({"value_range": (0, 9)}, r"`value_range` is \(0.0, 9.0\), but the pretrained model has None"),
    ],
)
def test_a_pretrained_model_decides_about_the_images(images: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Pretrained({}, processor()).initialize({}, processor(**images))
    Pretrained({}, processor()).initialize({}, processor(display_channels=(2, 1, 0)))


def test_parts_of_a_pipeline_agree_about_the_channels():
    labels = {"num_labels": LABELS.num_labels, "use_unknown_label": LABELS.use_unknown_label}
    gray = tiny_generator(image_channels=1, **labels)
    message = "`image_channels` is 1 in the generator and 3 in the "
    with pytest.raises(ValueError, match=f"{message}image processor"):
        SPADEPipeline(gray, processor())
    with pytest.raises(ValueError, match=f"{message}style encoder"):
        SPADEPipeline(gray, processor(image_channels=1), tiny_style_encoder())


def test_samples_show_gray_as_gray():
    labels = {"num_labels": LABELS.num_labels, "use_unknown_label": LABELS.use_unknown_label}
    gray = processor(image_channels=1, value_range=(0, 65535))
    pipeline = SPADEPipeline(tiny_generator(image_channels=1, **labels), gray, tiny_style_encoder(image_channels=1))
    images = random_images(batch_size=1, channels=1)[0]
    label_map = torch.zeros(64, 64, dtype=torch.long)
    columns = paint_samples(pipeline, [{"real_images": images, "label_map": label_map, "seed": torch.tensor(0)}])
    assert {shown.shape for _, shown in columns} == {(1, 3, 64, 64)}
    sheet = np.array(sample_grid(columns))[-64:, 64:128]
    expected = (images[0].numpy() + 1) * 127.5
    assert np.abs(sheet - expected[..., None]).max() <= 0.51 and len(np.unique(sheet)) > 200


def test_augmentation_of_any_channels():
    augment = DiscriminatorAugmentation(["color", "translation", "cutout"])
    batch = {"label_map": torch.zeros(2, 64, 64, dtype=torch.long), "seed": torch.tensor([1, 2])}
    for count in (1, 5):
        images = random_images(channels=count)
        _, (changed,) = augment(batch, 0, images)
        assert changed.shape == images.shape and not changed.equal(images)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_images_of_evaluations_are_kept(tmp_path: Path, count: int):
    images = torch.randint(0, 256, (2, count, 6, 9), dtype=torch.uint8)
    cache = ImageCache(tmp_path, count)
    kept = cache.obtain("exact", range(2), (6, 9), lambda: images)
    assert kept.equal(images) and cache.obtain("exact", range(2), (6, 9), lambda: 1 / 0).equal(images)
    with pytest.raises(ValueError, match="it is 9x6, not 9x7"):
        cache.obtain("exact", range(2), (7, 9), lambda: 1 / 0)


def test_measures_of_gray_and_of_more_channels():
    """Of equal channels, those of gray; and light has as many values as there are channels."""
    gray = torch.randint(0, 256, (4, 1, 16, 16), dtype=torch.uint8)
    torch.testing.assert_close(laplacian_variance(gray.expand(-1, 5, -1, -1)), laplacian_variance(gray))
    torch.testing.assert_close(laplacian_variance(gray.expand(-1, 3, -1, -1)), laplacian_variance(gray))
    assert color_statistics(gray).shape == (4, 2)
    colors = color_statistics(torch.randint(0, 256, (4, 5, 16, 16), dtype=torch.uint8))
    means = colors[:, :5]
    torch.testing.assert_close(light_agreement(means, means, [0, 0, 1, 1]), torch.ones(5, dtype=torch.float64))
    one = torch.zeros(4, 1, dtype=torch.float64)
    measured = Measurements(one, one[:, 0], colors, one, one[:, 0], one[:, 0], None)
    with pytest.raises(Missing, match="the pictures have 5 channels, which are not red, green and blue"):
        light_of_color(Comparison(measured, measured, groups=[0, 0, 1, 1]), 0)
