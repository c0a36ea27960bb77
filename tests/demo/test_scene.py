"""Scene files and downloads."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from spade_hf import LabelSet
from spade_hf.demo.painter import Style, Styles
from spade_hf.demo.scene import DOWNLOADS, Scene, new_path

from .. import scenes


LABELS = LabelSet.from_name("landscapes")
IDS = np.random.default_rng(0).integers(0, 12, (6, 9))
STYLES = Styles(Style("noon", torch.randn(1, 8)), Style("dusk", torch.randn(1, 8)))


def load(text: str, *, label_set: LabelSet = LABELS, latent_dim: int | None = 8, max_pixels: int = 10_000) -> Scene:
    return Scene.from_json(text, label_set, latent_dim, max_pixels)


def test_a_scene_comes_back_whole():
    scene = load(Scene(IDS, STYLES, 0.25).to_json(LABELS))
    np.testing.assert_array_equal(scene.label_map, IDS)
    assert scene.blend == 0.25
    for ours, theirs in ((scene.styles.before, STYLES.before), (scene.styles.last, STYLES.last)):
        assert ours.name == theirs.name
        torch.testing.assert_close(ours.latents, theirs.latents, rtol=0, atol=0)


def test_labels_are_kept_by_name_and_styles_only_where_they_fit():
    text = Scene(np.array([[0, 1]]), STYLES, 1.0).to_json(LABELS)
    labels = [{"id": 4, "name": "cloud", "color": [0, 0, 0]}, {"id": 7, "name": "sky", "color": [1, 0, 0]}]
    reversed_set = LabelSet.from_dict({"name": "two", "labels": labels})
    scene = load(text, label_set=reversed_set, latent_dim=16)
    assert scene.label_map.tolist() == [[7, 4]]
    assert scene.styles is None
    assert load(text, latent_dim=None).styles is None


def test_unknown_labels_are_named():
    text = Scene(IDS, None, 1.0).to_json(LABELS)
    with pytest.raises(ValueError, match="does not know: cloud, mountain"):
        load(text, label_set=LabelSet.from_name("cityscapes"))


def load_case(text: str) -> Scene:
    return Scene.from_json(text, scenes.LABELS, scenes.MODEL["latent_dim"], scenes.MODEL["max_pixels"])


@pytest.mark.parametrize("case", scenes.CASES["accepted"], ids=lambda case: str(case["changes"]))
def test_scenes_of_the_table(case):
    scene = load_case(scenes.text(case["changes"]))
    if "labels" in case:
        assert [scenes.LABELS.names[scenes.LABELS.ids.index(i)] for i in scene.label_map.ravel()] == case["labels"]
    if "styles" in case:
        assert (scene.styles and [style["name"] for style in scene.styles.to_list()]) == case["styles"]
    assert scene.blend == case.get("blend", 0.25)


@pytest.mark.parametrize("case", scenes.CASES["unknown_labels"], ids=lambda case: str(case["changes"]))
def test_unknown_labels_of_the_table(case):
    with pytest.raises(ValueError, match=f"does not know: {case['named']}\\.$"):
        load_case(scenes.text(case["changes"]))


@pytest.mark.parametrize("text", scenes.refused(), ids=lambda text: text[-60:])
def test_other_files_are_refused(text):
    with pytest.raises(ValueError, match="This file is not a scene of this demo"):
        load_case(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("[1]", "its format is not 'spade_hf scene 1'"), ('{"format": "spade_hf scene 1"}', "it lacks 'size'")],
)
def test_the_message_says_why(text, reason):
    with pytest.raises(ValueError, match=f"not a scene of this demo: {reason}\\.$"):
        load_case(text)


def test_downloads(painter, tmp_path):
    ids = np.random.default_rng(0).integers(0, 12, (64, 64))
    scene, paths = Scene(np.kron(ids, np.ones((8, 8), dtype=np.int64)), STYLES, 0.5), {}
    for what, (name, save) in DOWNLOADS.items():
        paths[what] = new_path(tmp_path, name)
        save(scene, painter, paths[what])
    np.testing.assert_array_equal(np.array(Image.open(paths["Gray mask"])), ids)  # of the picture's size
    np.testing.assert_array_equal(LABELS.ids_from_colors(np.array(Image.open(paths["Mask"]))), ids)
    torch.testing.assert_close(load_file(paths["Style"])["latents"], STYLES.blend(0.5).latents)
    np.testing.assert_array_equal(load(paths["Scene"].read_text(), max_pixels=512 * 512).label_map, scene.label_map)
    assert len({path.parent for path in paths.values()}) == 4  # nobody guesses another's folder


def test_a_model_without_styles_has_no_latents(painter, tmp_path):
    with pytest.raises(ValueError, match="no styles"):
        DOWNLOADS["Style"][1](Scene(IDS, None, 1.0), painter, tmp_path / "latents.safetensors")
