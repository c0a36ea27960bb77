"""What a synthesized data set can hold."""

from typing import Any

import numpy as np
import PIL.Image
import pytest

from spade_hf import SPADEImageProcessor, SPADEPipeline
from spade_hf.synthesis import MaskReader, Synthesizer
from spade_hf.synthesis.row import encode_image

from ..tiny_networks import tiny_generator
from ..training_data import LABELS, make_rows


def synthesizer(**options: Any) -> Synthesizer:
    processor = SPADEImageProcessor(label_set=LABELS, **options)
    channels = {"image_channels": options.get("image_channels", 3)}
    network = tiny_generator(num_labels=LABELS.num_labels, use_unknown_label=True, **channels)
    masks = MaskReader(make_rows(count=1), mask_column="label", instance_column=None, processor=processor)
    return Synthesizer(SPADEPipeline(network, processor), masks, num_images_per_mask=1, seed=0)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"image_channels": 5}, "images of 5 channels of uint8, which PNG files cannot hold"),
        (
            {"image_channels": 1, "value_range": (-1000, 1000)},
            "images of 1 channels of float32, which PNG files cannot",
        ),
    ],
)
def test_models_of_which_no_data_set_is_synthesized(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        synthesizer(**options)


def test_gray_of_16_bits_is_written_whole(tmp_path):
    made = synthesizer(image_channels=1, value_range=(0, 65535))
    image = made.pipeline(np.zeros((64, 64), np.uint8)).images[0]
    (tmp_path / "1.png").write_bytes(encode_image(image))
    assert np.array_equal(np.array(PIL.Image.open(tmp_path / "1.png")), np.array(image)) and image.mode == "I;16"
