"""What is wrong is said in one line that names it, with status 2; broken rows can be left out instead."""

import pytest

from spade_hf.training import find_broken_rows

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
    message = "`mask` has label ids [99]; this label set knows ids 0..1, 4 and 255 (unknown)"
    return ("--num_validation_images", 6), "masks/2.png", message


def bad_file(folder):
    (folder / "masks" / "3.png").write_bytes(b"no image")
    # one batch of all rows, from a worker
    options = ("--dataloader_num_workers", 1, "--train_batch_size", 6, "--dry_run")
    return options, "masks/3.png", "column `label` holds an image that cannot be read"


def bad_column(folder):
    return ("--mask_column", "mask"), "", "--mask_column is 'mask'; the data set has the columns image, label"


def bad_batch(folder):
    return ("--train_batch_size", 7), "", "The data set has 6 rows, fewer than --train_batch_size 7."


def bad_checkpoint(folder):
    return ("--resume_from_checkpoint", "checkpoint-5"), "", "checkpoint-5 does not exist; available are: none."


def bad_perceptual(folder):
    return ("--perceptual_model", folder / "nowhere"), "nowhere", ""


def test_broken_rows_are_counted_across_an_interruption(start, tmp_path):
    """The checkpoint has those that were found before it, which the rest of the run does not read again."""
    folder = write_imagefolder(tmp_path / "pairs", mode="L")
    bad_file(folder)
    options = (*SMALL, "--dataset_name", folder, "--output_dir", tmp_path / "out", "--skip_broken")
    started = start(*options)
    started.state.broken_rows = [1]
    started.save()
    resumed = start(*options, "--resume_from_checkpoint", "checkpoint-0")
    assert resumed.dataset.is_broken[1]
    resumed.save()  # which reads all rows, for the batch statistics
    assert find_broken_rows(resumed.accelerator, resumed.dataset) == [1, 3]


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
