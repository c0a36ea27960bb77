"""The static page's half of the table, run by Node.js; the other is in tests/demo/test_page_cases.py."""

import numpy as np
import pytest

from spade_hf.pipelines.segmentation import LOW_CONFIDENCE

from ..page_cases import CASES, NUM_LABELS


pytestmark = pytest.mark.pages


def test_picks(node):
    body = """
const styleOf = (name) => ({ name, latents: [0, 0] });
return given.map(({ styles, picked }) => pick(styles.map(styleOf), styleOf(picked)).map(({ name }) => name));
"""
    assert node('{ pick } from "./scene.js"', body, CASES["picks"]) == [case["then"] for case in CASES["picks"]]


def test_blends(node):
    body = """
return given
  .map(({ styles, blend }) => ({ ...blended(styles, blend), chosen: chosen(styles, blend)?.name ?? null }))
  .map(({ latents, ...found }) => ({ ...found, latents: [...latents] }));
"""
    answer = node('{ blended, chosen } from "./scene.js"', body, CASES["blends"])
    for case, found in zip(CASES["blends"], answer, strict=True):
        assert found["chosen"] == case["chosen"]
        assert found["name"] == case["name"]
        assert found["latents"] == pytest.approx(case["latents"])


def test_the_style_of_a_seed(node):
    body = "return given.map(({ seed, vividness, latents }) => styleOfSeed(seed, vividness, latents.length));"
    for case, found in zip(
        CASES["seeds"], node('{ styleOfSeed } from "./scene.js"', body, CASES["seeds"]), strict=True
    ):
        assert found["name"] == case["name"]
        assert found["latents"] == pytest.approx(case["latents"], abs=1e-6)


def test_the_nearest_format(node):
    cases = CASES["nearest_formats"]
    body = """
return given.map(({ sizes, shape: [height, width] }) => formatOf(width, height, sizes.map((size) => ({ size }))).size);
"""
    assert node('{ formatOf } from "./masks.js"', body, cases) == [case["nearest"] for case in cases]


def test_another_frame(node):
    cases = CASES["reframings"]
    body = """
return given.map(({ labels, size: [height, width] }) => {
  const grid = new LabelGrid(labels[0].length, labels.length, Uint16Array.from(labels.flat()));
  return [...grid.reframed(width, height).labels];
});
"""
    for case, labels in zip(cases, node('{ LabelGrid } from "./label_grid.js"', body, cases), strict=True):
        assert np.reshape(labels, case["size"]).tolist() == case["then"]


def test_the_middle_of_a_photograph(node):
    cases = CASES["middles"]
    body = "return given.map(({ size, shape }) => middle(size, shape));"
    assert node('{ middle } from "./photo.js"', body, cases) == [case["then"] for case in cases]


def test_what_is_said_about_a_photograph(node):
    cases = CASES["photo_notes"]
    body = f"""
return given.map(({{ confidence, is_cut: isCut, is_style: isStyle }}) =>
  noteAbout({{ confidence, isCut, isStyle }}, {LOW_CONFIDENCE}));
"""
    assert node('{ noteAbout } from "./photo.js"', body, cases) == [case["text"] for case in cases]


def test_edges(node):
    body = f"""
return given.map(({{ labels }}) => codesOf({{ labels: labels.flat(), width: labels[0].length }}, {NUM_LABELS}, true))
  .map((codes) => [...codes]);
"""
    for case, codes in zip(CASES["edges"], node('{ codesOf } from "./masks.js"', body, CASES["edges"]), strict=True):
        labels, edges = np.array(case["labels"]), np.array(case["edges"])
        np.testing.assert_array_equal(np.reshape(codes, labels.shape), labels + NUM_LABELS * edges)


def test_shares_of_pixels(node):
    cases = CASES["pixel_shares"]
    body = "return given.map(({ share }) => percent(share));"
    assert node('{ percent } from "./masks.js"', body, cases) == [case["text"] for case in cases]
