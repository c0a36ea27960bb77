"""Pipelines of averaged networks, and what is uploaded of a run while it trains."""

import json
import resource
import tempfile

import pytest
import torch

from spade_hf import SPADEPipeline
from spade_hf.hub.repositories import open_repository
from spade_hf.training import ModelEMA, Publisher, RevisionUploads, TrainingRecipe
from spade_hf.training.publishing import export_pipeline

from ..training_data import LABELS, make_dataset, make_networks, mask


def averages():
    networks = make_networks()
    return {name: ModelEMA(networks[name], 0.9) for name in ("generator", "style_encoder")}


def test_the_pipeline_is_fused_saved_and_paints(tmp_path):
    ours = averages()
    before = {name: value.clone() for name, value in ours["generator"].model.state_dict().items()}
    pipeline = export_pipeline(ours, make_dataset(), 2, num_batches=3)
    assert not pipeline.generator.config.use_spectral_norm and not pipeline.style_encoder.config.use_spectral_norm
    assert not [name for name in pipeline.generator.state_dict() if "parametrizations" in name]
    after = ours["generator"].model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)  # what is trained is not touched

    pipeline.save_pretrained(str(tmp_path))
    loaded = SPADEPipeline.from_pretrained(str(tmp_path))
    z = torch.zeros(1, 4)
    expected, found = (one(mask(0), latents=z, output_type="pt").images for one in (pipeline, loaded))
    torch.testing.assert_close(found, expected)
    assert found.shape == (1, 3, 32, 32) and found.std() > 0
    assert loaded.image_processor.label_set == LABELS


def test_statistics_are_estimated_from_the_data_and_repeat():
    pipelines = [export_pipeline(averages(), make_dataset(), 2, num_batches=2) for _ in range(2)]
    first, second = (one.generator.state_dict() for one in pipelines)
    assert all(torch.equal(first[name], second[name]) for name in first)
    counts = {value.item() for name, value in first.items() if name.endswith("num_batches_tracked")}
    assert counts == {2}
    more = export_pipeline(averages(), make_dataset(), 2, num_batches=3).generator.state_dict()
    assert any(not torch.equal(first[name], more[name]) for name in first if "running_mean" in name)


@pytest.fixture
def publish(hub, monkeypatch, tmp_path):
    """A function that returns the publisher of a run with a strategy, its repository, and a checkpoint of the run."""
    monkeypatch.setenv("HF_TOKEN", hub.token)

    def publish(name, strategy):
        repo_id = open_repository(name, private=False)
        recipe = TrainingRecipe(
            dataset_name="x", pretrained_model_name_or_path=None, license=None, train_batch_size=2, settings={}
        )
        dataset, output_dir = make_dataset(), tmp_path / "run"
        checkpoint = output_dir / "checkpoint-1"
        checkpoint.mkdir(parents=True)
        (checkpoint / "optimizer.bin").write_bytes(b"momentum")
        for file in ("arguments.json", "checksums.json"):
            (checkpoint / file).write_text(json.dumps({"output_dir": str(output_dir)}))
        publisher = Publisher(
            averages(), dataset, [dataset[0], dataset[1]], recipe=recipe, output_dir=output_dir, repo_id=repo_id,
            uploads=RevisionUploads(repo_id), hub_strategy=strategy,
        )  # fmt: skip
        return publisher, hub.repos["models", repo_id], checkpoint

    return publish


def test_each_save_is_a_revision(publish):
    publisher, repo, checkpoint = publish("each-save", "every_save")
    for step in (1, 2):
        publisher.push(checkpoint, step)
        assert publisher.uploads.wait()
    assert set(repo.refs) == {"main", "step-0000001", "step-0000002"}
    assert not publisher.push_last(checkpoint) and set(repo.refs) == {"main", "step-0000001", "step-0000002"}
    assert "optimizer.bin" not in repo.commits[repo.refs["step-0000002"]]


def test_the_newest_checkpoint_is_one_revision(publish):
    publisher, repo, checkpoint = publish("newest", "checkpoint")
    publisher.push(checkpoint, 1)
    assert publisher.uploads.wait() and set(repo.refs) == {"main", "last-checkpoint"}
    before = repo.refs["last-checkpoint"]
    (checkpoint / "optimizer.bin").write_bytes(b"more momentum")
    assert publisher.push_last(checkpoint)
    files = repo.commits[repo.refs["last-checkpoint"]]
    assert repo.refs["last-checkpoint"] != before and files["optimizer.bin"].data == b"more momentum"
    assert json.loads(files["arguments.json"].data) == {"output_dir": "run"}
    assert json.loads((checkpoint / "arguments.json").read_text()) == {"output_dir": str(checkpoint.parent)}


def test_copies_are_staged_beside_the_checkpoints(publish, monkeypatch, tmp_path):
    """Not in the folder for temporary files, which can be small; what a killed run left is deleted."""
    left = tmp_path / "run" / ".upload-abcdefgh"
    left.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "full"))  # it does not even exist
    publisher, repo, checkpoint = publish("staged", "every_save")
    assert not left.exists()
    publisher.push(checkpoint, 1)
    assert publisher.uploads.wait() and {path.name for path in tmp_path.joinpath("run").iterdir()} == {checkpoint.name}
    assert SPADEPipeline.from_pretrained(publisher.repo_id, revision="step-0000001").generator is not None


@pytest.mark.parametrize(
    ("strategy", "name"), [("every_save", "Revision step-0000001"), ("checkpoint", "checkpoint-1")]
)
def test_a_copy_that_cannot_be_written_costs_a_warning(strategy, name, publish, monkeypatch, caplog):
    """As on a full disk: no file of the copy can have a single byte. The end of the run is pushed nevertheless."""
    publisher, repo, checkpoint = publish(f"full-{strategy}".replace("_", "-"), strategy)
    before, mkdtemp = resource.getrlimit(resource.RLIMIT_FSIZE), tempfile.mkdtemp

    def full(*given, **options):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        return mkdtemp(*given, **options)

    try:
        monkeypatch.setattr("spade_hf.training.publishing.tempfile.mkdtemp", full)
        publisher.push(checkpoint, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    (warning,) = [text for text in caplog.messages if "was not uploaded" in text]
    assert warning.startswith(f"{name} was not uploaded to {publisher.repo_id}: {name}'s copy cannot be written to ")
    assert "Training continues" in warning
    assert {path.name for path in checkpoint.parent.iterdir()} == {checkpoint.name} and set(repo.refs) == {"main"}
    publisher.save(1)
    assert (checkpoint.parent / "model_index.json").is_file()
