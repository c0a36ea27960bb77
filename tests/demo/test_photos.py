"""A photograph that becomes the canvas and its style, without a browser."""

import base64
import io

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from spade_hf import SPADEPipeline
from spade_hf.demo.handlers import ASSETS, Handlers
from spade_hf.demo.painter import Painter
from spade_hf.demo.photos import photo_canvas
from spade_hf.demo.uploads import read_photo
from spade_hf.pipelines.segmentation import LOW_CONFIDENCE

from ..photographs import phone_photo
from ..tiny_networks import varied_segmenter
from .conftest import png, tiny_pipeline


NOON = ASSETS / "noon_style.jpg"


@pytest.fixture(scope="module")
def on(photographer) -> Handlers:
    return Handlers(Painter(photographer))


@pytest.fixture
def told(monkeypatch) -> dict[str, list[str]]:
    """What the page says, by kind."""
    said = {"Info": [], "Warning": []}
    for kind, texts in said.items():
        monkeypatch.setattr(gr, kind, lambda text, texts=texts, **_: texts.append(text))
    return said


def shown(image: str) -> np.ndarray:
    """The pixels of a data URL."""
    return np.array(Image.open(io.BytesIO(base64.b64decode(image.partition(",")[2]))).convert("RGB")).astype(int)


def test_a_photograph_becomes_the_canvas_and_its_light_the_style(on, photographer, told):
    canvas, styles, blend, names, seed, thumbnails, marked, photo, asked = on.pick_photo(
        on.first_styles(), NOON.read_bytes()
    )
    image = Image.open(NOON).convert("RGB")
    (expected,) = photographer.segment(image.resize((512, 512), Image.Resampling.BILINEAR))
    assert (on._read(canvas) == np.array(expected)).mean() > 0.98 and len(np.unique(expected)) > 1
    latents = photographer.encode_style(image)[0]
    torch.testing.assert_close(torch.tensor(styles[1]["latents"]), latents)
    assert (blend, marked, asked["visible"]) == (1.0, {"chosen": ""}, False) and "noon" in names
    assert thumbnails["chosen"] == thumbnails["own"]["name"] == "your photo"
    assert photo["mask"] == canvas
    assert np.abs(shown(photo["image"]) - np.array(image.resize((512, 512)))).mean() < 5
    assert len(told["Info"] + told["Warning"]) == 1
    assert on.paint(canvas, styles, blend)[0].size == (64, 64)


@pytest.mark.parametrize(
    ("size", "format_size"), [((90, 60), (512, 768)), ((60, 90), (512, 512)), ((1, 90), (512, 512))]
)
def test_the_canvas_has_the_nearest_format_and_the_middle_of_the_photograph(on, size, format_size):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    read = photo_canvas(Image.fromarray(pixels), on.painter)
    assert read.label_map.shape == format_size and shown(read.image).shape == (*format_size, 3)
    assert ("cut off" in read.note) == (size != (90, 60))


def test_a_phones_upright_photograph(on):
    tall = Image.open(NOON).convert("RGB").crop((0, 0, 192, 256))
    read = photo_canvas(read_photo(phone_photo(tall)), on.painter)
    expected = tall.crop((0, 32, 192, 224)).resize((512, 512), Image.Resampling.BICUBIC)
    assert np.abs(shown(read.image) - np.array(expected)).mean() < 5  # a wrong turn: above 20


@pytest.mark.parametrize("sharpness", [0.0, 100.0])
def test_the_page_says_when_it_is_unsure_and_shows_the_mask_all_the_same(told, sharpness):
    pipeline = tiny_pipeline()
    pipeline.register_modules(segmenter=varied_segmenter(sharpness, num_labels=12))
    on = Handlers(Painter(pipeline))
    canvas, *_ = on.pick_photo(on.first_styles(), NOON.read_bytes())
    confidence = on.painter.label_map_of_photo(Image.open(NOON).convert("RGB"), (512, 512))[1]
    assert (confidence < LOW_CONFIDENCE) == (sharpness == 0)
    assert [len(told["Warning"]), len(told["Info"])] == ([1, 0] if sharpness == 0 else [0, 1])
    if sharpness == 0:
        assert "only 8 % sure of its labels" in told["Warning"][0]
    assert on._read(canvas).shape == (512, 512)


def test_files_that_are_no_photograph_are_explained(on):
    styles = on.first_styles()
    for data, words in (
        (b"hello", "not a picture that can be read"),
        (png(Image.new("RGBA", (64, 64), (9, 9, 9, 0))), "transparent"),
    ):
        with pytest.raises(gr.Error, match=words):
            on.pick_photo(styles, data)


def test_a_model_that_reads_no_styles_keeps_its_style(photographer, told):
    components = photographer.components | {"style_encoder": None}
    on = Handlers(Painter(SPADEPipeline(**components)))
    _, *picked, marked, photo, _ = on.pick_photo(on.first_styles(), NOON.read_bytes())
    assert picked == [gr.skip()] * 5 and photo["image"]
    assert "light" not in (told["Info"] + told["Warning"])[0]


def test_the_invitation_names_the_photograph_only_if_the_model_reads_it(on):
    assert "or start from your photo." in on.invitation()
    assert "photo" not in Handlers(Painter(tiny_pipeline())).invitation()
