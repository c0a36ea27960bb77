"""What is wrong is said in one line that names it, with status 2; broken rows can be left out instead."""

import json
import resource

import pytest

from ..training_data import mask, write_imagefolder
from .programs import SMALL


def test_bad_options_are_one_line(run, tmp_path):
    result = run("--dataset_name", tmp_path, "--train_batch_size", 0)
    assert result.status == 2
    assert result.stderr == "error: --train_batch_size is 0; it must be 1 or more. See --help.\n"


def bad_ids(folder):
    image = mask(2)
    for x in range(48):
        for y in range(40):
            image.putpixel((x, y), 99)  # everywhere, so that no crop misses it
    image.save(folder / "masks" / "2.png")
    return (), "masks/2.png", "`mask` has label ids [99]; this label set knows ids 0..1, 4 and 255 (unknown)"


def bad_file(folder):
    (folder / "masks" / "3.png").write_bytes(b"no image")
    return ("--dataloader_num_workers", 1), "masks/3.png", "column `label` holds an image that cannot be read"


def bad_column(folder):
    return ("--mask_column", "mask"), "", "--mask_column is 'mask'; the data set has the columns image, label"


def bad_batch(folder):
    return ("--train_batch_size", 7), "", "The data set has 6 rows, fewer than --train_batch_size 7."


def bad_checkpoint(folder):
    return ("--resume_from_checkpoint", "checkpoint-5"), "", "checkpoint-5 does not exist; available are: none."


def bad_perceptual(folder):
    return ("--perceptual_model", folder / "nowhere"), "nowhere", ""


def test_skip_broken_trains_on_the_others(run, tmp_path, caplog):
    folder = write_imagefolder(tmp_path / "pairs", mode="L")
    bad_file(folder)
    options = ("--output_dir", tmp_path / "out", "--max_train_steps", 6)
    assert run(*SMALL, "--dataset_name", folder, *options, "--skip_broken").status == 0
    assert "Left out: Row 3 of the data set (" in caplog.text and "masks/3.png" in caplog.text
    assert "1 of 6 rows were broken and left out" in caplog.text
    assert "6 updates on 5 pairs" in (tmp_path / "out" / "README.md").read_text()


def test_broken_rows_are_counted_across_an_interruption(run, tmp_path, caplog):
    """The checkpoint has those that were found before it, which the rest of the run does not read again."""
    folder = write_imagefolder(tmp_path / "pairs", mode="L")
    bad_file(folder)
    options = (*SMALL, "--dataset_name", folder, "--output_dir", tmp_path / "out", "--skip_broken")
    assert run(*options, "--max_train_steps", 3).status == 0
    file = tmp_path / "out" / "checkpoint-3" / "training_state.json"
    state = json.loads(file.read_text())
    assert state["broken_rows"] == [3]
    file.write_text(json.dumps(state | {"broken_rows": [1]}))
    (file.parent / "checksums.json").unlink()
    assert run(*options, "--max_train_steps", 3, "--resume_from_checkpoint", "latest").status == 0
    assert "2 of 6 rows were broken and left out" in caplog.text
    assert "3 updates on 4 pairs" in (tmp_path / "out" / "README.md").read_text()


def test_a_full_disk_is_one_line(run, tmp_path):
    folder = write_imagefolder(tmp_path / "pairs")
    options = (*SMALL, "--dataset_name", folder, "--output_dir", tmp_path / "out")
    assert run(*options, "--max_train_steps", 1).status == 0  # the data are prepared
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))  # of each file
    try:
        result = run(*options, "--max_train_steps", 2, "--resume_from_checkpoint", "latest")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert result.status == 2 and "Traceback" not in result.stderr
    (error,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert error.startswith(f"error: checkpoint-2 cannot be written to {tmp_path / 'out'}: ")
    assert "checkpoint-1 is complete. Free space, or give --checkpoints_total_limit 1, " in error
    assert {path.name for path in (tmp_path / "out").glob("checkpoint-*")} == {"checkpoint-1"}


@pytest.mark.parametrize("damage", [bad_ids, bad_file, bad_column, bad_batch, bad_checkpoint, bad_perceptual])
def test_bad_input_is_one_line_and_status_2(damage, run, tmp_path):
    folder = write_imagefolder(tmp_path / "pairs", mode="L")
    options, name, message = damage(folder)
    result = run(
        *SMALL, "--dataset_name", folder, "--output_dir", tmp_path / "out", "--num_validation_images", 1, *options,
    )  # fmt: skip
    assert result.status == 2
    assert "Traceback" not in result.stderr
    errors = [line for line in result.stderr.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and result.stderr.splitlines()[-1].endswith(errors[0])
    assert name in errors[0] and message in errors[0]
