"""`spade-hf edit`."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spade_hf import LabelSet
from spade_hf_cli import main


LABELS = LabelSet.from_name("landscapes")


@pytest.fixture
def masks(tmp_path: Path) -> tuple[Path, Path]:
    """Grass below sky, and a flower on sand, in colours."""
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
        (["--replace", "gras=snow"], "gras"),
        (["--paste", "{flower}"], "give both"),
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
