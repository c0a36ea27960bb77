"""The Gradio page's half of the table; the other is in tests/spaces_demo/test_page_cases_js.py."""

import numpy as np
import pytest
import torch

from spade_hf.demo.formats import Format, nearest_format, reframed
from spade_hf.demo.painter import Painter, Style, Styles
from spade_hf.demo.percent import percent_of_pixels
from spade_hf.demo.photos import middle, note_about
from spade_hf.images.inputs import instance_edges

from ..page_cases import CASES


@pytest.mark.parametrize("case", CASES["picks"])
def test_picks(case):
    picked, before, last = (Style(name, torch.zeros(1, 2)) for name in (case["picked"], *case["styles"]))
    styles = Styles(before, last).pick(picked)
    assert [styles.before.name, styles.last.name] == case["then"]


@pytest.mark.parametrize("case", CASES["blends"])
def test_blends(case):
    styles = Styles.from_list(case["styles"], len(case["latents"]))
    style, chosen = styles.blend(case["blend"]), styles.chosen(case["blend"])
    assert (chosen and chosen.name) == case["chosen"]
    assert style.name == case["name"]
    torch.testing.assert_close(style.latents[0], torch.tensor(case["latents"], dtype=torch.float32))


@pytest.mark.parametrize("case", CASES["seeds"])
def test_the_style_of_a_seed(painter, case, monkeypatch):
    monkeypatch.setattr(painter, "latent_dim", len(case["latents"]))
    style = Painter.style_of_seed(painter, case["seed"], case["vividness"])
    assert style.name == case["name"]
    torch.testing.assert_close(style.latents[0], torch.tensor(case["latents"], dtype=torch.float32))


@pytest.mark.parametrize("case", CASES["nearest_formats"])
def test_the_nearest_format(case):
    formats = [Format(str(size), tuple(size), tuple(size)) for size in case["sizes"]]
    assert nearest_format(case["shape"], formats).size == tuple(case["nearest"])


@pytest.mark.parametrize("case", CASES["reframings"])
def test_another_frame(case):
    assert reframed(np.array(case["labels"]), case["size"]).tolist() == case["then"]


@pytest.mark.parametrize("case", CASES["middles"])
def test_the_middle_of_a_photograph(case):
    assert (
        dict(zip(("left", "top", "width", "height"), middle(case["size"], case["shape"]), strict=True)) == case["then"]
    )


@pytest.mark.parametrize("case", CASES["photo_notes"])
def test_what_is_said_about_a_photograph(case):
    text, confidence = case["text"], case["confidence"]
    assert note_about(confidence, is_cut=case["is_cut"], is_style=case["is_style"]) == text


@pytest.mark.parametrize("case", CASES["edges"])
def test_edges(case):
    edges = instance_edges(torch.tensor(case["labels"])[None])[0]
    np.testing.assert_array_equal(edges.numpy(), case["edges"])


@pytest.mark.parametrize("case", CASES["pixel_shares"])
def test_shares_of_pixels(case):
    assert percent_of_pixels(case["share"]) == case["text"]
