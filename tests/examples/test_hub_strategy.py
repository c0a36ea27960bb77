"""What the training script pushes: the model, a revision for each checkpoint, or the newest checkpoint, to resume."""

import json

import numpy as np
import pytest
import torch
from accelerate.tracking import LOGGER_TYPE_TO_CLASS
from huggingface_hub import CommitOperationAdd, HfApi, ModelCard, hf_hub_download
from huggingface_hub.errors import HTTPError
from PIL import Image

from spade_hf import SPADEGenerator, SPADEPipeline
from spade_hf.training import DamagedCheckpointError, RevisionUploads, download_checkpoint, upload

from ..file_tracker import FileTracker, lines
from ..training_data import LABELS, make_rows, mask, real_image, write_labels
from .programs import SMALL
from .test_pushed_card import metadata, shown_in


def load(repo_id, **options):
    return SPADEPipeline.from_pretrained(repo_id, **options)


def differing(first, second):
    """Names of parameters; batch statistics are estimated for each pipeline."""
    ours, others = dict(first.named_parameters()), dict(second.named_parameters())
    assert ours.keys() == others.keys()
    return [name for name in ours if not torch.allclose(ours[name], others[name], rtol=1e-6, atol=1e-7)]


@pytest.fixture(scope="module")
def pushed(run, hub, tmp_path_factory):
    """A private model on the Hub, of two updates on a data set on the Hub, with a revision for each of them.

    Its repository, its folder, and the run's result.
    """
    folder, data = tmp_path_factory.mktemp("pushed"), f"{hub.user}/pairs-to-push"
    make_rows(mode="RGB").push_to_hub(data, token=hub.token)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", hub.token)
        patch.setitem(LOGGER_TYPE_TO_CLASS, FileTracker.name, FileTracker)
        result = run(
            *SMALL, "--dataset_name", data, "--label_set", write_labels(folder / "labels.json"), "--output_dir",
            folder / "toy-model", "--max_train_steps", 2, "--checkpointing_steps", 1, "--validation_steps", 1,
            "--log_steps", 1, "--report_to", FileTracker.name, "--push_to_hub", "--hub_private_repo", "--license",
            "cc0-1.0", "--hub_strategy", "every_save",
        )  # fmt: skip
    return f"{hub.user}/toy-model", folder / "toy-model", result


@pytest.fixture(autouse=True)
def login(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)


def test_push_to_hub_and_back(pushed, hub):
    """From a data set on the Hub to a model on the Hub, with a card that says what it is."""
    repo_id, _, result = pushed
    assert result.status == 0, result.stderr
    assert f"Uploaded to {hub.url}/{repo_id}\n" in result.stdout
    files = set(HfApi().list_repo_files(repo_id))
    assert {"README.md", "model_index.json", "generator/config.json", "samples/final.png"} <= files
    assert not [name for name in files if "checkpoint-" in name or "step-" in name or name.endswith((".bin", ".pkl"))]
    assert HfApi().model_info(repo_id).private

    card = ModelCard.load(repo_id)
    data = f"{hub.user}/pairs-to-push"
    assert (card.data.license, card.data.library_name, card.data.datasets) == ("cc0-1.0", "spade-hf", [data])
    assert card.data.pipeline_tag == "image-to-image"
    assert "`import spade_hf`" in card.text.strip().splitlines()[2]  # at the top
    for text in (f'SPADEPipeline.from_pretrained("{repo_id}")', "| 4 | rock | `#804000` |", "2 updates on 6 pairs",
                 "| learning_rate | 0.0001 |", "](samples/final.png)", 'style_image="style.jpg"'):  # fmt: skip
        assert text in card.text
    assert load(repo_id)(mask(0), style_image=real_image(0)).images[0].size == (32, 32)


def test_a_revision_for_each_checkpoint(pushed, hub):
    repo_id, output, _ = pushed
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


def test_a_gallery_of_pictures_with_their_masks(pushed):
    repo_id, *_ = pushed
    data, text = metadata(repo_id)
    assert [example["output"]["url"] for example in data["widget"]] == [
        "samples/gallery-1.png",
        "samples/gallery-2.png",
    ]
    mask, image = (hf_hub_download(repo_id, f"samples/gallery-1{what}.png") for what in ("-mask", ""))
    assert "| ![Mask 1](samples/gallery-1-mask.png) | ![Mask 1, painted](samples/gallery-1.png) |" in text
    assert Image.open(image).size == (32, 32)
    colors = {tuple(color) for color in np.array(Image.open(mask)).reshape(-1, 3)}
    assert colors <= {tuple(color) for color in LABELS.palette.tolist()}
    assert "losses.png" in shown_in(text) <= set(HfApi().list_repo_files(repo_id))
    again = load(repo_id)(mask, height=32, width=32).images[0]  # it can be painted with
    assert again.size == (32, 32)


def test_a_tracker_gets_numbers_and_images(pushed):
    _, output, _ = pushed
    first, second = lines(output / "logs")
    assert (first["step"], second["step"]) == (1, 2) and first["images_per_second"] > 0
    assert {"kl", "feature_matching", "real_logits", "discriminator_learning_rate"} <= first.keys()
    assert json.loads((output / "logs" / "options.json").read_text())["report_to"] == "file"
    for step in (1, 2):
        grids = (output / "logs" / f"validation-{step}.png", output / "samples" / f"step-000000{step}.png")
        assert np.array_equal(*(np.array(Image.open(file)) for file in grids))
    assert (output / "logs" / "finished").exists()


def test_only_the_end_by_default(start, data, hub, tmp_path):
    started = start(*SMALL, "--dataset_name", data, "--output_dir", tmp_path / "plain", "--push_to_hub")
    started.train(1)
    started.publisher.push(started.save(), 1)
    started.publisher.save(1)
    upload(tmp_path / "plain", started.publisher.repo_id)
    repo = hub.repos["models", f"{hub.user}/plain"]
    assert set(repo.refs) == {"main"} and "model_index.json" in repo.commits[repo.refs["main"]]


@pytest.fixture
def checkpoint_on_hub(start, data, hub, tmp_path):
    """A function that pushes the checkpoints of two updates of a run with this name; returns its repository."""

    def checkpoint_on_hub(name):
        options = ("--dataset_name", data, "--output_dir", tmp_path / name, "--push_to_hub")
        started = start(*SMALL, *options, "--hub_strategy", "checkpoint")
        for step in (1, 2):
            started.train(1)
            started.publisher.push(started.save(), step)
            assert started.publisher.uploads.wait()
        return hub.repos["models", f"{hub.user}/{name}"]

    return checkpoint_on_hub


def test_a_partial_upload_is_not_resumed_from(checkpoint_on_hub, run, start, data, hub, tmp_path):
    repo = checkpoint_on_hub("torn")
    newest = repo.commits[repo.refs["last-checkpoint"]]
    older = next(
        files for files in repo.commits.values() if files.get("optimizer.bin") not in (None, newest["optimizer.bin"])
    )
    torn = {
        "training_state.json is newer": older | {"training_state.json": newest["training_state.json"]},
        "optimizer.bin is newer": older | {"optimizer.bin": newest["optimizer.bin"]},
        "checksums.json is newer": older | {"checksums.json": newest["checksums.json"]},
        "a file is missing": {name: file for name, file in newest.items() if name != "optimizer.bin"},
        "no checksums": {name: file for name, file in newest.items() if name != "checksums.json"},
        "nothing yet": repo.commits[repo.refs["main"]],
    }
    message = rf"^Revision 'last-checkpoint' of '{hub.user}/torn' \(commit .* is not a complete checkpoint: "
    for what, files in torn.items():
        repo.commit("last-checkpoint", files)
        with pytest.raises(DamagedCheckpointError, match=message):
            pytest.fail(f"{what}: {download_checkpoint('torn')}")
    resumed = (*SMALL, "--dataset_name", data, "--output_dir", tmp_path / "second" / "torn", "--push_to_hub",
               "--resume_from_checkpoint", "hub", "--max_train_steps", 3)  # fmt: skip
    result = run(*resumed)
    assert result.status == 2 and "error: Revision 'last-checkpoint' of " in result.stderr
    assert "--resume_from_checkpoint FOLDER" in result.stderr
    assert not (tmp_path / "second").exists()

    repo.commit("last-checkpoint", newest)
    assert start(*resumed).state.global_step == 2


def test_no_old_download_while_the_hub_is_away(checkpoint_on_hub, hub, monkeypatch):
    checkpoint_on_hub("away")
    download_checkpoint(f"{hub.user}/away")  # now it is in the cache
    monkeypatch.setattr(HfApi, "model_info", refuse)
    with pytest.raises(ValueError, match=r"cannot be downloaded: no network\."):
        download_checkpoint(f"{hub.user}/away")


def refuse(*_, **__):
    raise HTTPError("no network")


def test_an_upload_that_fails_half_way_leaves_the_checkpoint_before(hub, monkeypatch, tmp_path, caplog):
    """The commit names all files at once: without it, the Hub shows none of what was uploaded."""
    uploads = RevisionUploads(HfApi().create_repo("halfway").repo_id)
    for step in (1, 2):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "weights.safetensors").write_bytes(b"%d" % step)
        (folder / f"only-{step}.json").write_text("{}")
        if step == 2:
            monkeypatch.setattr(HfApi, "create_commit", fail_after_the_files)
        uploads.start(folder, "last-checkpoint", name=folder.name)
        assert uploads.wait() is (step == 1)
    repo = hub.repos["models", uploads.repo_id]
    assert b"2" in hub.lfs_objects.values()
    files = repo.commits[repo.refs["last-checkpoint"]]
    assert set(files) == {".gitattributes", "weights.safetensors", "only-1.json"}
    assert files["weights.safetensors"].data == b"1"
    assert "checkpoint-2 was not uploaded to alice/halfway: the line is dead." in caplog.text


def fail_after_the_files(api, repo_id, operations, *, revision, **_):
    additions = [operation for operation in operations if isinstance(operation, CommitOperationAdd)]
    api.preupload_lfs_files(repo_id, additions, revision=revision)
    raise ConnectionError("the line is dead")


def test_nothing_to_resume_from(run, data, hub, monkeypatch, tmp_path):
    def resume(name, *more):
        options = ("--output_dir", tmp_path / name, "--push_to_hub", "--resume_from_checkpoint", "hub", *more)
        return run(*SMALL, "--dataset_name", data, *options)

    result = resume("nowhere")
    assert result.status == 2
    assert result.stderr.splitlines()[-1].startswith(
        f"error: There is no repository '{hub.user}/nowhere' to resume from, or it is private and you are not logged "
        "in. Name it with --hub_model_id, log in with `hf auth login`, or start without --resume_from_checkpoint."
    )
    assert ("models", f"{hub.user}/nowhere") not in hub.repos

    HfApi().create_repo("fresh")
    result = resume("fresh")
    assert result.status == 2
    assert f"The repository '{hub.user}/fresh' has no revision 'last-checkpoint' to resume from" in result.stderr

    result = resume("moved", "--hub_model_id", "bad name/x/y")
    assert result.status == 2 and "cannot be downloaded: Repo id must" in result.stderr
    monkeypatch.delenv("HF_TOKEN")
    result = resume("fresh")
    assert result.status == 2 and "Name the repository as owner/name with --hub_model_id, or log in" in result.stderr
