"""The training script with `--hub_strategy every_save`: each checkpoint's pipeline is a revision on the Hub."""

import shutil

import pytest
import torch
from huggingface_hub import HfApi, ModelCard, hf_hub_download

from spade_hf import SPADEGenerator, SPADEPipeline

from ..training_data import write_imagefolder
from .test_train_spade import SMALL, run  # noqa: F401 (a fixture)


@pytest.fixture
def push(run, hub, monkeypatch, tmp_path):  # noqa: F811
    """Train two updates with a checkpoint after each, and push; the run's result, its repository and folder."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    data = write_imagefolder(tmp_path / "pairs")

    def push(name, *more):
        result = run(
            *SMALL, "--dataset_name", data, "--output_dir", tmp_path / name, "--max_train_steps", 2,
            "--checkpointing_steps", 1, "--push_to_hub", *more,
        )  # fmt: skip
        return result, f"{hub.user}/{name}", tmp_path / name

    return push


def load(repo_id, **options):
    return SPADEPipeline.from_pretrained(repo_id, **options)


def differing(first, second):
    """Names of parameters; batch statistics are estimated for each pipeline."""
    ours, others = dict(first.named_parameters()), dict(second.named_parameters())
    assert ours.keys() == others.keys()
    return [name for name in ours if not torch.allclose(ours[name], others[name], rtol=1e-6, atol=1e-7)]


def test_a_revision_for_each_checkpoint(push, hub):
    result, repo_id, output = push("steps", "--hub_strategy", "every_save")
    assert result.status == 0
    first, second = (load(repo_id, revision=f"step-000000{step}") for step in (1, 2))
    assert differing(first.generator, second.generator) and differing(first.style_encoder, second.style_encoder)
    assert differing(second.generator, load(repo_id).generator) == []  # the end of the run is the last checkpoint
    average = SPADEGenerator.from_pretrained(str(output / "checkpoint-1"), subfolder="generator_ema")
    average.fuse_spectral_norm()
    assert differing(first.generator, average) == []

    card = ModelCard.load(hf_hub_download(repo_id, "README.md", revision="step-0000001"))
    assert (
        f'from_pretrained("{repo_id}", revision="step-0000001")' in card.text and "1 updates on 6 pairs" in card.text
    )
    for revision in ("main", "step-0000001", "step-0000002"):
        files = HfApi().list_repo_files(repo_id, revision=revision)
        assert {"model_index.json", "samples/final.png"} <= set(files)
        assert not [name for name in files if "checkpoint-" in name or name.endswith((".bin", ".pkl"))]
    assert set(hub.repos["models", repo_id].refs) == {"main", "step-0000001", "step-0000002"}


def test_a_repeated_step_gets_a_new_commit(push):
    _, repo_id, output = push("again", "--hub_strategy", "every_save")
    before = load(repo_id, revision="step-0000001")
    shutil.rmtree(output)
    result, *_ = push("again", "--hub_strategy", "every_save", "--seed", 1)
    assert result.status == 0
    assert differing(before.generator, load(repo_id, revision="step-0000001").generator)


def test_a_failed_upload_costs_a_warning(push, hub, caplog):
    api = HfApi(token=hub.token)
    repo_id = api.create_repo("refused").repo_id
    hub.repos["models", repo_id].refs["step-0000001"] = "lost"  # a branch whose commit is gone
    result, *_ = push("refused", "--hub_strategy", "every_save")
    assert result.status == 0
    (warning,) = [record.getMessage() for record in caplog.records if "was not uploaded" in record.getMessage()]
    assert warning.startswith(f"Revision step-0000001 was not uploaded to {repo_id}: ") and "404" in warning
    assert differing(load(repo_id, revision="step-0000002").generator, load(repo_id).generator) == []


def test_only_the_end_by_default(push, hub):
    result, repo_id, _ = push("plain")
    assert result.status == 0 and set(hub.repos["models", repo_id].refs) == {"main"}


def test_the_upload_at_the_end_must_not_fail(push, hub):
    repo_id = HfApi(token=hub.token).create_repo("broken").repo_id
    hub.repos["models", repo_id].refs["main"] = "lost"
    with pytest.raises(Exception, match="404"):
        push("broken")
