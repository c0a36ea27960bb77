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


def test_masks_have_instance_maps_and_conditions_of_their_names(tmp_path: Path):
    """Conditions can be arrays; without masks, they stand for them."""
    for name in ("masks/a.png", "masks/b.png", "maps/a.png", "maps/b.png", "planes/a.npy", "planes/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    masks, maps, planes = (str(tmp_path / name) for name in ("masks", "maps", "planes"))
    for source in find_masks([masks], maps, planes):
        assert source.read and source.read_instances and source.read_condition
        for read, folder in ((source.read, masks), (source.read_instances, maps), (source.read_condition, planes)):
            assert Path(read()).parent == Path(folder) and Path(read()).stem == source.stem
    assert [(source.stem, source.read) for source in find_masks([], None, planes)] == [("a", None), ("b", None)]
    (tmp_path / "planes" / "b.png").unlink()
    with pytest.raises(ValueError, match="`condition` .* has no file for b. Add it."):
        find_masks([masks], None, planes)


def test_a_folder_of_documents(tmp_path: Path):
    (tmp_path / "notes.pdf").touch()
    with pytest.raises(ValueError, match=r"holds no image file"):
        images_in(tmp_path)
