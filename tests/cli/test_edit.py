"""`spade-hf edit`."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spade_hf import LabelSet
from spade_hf_cli import main


LABELS = LabelSet.from_name("landscapes")


@pytest.fixture
def masks(tmp_path: Path) -> tuple[Path, Path]:
    """Grass below sky, and a flower on sand, in colors."""
    ids = np.zeros((20, 30), np.uint8)
    ids[10:] = LABELS.id_of("grass")
    Image.fromarray(ids).save(tmp_path / "grass.png")
    ids[:] = LABELS.id_of("sand")
    ids[2:5, 3:7] = LABELS.id_of("flower")
    Image.fromarray(LABELS.colorize(ids)).save(tmp_path / "flower.png")
    return tmp_path / "grass.png", tmp_path / "flower.png"


@pytest.fixture
def edit(masks, tmp_path):
    """Run the command; the new mask."""

    def run(*options: object) -> np.ndarray:
        assert main(["edit", str(masks[0]), "--output", str(tmp_path / "new" / "mask.png"), *map(str, options)]) == 0
        return np.array(Image.open(tmp_path / "new" / "mask.png"))

    return run


def test_paste_replace_and_resize(edit, masks, tmp_path):
    options = ["--paste", masks[1], "--region", "flower", "--shift", 9, 1, "--replace", "grass=snow", "0=cloud"]
    new = edit(*options, "--size", 40, 60, "--instances", tmp_path / "instances.png")
    expected = np.full((20, 30), LABELS.id_of("cloud"))
    expected[10:] = LABELS.id_of("snow")
    expected[11:14, 4:8] = LABELS.id_of("flower")
    np.testing.assert_array_equal(new, np.kron(expected, np.ones((2, 2), int)))
    assert np.unique(np.array(Image.open(tmp_path / "instances.png"))).tolist() == [0, 1, 2]


def test_painted_as_by_hand(edit, tmp_path):
    first, again = edit("--painted", 3), edit("--painted", 3, "--overwrite")
    np.testing.assert_array_equal(first, again)
    assert set(np.unique(first)) <= {0, LABELS.id_of("grass")}


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--replace", "grass"], "write old=new, such as grass=snow"),
        (["--replace", "gras=snow"], "error: --replace is 'gras'; label set .* has sky"),
        (["--replace", "sky=snow", "0=water"], "--replace gives 0 twice"),
        (["--paste", "{flower}"], "give both"),
        (["--paste", "{flower}", "--region", "flour"], "error: --region is 'flour'; label set"),
        (["--region", "sky"], "--region belongs to --paste, which is missing"),
        (["--shift", "5", "5"], "--shift belongs to --paste, which is missing"),
        (["--paste", "nothing.png", "--region", "sky"], r"--paste is nothing\.png, which does not exist"),
        (["--paste", "{flower}", "--region", "sea"], "which .*flower.png does not have"),
        (["--instances", "x.jpg"], "allowed are .png"),
        (["--label-set", "nothing"], "is not a label set"),
    ],
)
def test_what_cannot_be_edited_is_one_line(masks, tmp_path, fails, options, match):
    typed = [option.format(flower=masks[1]) for option in options]
    fails("edit", masks[0], "--output", tmp_path / "new.png", *typed, match=match)
    assert not (tmp_path / "new.png").exists()


def test_a_mask_is_never_written_over(masks, fails):
    fails("edit", masks[0], "--output", masks[0], "--overwrite", match="which this command reads")


def test_more_instances_than_a_png_file_holds(tmp_path, fails):
    """65,536 areas fit 16 bits, 66,049 do not: their ids would begin at 0 again."""
    for side in (256, 257):
        board = (np.indices((side, side)).sum(axis=0) % 2).astype(np.uint8)
        Image.fromarray(board).save(tmp_path / f"{side}.png")
    files = {name: tmp_path / f"{name}.png" for name in ("labels", "instances")}
    options = ["--output", files["labels"], "--instances", files["instances"]]
    fails(
        "edit", tmp_path / "257.png", *options, match="--instances has 66049 ids, and a PNG file holds 65536 at most"
    )
    assert not files["labels"].exists() and not files["instances"].exists()
    assert main(["edit", str(tmp_path / "256.png"), *map(str, options)]) == 0
    assert len(np.unique(np.array(Image.open(files["instances"])))) == 65536


@pytest.mark.parametrize(
    ("option", "package"), [(("--painted", 3), "datasets"), (("--instances", "areas.png"), "skimage")]
)
def test_a_missing_extra_is_named_before_anything_is_written(masks, tmp_path, option, package, monkeypatch, fails):
    for name in [name for name in sys.modules if re.match(rf"{package}\b|spade_hf\.data\b", name)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delattr("spade_hf.data", raising=False)
    match = rf'{option[0]} needs the package {package}.*: pip install "\.\[train\]"'
    fails("edit", masks[0], "--output", tmp_path / "new.png", *option, match=match)
    assert not (tmp_path / "new.png").exists()
