"""The handler for Inference Endpoints, called as their server calls it: with an image, or with base64 in JSON."""

import base64
import importlib.util
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from spade_hf import BUNDLED_MODEL, SPADEImageProcessor, SPADEPipeline

from ..tiny_networks import tiny_generator
from ..training_data import LABELS, mask, png, real_image


HANDLER = Path(__file__).parents[2] / "examples" / "endpoint" / "handler.py"
MASK = Path(BUNDLED_MODEL).parent / "demo" / "assets" / "lake_mask.png"
STYLES = [MASK.with_name(name) for name in ("noon_style.jpg", "sunset_style.jpg")]


def open_handler(model):
    spec = importlib.util.spec_from_file_location("handler", HANDLER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.EndpointHandler(str(model))


@pytest.fixture(scope="module")
def handler():
    return open_handler(BUNDLED_MODEL)


def request(mask=MASK, style=None, **parameters):
    """What the server makes of a JSON body."""
    inputs = {"mask": base64.b64encode(mask.read_bytes()).decode()}
    if style is not None:
        inputs["style_image"] = base64.b64encode(style.read_bytes()).decode()
    return json.loads(json.dumps({"inputs": inputs, "parameters": {"height": 64, **parameters}}))


def test_json_gives_an_image_of_the_mask_in_the_style(handler):
    noon, sunset = (np.asarray(handler(request(style=style)), dtype=float) for style in STYLES)
    assert noon.shape == (64, 64, 3)
    assert noon.std() > 10
    assert np.abs(noon - sunset).mean() > 10
    expected = handler.pipeline(str(MASK), style_image=str(STYLES[0]), height=64).images[0]
    assert np.array_equal(noon, np.asarray(expected))


def test_an_image_body_is_a_mask_in_the_labels_colors(handler):
    labels = handler.pipeline.image_processor.label_set
    colored = PIL.Image.fromarray(labels.colorize(np.asarray(PIL.Image.open(MASK))))  # the server converts to RGB
    from_body = handler({"inputs": colored, "parameters": {"height": 64, "seed": 1}})
    assert np.array_equal(np.asarray(from_body), np.asarray(handler(request(seed=1))))


def test_a_seed_repeats_the_styles_and_several_images_come_as_a_list(handler):
    first, again, other = (handler(request(seed=seed, num_images_per_mask=2)) for seed in (1, 1, 2))
    assert [image.size for image in first] == [(64, 64)] * 2
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": "lake.png"}, r"`inputs` is a str; send an image, or a dict of mask, style_image"),
        ({"inputs": {"style_image": ""}}, r"`inputs` has no `mask`"),
        ({"inputs": {"mask": "", "url": ""}}, r"`inputs` has \['url'\]; allowed are mask"),
        ({"inputs": {"mask": str(MASK)}}, r"`mask` is not the base64 string of an image file"),
        ({"inputs": {"mask": "https://example.com/mask.png"}}, r"`mask` is not the base64 string"),
        ({"inputs": {"mask": base64.b64encode(MASK.read_bytes()[:300]).decode()}}, r"`mask` is not the base64 string"),
        ({"inputs": {"mask": 3}}, r"`mask` is not the base64 string"),
        (
            {"inputs": {"mask": base64.b64encode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n").decode()}},
            "cannot identify",
        ),
        ({"parameters": {"guidance_scale": 7}}, r"`parameters` has \['guidance_scale'\]; allowed are num_images_per"),
        ({"parameters": {"num_images_per_mask": 17}}, r"`num_images_per_mask` is 17; allowed are 1 to 16"),
        ({"parameters": {"num_images_per_mask": 1.0}}, r"`num_images_per_mask` is 1\.0; allowed"),
        ({"parameters": {"seed": "one"}}, r"`seed` is 'one'; allowed are whole numbers"),
        ({"parameters": {"height": "64"}}, r"`height` is '64'; allowed are whole numbers"),
        ({"parameters": {"width": 64.0}}, r"`width` is 64\.0; allowed are whole numbers"),
        ({"parameters": {"color_tolerance": "5"}}, r"`color_tolerance` is '5'; pass a number"),
        ({"parameters": {"height": 20000, "width": 20000}}, r"ask for 20000x20000 pixels; allowed are 4194304 in all"),
        ({"parameters": {"width": 4096}}, r"ask for \d+x4096 pixels; allowed are 4194304 in all"),
    ],
)
def test_bad_requests(handler, change, message):
    with pytest.raises(ValueError, match=message):
        handler({**request(), **change})


def test_a_request_without_inputs(handler):
    with pytest.raises(ValueError, match="The request has no `inputs`; send an image, or a dict of mask, style_image"):
        handler({"mask": "iVBORw0"})


def test_base64_as_browsers_and_programs_write_it(handler):
    plain, raw = request(seed=1), MASK.read_bytes()
    expected = np.asarray(handler(plain))
    url = f"data:image/png;base64,{base64.b64encode(raw).decode()}"  # of `canvas.toDataURL()`
    lines = base64.encodebytes(raw).decode()  # of the program base64
    for text in (url, lines, f" {url}\n"):
        assert np.array_equal(np.asarray(handler({**plain, "inputs": {"mask": text}})), expected)


def test_postscript_is_not_run(handler):
    """Pillow would hand it to Ghostscript."""
    text = base64.b64encode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EOF\n").decode()
    with pytest.raises(ValueError, match="`mask` is not the base64 string of an image file: cannot identify"):
        handler({**request(), "inputs": {"mask": text}})


def test_errors_of_the_pipeline_reach_the_client(handler):
    buffer = BytesIO()
    PIL.Image.fromarray(np.full((64, 64), 77, np.uint8)).save(buffer, "PNG")
    with pytest.raises(ValueError, match=r"`mask` has label ids? \[77\]"):
        handler({"inputs": {"mask": base64.b64encode(buffer.getvalue()).decode()}})


def saved(folder, *, has_labels=True, value_range=None, **channels):
    """A model of `LABELS`, or without labels, whose images and conditions have these channels."""
    counts = {"num_labels": LABELS.num_labels if has_labels else 0, "use_unknown_label": has_labels}
    processor = SPADEImageProcessor(label_set=LABELS if has_labels else None, value_range=value_range, **channels)
    SPADEPipeline(tiny_generator(**counts, image_size=64, latent_dim=None, **channels), processor).save_pretrained(
        folder
    )
    return folder


def npy(values):
    buffer = BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def encoded(content):
    return base64.b64encode(content).decode()


def test_a_condition_beside_the_mask_and_gray_of_16_bits(tmp_path):
    handler = open_handler(saved(tmp_path, condition_channels=2, image_channels=1, value_range=(0, 65535)))
    planes = np.random.default_rng(0).random((40, 48, 2), dtype=np.float32)
    label_map = mask(0)
    image = handler({"inputs": {"mask": encoded(png(label_map)), "condition": encoded(npy(planes))}})
    assert image.mode == "I;16" and np.array(image).std() > 0
    assert np.array_equal(image, handler.pipeline(label_map, condition=planes).images[0])
    for condition, message in (
        (None, "`condition` is missing: this model reads 2 channels"),
        (encoded(npy(planes[..., :1])), r"`condition` has shape \(40, 48, 1\); with `condition_channels` 2"),
        (encoded(npy(np.array([{}], dtype=object))), "`condition` cannot be read as an array of numpy: Object arrays"),
        ("depth.npy", "`condition` is not the base64 string of a file"),
        (encoded(b"no image"), "cannot identify image file"),
    ):
        inputs = {"mask": encoded(png(label_map))} | ({} if condition is None else {"condition": condition})
        with pytest.raises(ValueError, match=message):
            handler({"inputs": inputs})


def test_a_condition_alone(tmp_path):
    handler = open_handler(saved(tmp_path, has_labels=False, condition_channels=3))
    photo = real_image(0)
    expected = np.array(handler.pipeline(condition=photo).images[0])
    for inputs in (photo, {"condition": encoded(png(photo))}):
        assert np.array_equal(handler({"inputs": inputs}), expected)
    with pytest.raises(ValueError, match="`inputs` has no `condition`; send the base64 string"):
        handler({"inputs": {"style_image": encoded(png(photo))}})
    with pytest.raises(ValueError, match=r"ask for \d+x4096 pixels"):
        handler({"inputs": {"condition": encoded(npy(np.array(photo)))}, "parameters": {"width": 4096}})


def test_a_model_whose_images_are_not_png(tmp_path):
    with pytest.raises(ValueError, match="images of 5 channels of uint8, which PNG files cannot hold"):
        open_handler(saved(tmp_path, image_channels=5))
