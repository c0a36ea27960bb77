"""Files that a visitor opens on the static page, in a real browser."""

import functools
import json
import struct

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from spade_hf.demo.mask_canvas import read_canvas, write_canvas
from spade_hf.demo.painter import Painter
from spade_hf.demo.uploads import read_mask

from .visitor import WIDTHS, Visitor, wait_for


pytestmark = pytest.mark.pages


def with_other_gamma(image: Image.Image) -> tuple[Image.Image, dict]:
    """A PNG whose colors a screen shows otherwise; its numbers are the labels'."""
    info = PngInfo()
    info.add(b"gAMA", struct.pack(">I", 100_000))
    return image, {"pnginfo": info}


def test_masks_and_scenes_of_every_form(browser, pipeline, url, tmp_path):
    """A mask is the same one on the Gradio page, whose reader gives the expected canvas."""
    context = browser.new_context(viewport=WIDTHS["desktop"])
    visitor = Visitor(context.new_page(), url)
    painter = Painter(pipeline)
    label_set = painter.label_set
    ids = np.random.default_rng(0).integers(0, 12, (5, 9)).repeat(20, 0).repeat(20, 1)
    colors = Image.fromarray(label_set.colorize(ids))
    half = colors.copy()
    half.putalpha(Image.fromarray(np.where(ids < 3, 0, 255).astype(np.uint8)))
    files = {
        "ids.png": (Image.fromarray(ids.astype(np.uint8)), {}),
        "gamma.png": with_other_gamma(colors.rotate(180)),
        "half.png": (half, {}),
        "photo.jpg": (colors.resize((512, 300), Image.Resampling.NEAREST), {"quality": 75}),
    }
    for name, (image, options) in files.items():
        image.save(tmp_path / name, **options)
        visitor.after(functools.partial(visitor.page.set_input_files, "#open-file", tmp_path / name))
        opened = read_mask((tmp_path / name).read_bytes(), painter.processor, painter.formats)
        expected, found = write_canvas(opened.label_map, label_set), visitor.mask()
        if name == "photo.jpg":  # the two decoders differ by 1 of 255
            maps = [read_canvas(mask, label_set, painter.formats) for mask in (expected, found)]
            assert (maps[0] == maps[1]).mean() > 0.995
        else:
            assert found == expected, name
    assert "0 pixels" not in visitor.message() and "took the nearest one" in visitor.message()

    scene = {
        "format": "spade_hf scene 1",
        "labels": ["tree", "sky"],
        "size": [64, 64],
        "mask": f"64 64 {32 * 64} 0 {32 * 64} 1",
        "blend": 0.5,
        "styles": [{"name": name, "latents": [value] * 8} for name, value in (("a", -1), ("b", 1))],
    }
    (tmp_path / "scene.JSON").write_text(json.dumps(scene))
    visitor.after(lambda: visitor.page.set_input_files("#open-file", tmp_path / "scene.JSON"))
    painted = read_canvas(visitor.mask(), label_set, painter.formats)
    assert (painted[:256] == label_set.id_of("tree")).all() and (painted[256:] == label_set.id_of("sky")).all()
    assert visitor.page.locator("#status").inner_text().endswith("style: 50 % a + 50 % b")
    assert not visitor.complaints
    context.close()


def test_bad_files_are_explained_and_the_page_stays(browser, url, tmp_path):
    context = browser.new_context(viewport=WIDTHS["desktop"])
    visitor = Visitor(context.new_page(), url)
    visitor.stroke("water", (0.2, 0.3), (0.8, 0.3))
    mask = visitor.mask()
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "list.json").write_text("[]")
    scene = {"format": "spade_hf scene 1", "labels": ["sky"], "size": [2, 2], "mask": "2 2 4 0", "blend": 1}
    (tmp_path / "styles.json").write_text(json.dumps({**scene, "styles": []}))
    huge = {**scene, "size": [20_000, 20_000], "mask": "20000 20000 400000000 0"}
    (tmp_path / "huge.json").write_text(json.dumps(huge))
    noise = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    Image.new("1", (5000, 5000)).save(tmp_path / "large.png")
    for name, words in (
        ("text.png", "text.png is not a picture that this browser can read"),
        ("other.json", "This file is not a scene of this page"),
        ("list.json", "This file is not a scene of this page"),
        ("styles.json", "it has not two styles"),
        ("huge.json", "20000x20000 pixels; allowed are 1 to"),
        ("photo.png", "100 % of this picture has no label's color"),
        ("large.png", "5000x5000 pixels; at most 16 megapixels"),
    ):
        visitor.page.set_input_files("#open-file", tmp_path / name)
        wait_for(visitor.page, "words => document.querySelector('#message').textContent.includes(words)", words)
        assert visitor.mask() == mask
    Image.new("RGBA", (64, 64), (200, 90, 40, 0)).save(tmp_path / "clear.png")
    visitor.page.set_input_files("#own-file", tmp_path / "clear.png")
    visitor.page.locator("#message", has_text="clear.png has transparent pixels").wait_for()
    # as an older version could have kept them
    visitor.page.evaluate(
        "Object.keys(localStorage).filter((key) => key.endsWith('styles')).concat(['x styles'])"
        ".forEach((key) => localStorage.setItem(key, JSON.stringify({ styles: [], blend: 1 })))"
    )
    visitor.page.reload()
    visitor.wait_for_pictures(1)
    assert visitor.mask() == mask and not visitor.complaints
    context.close()
