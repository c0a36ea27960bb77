"""Label maps and styles to pictures."""

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from spade_hf import LabelSet, SPADEImageProcessor, SPADEPipeline
from spade_hf.demo import painter as painter_module
from spade_hf.demo.painter import Painter, Style, Styles

from ..tiny_networks import tiny_generator
from .conftest import tiny_pipeline


LABEL_MAP = np.random.default_rng(0).integers(0, 12, (128, 128))


def test_a_painting_is_what_the_pipeline_makes(painter):
    style = painter.style_of_seed(5)
    painting = painter.paint(LABEL_MAP, [style])[0]
    generator = torch.Generator().manual_seed(5)
    expected = painter.pipeline(painter.at_image_size(LABEL_MAP), generator=generator).images[0]
    np.testing.assert_array_equal(np.array(painting.image), np.array(expected))
    assert painting.image.size == (64, 64)
    assert painting.seconds > 0


def test_the_demo_reads_the_pixels_that_the_library_reads(painter):
    label_map = painter.at_image_size(LABEL_MAP)
    channels = painter.processor.preprocess_mask(LABEL_MAP, height=64, width=64)[0].numpy()
    np.testing.assert_array_equal(label_map, painter.label_set.channels_to_ids(channels))


def test_one_picture_for_each_style(painter):
    styles = [painter.style_of_seed(seed) for seed in range(3)]
    paintings = painter.paint(LABEL_MAP, styles)
    assert [painting.style for painting in paintings] == styles
    assert len({painting.image.tobytes() for painting in paintings}) == 3


def test_the_style_of_a_picture_is_the_encoders_mean(painter):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    style = painter.style_of_image(picture, "mine")
    expected = painter.pipeline(np.zeros((64, 64), np.int64), style_image=picture).latents
    torch.testing.assert_close(style.latents, expected)


def test_the_canvas_is_large_enough_to_paint_on(painter):
    assert [one.canvas_size for one in painter.formats] == [(512, 512), (512, 768)]


def test_a_wide_canvas_gives_a_wide_picture(painter):
    (painting,) = painter.paint(np.zeros((512, 768), np.int64), [painter.style_of_seed(0)])
    assert painting.image.size == (96, 64)


def test_vividness_scales_a_random_style(painter):
    full, half = painter.style_of_seed(4), painter.style_of_seed(4, 0.5)
    torch.testing.assert_close(half.latents, full.latents / 2)
    assert (full.name, half.name) == ("seed 4", "seed 4 (vivid 50 %)")


def test_the_same_seed_takes_the_place_of_the_last_style(painter):
    noon, seed, calm, other = (
        Style("noon", torch.zeros(1, 8)),
        *(painter.style_of_seed(*of) for of in ((4,), (4, 0.5), (5,))),
    )
    styles = Styles(noon, seed).pick(calm)
    assert (styles.before, styles.last) == (noon, calm)
    assert styles.pick(other).before == calm


def test_a_browser_keeps_a_scene_for_its_own_model_only(painter):
    assert Painter(tiny_pipeline()).fingerprint == painter.fingerprint
    others = [tiny_pipeline(seed=1), tiny_pipeline(image_size=640)]
    assert len({painter.fingerprint, *(Painter(other).fingerprint for other in others)}) == 3


def test_blending():
    before, last = Style("noon", torch.zeros(1, 4)), Style("dusk", torch.ones(1, 4))
    styles = Styles(Style("older", torch.ones(1, 4)), before).pick(last)
    assert styles == Styles(before, last)
    assert styles.blend(0.0) is before and styles.blend(1.0) is last
    between = styles.blend(0.25)
    assert between.name == "75 % noon + 25 % dusk"
    torch.testing.assert_close(between.latents, torch.full((1, 4), 0.25))


@pytest.mark.parametrize("edges", [False, True])
def test_models_without_styles(edges):
    processor = SPADEImageProcessor(label_set=LabelSet.from_name("landscapes"), use_instance_edges=edges)
    generator = tiny_generator(num_labels=12, latent_dim=None, use_instance_edges=edges)
    painter = Painter(SPADEPipeline(generator, processor))
    assert not painter.has_styles and not painter.reads_images
    painting = painter.paint(LABEL_MAP, None)[0]
    assert painting.style is None and painting.image.size == (64, 64)


def test_a_gpu_is_borrowed_where_there_is_zerogpu(pipeline, monkeypatch):
    calls = []
    spaces = ModuleType("spaces")

    def gpu(duration):
        return lambda function: lambda *args: calls.append(duration) or function(*args)

    spaces.GPU = gpu
    monkeypatch.setattr(painter_module, "spaces", spaces)
    Painter(pipeline).paint(LABEL_MAP, [Style("zero", torch.zeros(1, 8))])
    assert calls == [painter_module.GPU_SECONDS]
    assert "spaces" not in sys.modules  # it is no dependency
