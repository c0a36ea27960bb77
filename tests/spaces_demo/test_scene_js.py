"""The page reads scenes as the Gradio page does: the table's other reader is in tests/demo/test_scene.py."""

import json

import pytest

from .. import scenes


pytestmark = pytest.mark.pages

READ = """
const { texts, model } = given;
return texts.map((text) => {
  try {
    const { grid, styles, blend } = readScene(text, model);
    return { labels: Array.from(grid.labels), width: grid.width, styles, blend };
  } catch (error) { return { error: error.message, kind: error.name }; }
});
"""


@pytest.fixture(scope="module")
def read(node):
    model = {
        "label_names": list(scenes.LABELS.names),
        "latent_dim": scenes.MODEL["latent_dim"],
        "rules": {"max_scene_pixels": scenes.MODEL["max_pixels"]},
    }

    def run(texts: list[str]) -> list[dict]:
        return node('{ readScene } from "./scene.js"', READ, {"texts": texts, "model": model})

    return run


def test_scenes(read):
    cases = scenes.CASES["accepted"]
    for case, found in zip(cases, read([scenes.text(case["changes"]) for case in cases]), strict=True):
        assert "error" not in found, (case, found)
        if "labels" in case:
            assert [scenes.LABELS.names[label] for label in found["labels"]] == case["labels"]
        if "styles" in case:
            assert (found["styles"] and [style["name"] for style in found["styles"]]) == case["styles"]
        assert found["blend"] == case.get("blend", 0.25)
    assert read([scenes.text({})])[0]["styles"] == scenes.CASES["scene"]["styles"]


def test_unknown_labels_are_named(read):
    for case in scenes.CASES["unknown_labels"]:
        (found,) = read([scenes.text(case["changes"])])
        assert found["error"] == f"The scene has labels that this model does not know: {case['named']}."


def test_other_files_are_refused(read):
    texts = scenes.refused()
    for text, found in zip(texts, read(texts), strict=True):
        assert found.get("error", "").startswith("This file is not a scene of this page: "), text[:200]


def test_a_written_scene_is_read_back(node):
    scene = scenes.CASES["scene"]
    body = """
const model = { label_names: given.labels, latent_dim: 2 };
const grid = LabelGrid.decode(given.mask, 3);
return JSON.parse(writeScene(grid, given.styles, given.blend, model));
"""
    names = '{ writeScene } from "./scene.js"; import { LabelGrid } from "./label_grid.js"'
    assert node(names, body, scene) == scene
    assert json.loads(scenes.text({})) == scene
