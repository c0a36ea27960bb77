"""The same spoiled inputs in every run, half a minute of them; `python -m tests.fuzz` tries others for longer."""

import logging
from pathlib import Path
from random import Random

import numpy as np
import pytest

from spade_hf import LabelSet

from .fuzzing import MAX_PIXELS, Failure, run
from .targets import TARGETS


SEED = 18
COUNTS = {
    "mask_files": 400,
    "mask_values": 400,
    "picture_files": 400,
    "value_files": 300,
    "processor_options": 300,
    "masks_of_arrays": 300,
    "picture_values": 400,
    "uploads": 100,
    "scenes": 100,
    "browsers": 25,
    "checkpoints": 30,
    "convert_command": 15,
    "label_tables": 300,
    "class_tables": 300,
    "models": 40,
    "painted_masks": 40,
    "training_configs": 60,
    "file_names": 100,
}


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """Neither minutes for a file of 100 bytes that is a large image, nor log lines of diffusers."""
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", MAX_PIXELS)
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


def test_every_target_has_its_share():
    assert COUNTS.keys() == TARGETS.keys()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", COUNTS)
def test_spoiled_inputs_end_in_a_result_or_an_error_of_ours(name, tmp_path):
    result = run(name, TARGETS[name], tmp_path, seed=SEED, count=COUNTS[name])
    assert not result.failures, "\n".join(result.failures[:3])
    assert result.accepted + result.refused == COUNTS[name]


def raises_a_foreign_error(random: Random, folder: Path) -> None:
    {}["missing"]


def raises_what_numpy_says(random: Random, folder: Path) -> None:
    LabelSet.anonymous(3).colorize(np.zeros(2, np.int64)).reshape(7)


def leaves_half_a_file(random: Random, folder: Path) -> None:
    raise Failure("half a file")


def refuses(random: Random, folder: Path) -> None:
    LabelSet.anonymous(0)


@pytest.mark.parametrize("target", [raises_a_foreign_error, raises_what_numpy_says, leaves_half_a_file, refuses])
def test_what_counts_as_a_failure(target, tmp_path):
    result = run("it", target, tmp_path, seed=0, count=2)
    assert (len(result.failures), result.refused) == (0 if target is refuses else 2, 2)
    assert len(list(tmp_path.iterdir())) == len(result.failures)  # kept, to look at
