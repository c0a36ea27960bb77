"""Files that are written whole or not at all."""

import os
import time
from pathlib import Path

import pytest

from spade_hf.files import LEFTOVER_AGE, UNFINISHED, atomic, remove_leftovers, write_text


def test_a_file_appears_whole_and_its_folder_is_made(tmp_path: Path):
    path = tmp_path / "new" / "figures.json"
    with atomic(path) as unfinished:
        unfinished.write_text("half")
        assert not path.exists() and unfinished.parent == path.parent
        unfinished.write_text("whole")
    assert path.read_text() == "whole" and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_after_an_error_the_old_file_is_as_before(tmp_path: Path, error: type[BaseException]):
    path = tmp_path / "figures.json"
    path.write_text("old")
    with pytest.raises(error, match="full"), atomic(path) as unfinished:
        unfinished.write_text("half")
        raise error("full")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_text_is_utf8(tmp_path: Path):
    write_text(tmp_path / "new" / "table.md", "Wiese, grün\n")
    assert (tmp_path / "new" / "table.md").read_bytes() == "Wiese, grün\n".encode()
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path):
    path = tmp_path / "a.png"
    with atomic(path) as slow:
        slow.write_text("slow")
        with atomic(path) as fast:
            fast.write_text("fast")
        assert slow != fast and path.read_text() == "fast"
    assert path.read_text() == "slow"


@pytest.mark.parametrize("name", ["ä" * 120 + ".png", "x" * 255])
def test_a_name_as_long_as_the_file_system_allows(tmp_path: Path, name: str):
    with atomic(tmp_path / name) as unfinished:
        unfinished.write_text("whole")
    assert (tmp_path / name).read_text() == "whole"


def test_files_have_the_permissions_that_files_get_here(tmp_path: Path):
    """A temporary file of `tempfile` would be readable by its owner alone."""
    (tmp_path / "plain").write_text("")
    with atomic(tmp_path / "written") as unfinished:
        unfinished.write_text("")
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_leftovers_are_removed_if_ours_and_old(tmp_path: Path):
    with pytest.raises(OSError, match="full"), atomic(tmp_path / "a.png") as unfinished:
        raise OSError("full")
    kept = ["mine.unfinished", "mine.unfinished.png", "a.png", f"young.{'0' * 16}.unfinished"]
    for name in [*kept, unfinished.name]:
        (tmp_path / name).write_text("")
        age = 0 if name.startswith("young") else LEFTOVER_AGE + 10
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    assert UNFINISHED.fullmatch(unfinished.name)
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
