"""Masks of folders."""

from pathlib import Path

import pytest

from spade_hf_cli.commands.mask_sources import find_masks, images_in


def test_a_folder_has_its_images_alone(tmp_path: Path):
    """No hidden files, and no documents or data, whose suffixes Pillow registers, too."""
    for name in ("a.png", "b.JPG", "c.webp", "._a.png", ".d.png", "n.pdf", "n.ps", "n.eps", "n.h5", "n.mpg", "n.txt"):
        (tmp_path / name).touch()
    assert [Path(file).name for file in images_in(tmp_path)] == ["a.png", "b.JPG", "c.webp"]
    assert [source.stem for source in find_masks([str(tmp_path)])] == ["a", "b", "c"]


def test_a_folder_of_documents(tmp_path: Path):
    (tmp_path / "notes.pdf").touch()
    with pytest.raises(ValueError, match=r"holds no image file"):
        images_in(tmp_path)
