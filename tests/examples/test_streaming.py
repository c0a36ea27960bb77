"""Training from streams: of the Hub and of parquet files, stopped and gone on."""

import datasets
import pytest

from ..training_data import make_rows, write_labels
from .programs import SMALL
from .test_exact_resume import assert_same


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    """`datasets` waits five seconds for Arrow's threads at the end of every epoch of a stream."""
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.2)


def options(name, labels, output, *more, steps=5):
    return [*SMALL, "--dataset_name", name, "--label_set", labels, "--output_dir", output, "--streaming",
            "--shuffle_buffer_size", 3, "--max_train_steps", steps, "--checkpointing_steps", 1, *more]  # fmt: skip


def test_a_stopped_stream_goes_on_to_the_same_numbers(start, tmp_path):
    """In an epoch and at its end; samples and batch statistics read the stream in between."""
    make_rows(count=7).to_parquet(tmp_path / "train.parquet")  # three batches an epoch
    given = (tmp_path / "train.parquet", write_labels(tmp_path / "labels.json"))
    whole = start(*options(*given, tmp_path / "whole"))
    for _ in range(2):
        whole.train(2)
        whole.publisher.save_samples(whole.publisher.preview(), whole.state.global_step)
    expected = whole.save()
    for step in (2, 3, 4):
        resumed = start(*options(*given, tmp_path / "broken", "--resume_from_checkpoint", "latest"))
        resumed.train(step - resumed.state.global_step)
        found = resumed.save()
    assert_same(expected, found)


def test_a_stream_of_the_hub(run, hub, tmp_path):
    name = f"{hub.user}/pairs-to-stream"
    make_rows(mode="RGB").push_to_hub(name, token=hub.token)
    labels = write_labels(tmp_path / "labels.json")
    result = run(*options(name, labels, tmp_path / "out", "--dataloader_num_workers", 1, steps=2))
    assert result.status == 0 and (tmp_path / "out" / "checkpoint-2").is_dir()
    assert "2 updates on a stream of pairs" in (tmp_path / "out" / "README.md").read_text()


def test_a_stream_has_no_length(run, tmp_path):
    result = run(*SMALL, "--dataset_name", tmp_path, "--streaming")
    assert result.status == 2 and "--streaming needs --max_train_steps, as a stream has no length" in result.stderr


def test_a_dry_run_of_a_stream(run, tmp_path):
    make_rows().to_parquet(tmp_path / "train.parquet")
    labels = write_labels(tmp_path / "labels.json")
    result = run(*options(tmp_path / "train.parquet", labels, tmp_path / "out", "--dry_run"))
    assert result.status == 0 and "5 updates of 2 samples" in result.stderr.splitlines()
