"""Pipelines of models with condition channels, with labels and without."""

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from spade_hf import LabelSet, SPADEImageProcessor, SPADEPipeline

from ..tiny_networks import NUM_LABELS, tiny_generator, tiny_outlines, tiny_style_encoder


LABELS = LabelSet.anonymous(NUM_LABELS)


def pipeline(channels: int = 2, *, labels: LabelSet | None = LABELS, **options: Any) -> SPADEPipeline:
    network = tiny_generator(num_labels=0 if labels is None else NUM_LABELS, condition_channels=channels)
    processor = SPADEImageProcessor(label_set=labels, condition_channels=channels, **options)
    made = SPADEPipeline(network, processor, tiny_style_encoder())
    made.set_progress_bar_config(disable=True)
    return made


def mask(size: tuple[int, int] = (64, 64)) -> np.ndarray:
    ids = np.zeros(size, np.uint8)
    ids[: size[0] // 2] = 1
    return ids


def planes(size: tuple[int, int] = (64, 64), channels: int = 2) -> np.ndarray:
    return np.random.default_rng(0).random((*size, channels)).astype(np.float32)


def paint(model: SPADEPipeline, *args: Any, **options: Any) -> torch.Tensor:
    seeded = {"generator": torch.Generator().manual_seed(0), **options}
    return model(*args, output_type="pt", **seeded).images


def test_the_condition_is_read_beside_the_mask(tmp_path: Path):
    """As an array, a file and a tensor, also after a round trip of the model; and it matters."""
    model, values = pipeline(), planes()
    images = paint(model, mask(), condition=values)
    np.save(tmp_path / "1.npy", values)
    model.save_pretrained(tmp_path / "model")
    loaded = SPADEPipeline.from_pretrained(tmp_path / "model")
    for same in (
        paint(model, mask(), condition=tmp_path / "1.npy"),
        paint(model, mask(), condition=torch.from_numpy(values).movedim(-1, 0)),
        paint(loaded, mask(), condition=values),
    ):
        torch.testing.assert_close(same, images, atol=1e-5, rtol=0)
    assert (paint(model, mask(), condition=1 - values) - images).abs().mean() > 1e-3


def test_several_masks_have_one_condition_each():
    model, values = pipeline(), planes()
    conditions = [values, 1 - values, values[::-1].copy()]
    style = {"latents": torch.randn(3, 8, generator=torch.Generator().manual_seed(1))}
    together = paint(model, [mask()] * 3, condition=conditions, batch_size=2, **style)
    for number, condition in enumerate(conditions):
        alone = paint(model, mask(), condition=condition, latents=style["latents"][number : number + 1])
        torch.testing.assert_close(alone[0], together[number], atol=1e-5, rtol=0)


def test_images_in_several_styles_share_a_condition():
    images = paint(pipeline(), mask(), condition=planes(), num_images_per_mask=3)
    assert len(images) == 3 and (images[0] - images[1]).abs().mean() > 1e-3


def test_the_condition_can_have_another_size_in_the_mask_s_proportions():
    images = paint(pipeline(), mask((32, 64)), condition=planes((64, 128)))
    assert images.shape[-1] == 2 * images.shape[-2]


def test_image_to_image_has_the_condition_s_proportions():
    model = pipeline(3, labels=None)
    photo = PIL.Image.fromarray((planes((40, 80), 3) * 255).astype(np.uint8))
    images = model(condition=photo, style_image=photo).images
    assert images[0].size[0] == 2 * images[0].size[1] and images[0].mode == "RGB"
    assert len(model(condition=[photo, photo], generator=torch.Generator().manual_seed(0)).images) == 2
    assert paint(model, condition=photo, height=64, width=96).shape == (1, 3, 64, 96)


@pytest.mark.parametrize(
    "given, message",
    [
        ({}, "`condition` is missing: this model reads 2 channels of real numbers"),
        ({"condition": planes((64, 32))}, "`condition` 0 is 64x32 and its `mask` is 64x64"),
        ({"condition": [planes(), planes()]}, "`condition` holds 2 conditions for 1 masks; give one per mask"),
        ({"condition": planes(channels=3)}, r"`condition` has shape \(64, 64, 3\); an array is \(H, W, 2\)"),
        (
            {"condition": planes() * np.inf},
            "`condition` has 0 values that are NaN and 8192 that are infinite, of 8192",
        ),
        ({"condition": planes(), "outline_strength": 0.5}, "this model has a condition, which would no longer fit"),
    ],
    ids=["missing", "size", "number", "channels", "infinite", "outlines"],
)
def test_what_a_model_with_labels_refuses(given: dict, message: str):
    model = pipeline()
    model.register_modules(outline_model=tiny_outlines())
    with pytest.raises(ValueError, match=message):
        model(mask(), **given)


def test_what_a_model_without_labels_refuses():
    model, photo = pipeline(3, labels=None), planes(channels=3)
    for given, message in (
        (
            {"mask": mask(), "condition": photo},
            "`mask` was given, but this model has no labels. Pass `condition` alone",
        ),
        ({"condition": photo, "instance_map": mask()}, "`instance_map` was given, but this model has no labels"),
        (
            {"condition": photo, "outline_strength": 0.5},
            "This model has no labels: it makes images of a condition of 3",
        ),
        ({}, "`condition` is missing: this model reads 3 channels"),
        ({"condition": [photo, photo[:32]]}, "`condition` has conditions of different proportions"),
    ):
        with pytest.raises(ValueError, match=message):
            model(**given)
    with pytest.raises(ValueError, match="`mask` is missing: this model reads labels"):
        pipeline()(condition=planes())


def test_parts_agree_about_condition_and_labels():
    processor = SPADEImageProcessor(label_set=LABELS, condition_channels=1)
    with pytest.raises(ValueError, match="`condition_channels` is 2 in the generator and 1 in the image processor"):
        SPADEPipeline(tiny_generator(condition_channels=2), processor)
    alone = SPADEImageProcessor(label_set=None, condition_channels=2)
    with pytest.raises(ValueError, match=r"`num_labels` is 4 in the generator and 0 in the .* \(without labels\)"):
        SPADEPipeline(tiny_generator(condition_channels=2), alone)
