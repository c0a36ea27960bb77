"""The training script as people run it: what it says and leaves, and what it builds for data sets of every layout."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import HfApi
from PIL import Image
from safetensors.torch import save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import spade_hf_cli
from spade_hf import ConcatenationGenerator, Pix2PixHDGenerator, SPADEGenerator, SPADEPipeline
from spade_hf.features.vgg import VGG19Features
from spade_hf.losses import TERMS, Term
from spade_hf.training.monitoring import read_metrics
from spade_hf_cli.train.parser import build_parser, parse_args

from ..training_data import LABELS, make_rows, mask, real_image, write_imagefolder, write_labels
from .programs import SMALL, TRAINED, checkpoints


def without(options, *names):
    """Options without some of them and their values."""
    kept, skipping = [], False
    for word in options:
        if str(word).startswith("--"):
            skipping = word in names
        if not skipping:
            kept.append(word)
    return kept


STYLE_ENCODER = ("--style_encoder_image_size", "--style_encoder_channel_mult")


def test_what_a_run_leaves(trained):
    output, result = trained
    assert checkpoints(output) == {"checkpoint-2", "checkpoint-4", "checkpoint-5"}  # the last one is always saved
    state = json.loads((output / "checkpoint-5" / "training_state.json").read_text())
    # six rows in batches of two: three batches an epoch
    assert state == {
        "global_step": 5, "epoch": 1, "samples_done": 4, "broken_rows": [], "num_processes": 1, "total_limit": 3
    }  # fmt: skip
    arguments = json.loads((output / "checkpoint-5" / "arguments.json").read_text())
    assert arguments["base_channels"] == 8 and arguments["resolution"] == [64, 64]
    assert {path.name for path in (output / "samples").iterdir()} == {
        "step-0000002.png",
        "step-0000004.png",
        "final.png",
        *(f"gallery-{number}{kind}.png" for number in range(1, 5) for kind in ("", "-mask")),
    }
    assert "Traceback" not in result.stderr
    rows = read_metrics(output / "metrics.csv")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    assert {"kl", "adversarial", "discriminator_real", "generator_loss", "learning_rate"} < rows[0].keys()
    assert "](losses.png)" in (output / "README.md").read_text(encoding="utf-8")
    with Image.open(output / "losses.png") as image:
        assert image.width > 600


def test_what_a_run_says(trained):
    """Lines that fit a terminal, and what to type next."""
    output, result = trained
    assert result.stdout.splitlines() == [
        "Loading the data and the networks ...",
        "Photographs of 48x40 (width x height) are resized to 86x72, then cropped to 64x64: 66% of each is seen.",
        f"Saved the model to {output}; its samples: {output}/samples/final.png",
        f"Paint with it: spade-hf generate MASK --model {output}",
    ]
    steps = [line for line in result.stderr.splitlines() if "s/update" in line]
    assert len(steps) == 5 and max(map(len, steps)) <= 100
    for number, line in enumerate(steps, start=1):
        assert re.fullmatch(
            rf"\d\d:\d\d:\d\d INFO step {number}/5: \S+ s/update, generator \S+, discriminator \S+", line
        )
    assert "Training:" not in result.stderr  # the bar is for terminals
    assert "Repo card metadata" not in result.stderr


def test_each_checkpoint_paints(trained, tmp_path, capsys):
    """In the averaged weights, with the batch statistics of their own, as the samples of that step."""
    output = trained[0]
    for step in (2, 5):
        checkpoint = output / f"checkpoint-{step}"
        average = SPADEGenerator.from_pretrained(str(checkpoint), subfolder="generator_ema")
        average.fuse_spectral_norm()
        saved = SPADEPipeline.from_pretrained(str(checkpoint)).generator
        torch.testing.assert_close(dict(saved.named_parameters()), dict(average.named_parameters()))
        statistics, live = dict(saved.named_buffers()), dict(average.named_buffers())
        counts = {value.item() for name, value in statistics.items() if name.endswith("num_batches_tracked")}
        assert counts == {3}  # the data set has three batches
        assert all(not torch.equal(statistics[name], live[name]) for name in live if name.endswith("running_var"))
    mask(0, (64, 64)).save(tmp_path / "mask.png")
    painted = tmp_path / "painted.png"
    assert (
        spade_hf_cli.main(
            ["generate", str(tmp_path / "mask.png"), "--model", str(checkpoint), "--output", str(painted)]
        )
        == 0
    )
    with Image.open(painted) as image:
        assert image.size == (64, 64) and np.array(image).std() > 0
    assert json.loads((checkpoint / "checksums.json").read_text()).keys() >= {
        "model_index.json",
        "generator/diffusion_pytorch_model.safetensors",
        "image_processor/preprocessor_config.json",
    }


def test_a_run_is_not_overwritten_by_accident(trained, run, start, data, tmp_path):
    output = tmp_path / "copy"
    shutil.copytree(trained[0], output)
    (output / "notes.txt").write_text("mine")
    options = (*SMALL, "--dataset_name", data, "--output_dir", output, "--max_train_steps", 1)
    before = sorted(output.rglob("*"))
    result = run(*options)
    assert result.status == 2 and sorted(output.rglob("*")) == before
    (error,) = result.stderr.splitlines()
    assert error == (
        f"error: --output_dir {output} holds a run: continue it with --resume_from_checkpoint latest, delete it with "
        "--overwrite_output_dir, or give another folder."
    )
    assert run(*options, "--dry_run").status == 0 and sorted(output.rglob("*")) == before
    started = start(*options, "--overwrite_output_dir")
    assert checkpoints(output) == set() and not (output / "samples").exists()
    checkpoint = started.save()
    started.publisher.save(0)
    assert checkpoints(output) == {"checkpoint-0"} and (output / "notes.txt").is_file()
    assert {path.name for path in (output / "samples").iterdir()} == {
        "final.png",
        *(f"gallery-{number}{kind}.png" for number in (1, 2) for kind in ("", "-mask")),
    }
    assert not json.loads((checkpoint / "arguments.json").read_text())["overwrite_output_dir"]


def test_files_that_no_run_wrote_are_kept(run, start, data, tmp_path):
    """Also if the run in the folder is to be overwritten."""
    output = tmp_path / "own"
    for name in ("README.md", "samples/holiday.jpg", "generator/code.py"):
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_text("mine")
    options = (*SMALL, "--dataset_name", data, "--output_dir", output, "--max_train_steps", 1)
    for more in ((), ("--overwrite_output_dir",), ("--resume_from_checkpoint", "latest")):
        result = run(*options, *more)
        assert result.status == 2 and result.stderr == (
            f"error: --output_dir {output} has files that no run wrote and this one would replace: README.md. Move "
            "them, or give another folder.\n"
        )
    (output / "README.md").rename(output / "notes.md")
    for _ in range(2):
        started = start(*options, "--overwrite_output_dir")
        assert checkpoints(output) == set()
        started.save()
        started.publisher.save(0)
        assert all((output / name).read_text() == "mine" for name in (
            "notes.md", "samples/holiday.jpg", "generator/code.py"))  # fmt: skip
        assert "Trained with the `spade_hf` library on" in (output / "README.md").read_text()


def test_nothing_left_to_train(trained, run, data, tmp_path):
    shutil.copytree(trained[0], tmp_path / "out")
    options = (*TRAINED, "--dataset_name", data, "--output_dir", tmp_path / "out")
    result = run(*options, "--resume_from_checkpoint", "latest", "--max_train_steps", 4)
    assert result.status == 0
    assert result.stdout.splitlines()[2] == (
        "Nothing to train: 5 updates are done, and this command asks for 4. To continue, give --max_train_steps above "
        "5."
    )
    assert "5 updates on 6 pairs" in (tmp_path / "out" / "README.md").read_text()


def test_the_final_pipeline_paints(trained):
    pipeline = SPADEPipeline.from_pretrained(str(trained[0]))
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline.image_processor.label_set.id2label == LABELS.id2label
    for mode in ("L", "RGB"):
        image = pipeline(mask(0, (64, 64), mode), style_image=real_image(1)).images[0]
        assert image.size == (64, 64) and np.array(image).std() > 0
    first, second = (
        pipeline(mask(0), style_image=real_image(1), height=height, output_type="pt").images for height in (64, 96)
    )
    assert first.isfinite().all() and second.shape == (1, 3, 96, 128)  # of a 40x48 mask


def test_the_final_pipeline_is_the_average(trained):
    """Not the live network, and with the values that spectral norm makes of its weights."""
    saved = SPADEPipeline.from_pretrained(str(trained[0])).generator
    average = SPADEGenerator.from_pretrained(str(trained[0] / "checkpoint-5"), subfolder="generator_ema")
    live = SPADEGenerator.from_pretrained(str(trained[0] / "checkpoint-5"), subfolder="generator_live")
    average.fuse_spectral_norm()
    live.fuse_spectral_norm()
    torch.testing.assert_close(dict(saved.named_parameters()), dict(average.named_parameters()))
    assert not torch.equal(saved.linear_in.weight, live.linear_in.weight)


@pytest.fixture
def resume(trained, start, tmp_path):
    """A function that goes on from the last checkpoint of the trained run, with some options."""
    shutil.copytree(trained[0], tmp_path / "copy")
    options = (*TRAINED, "--output_dir", tmp_path / "copy", "--resume_from_checkpoint", "latest")
    return lambda *more: start(*options, *more)


def test_resuming_with_other_options_warns(resume, data, caplog):
    more = ("--seed", 7, "--augment_discriminator", "color", "cutout", "--max_train_steps", 9)
    assert resume("--dataset_name", data, *more).state.global_step == 5
    [warning] = [record.message for record in caplog.records if "Other options" in record.message]
    assert "--seed 7 (checkpoint: 0)" in warning and "color cutout (checkpoint: none)" in warning
    assert "train_steps" not in warning and "output_dir" not in warning


def test_resuming_on_other_data_of_the_same_name_warns(resume, data, tmp_path, caplog):
    village = write_imagefolder(tmp_path / "village" / data.name, count=5)
    shutil.copytree(data, tmp_path / "moved")
    resume("--dataset_name", tmp_path / "moved")
    assert "Other data" not in caplog.text
    resume("--dataset_name", village)
    assert (
        "Other data than the checkpoint's, so this does not repeat an uninterrupted run: the number of rows was 6"
        in (caplog.text)
    )


@pytest.mark.parametrize("layout", ["parquet", "saved with palette masks, not square", "hub", "instances, no latent"])
def test_other_data(layout, start, hub, tmp_path):
    labels = write_labels(tmp_path / "labels.json")
    options, small = ["--label_set", labels], SMALL
    size = (32, 32)
    if layout == "parquet":
        make_rows(mode="L").to_parquet(tmp_path / "train.parquet")
        options = []  # the labels lie beside it
        name = tmp_path / "train.parquet"
    elif layout == "hub":
        name = f"{hub.user}/training-pairs"
        make_rows(mode="RGB").push_to_hub(name, token=hub.token)
        options += ["--gradient_accumulation_steps", 2, "--dataloader_num_workers", 1, "--max_grad_norm", 1]
    elif layout.startswith("saved"):
        name = tmp_path / "rows"
        make_rows(mode="P").save_to_disk(name)
        size = (32, 64)
        options += ["--resolution", *size]
    else:
        name = tmp_path / "train.parquet"
        make_rows(instance=[mask(index) for index in range(6)]).to_parquet(name)
        options += ["--instance_column", "instance", "--latent_dim", 0, "--norm_type", "batch"]
        small = without(SMALL, *STYLE_ENCODER)
    output = tmp_path / "out"
    started = start(*small, "--dataset_name", name, "--output_dir", output, *options)
    started.train(1)
    started.publisher.save(1)
    pipeline = SPADEPipeline.from_pretrained(str(output))
    assert pipeline.image_processor.label_set.id2label == LABELS.id2label
    one = mask(0, size)
    instance_map = one if pipeline.generator.config.use_instance_edges else None
    image = pipeline(one, instance_map=instance_map).images[0]
    assert tuple(pipeline.generator.config.image_size) == (image.height, image.width) == size


def test_a_perceptual_network_from_a_folder(start, data, tmp_path, caplog):
    caplog.set_level("INFO")
    save_file(VGG19Features(base_channels=2).state_dict(), tmp_path / "model.safetensors")
    options = ("--dataset_name", data, "--output_dir", tmp_path / "out", "--perceptual_model", tmp_path)
    started = start(*SMALL, *options)
    started.train(1)
    started.monitor.log(1)
    assert ", perceptual " in caplog.text
    started.publisher.save(1)
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert f"| perceptual_model | {tmp_path.name} |" in card and str(tmp_path) not in card


def test_tensorboard_by_its_name(trained):
    output, _ = trained
    events = EventAccumulator(str(output / "logs" / "spade")).Reload()
    assert [event.step for event in events.Scalars("feature_matching")] == [1, 2, 3, 4, 5]
    grids = events.Images("validation")
    assert [grid.step for grid in grids] == [2, 4]
    for grid in grids:
        with Image.open(output / "samples" / f"step-000000{grid.step}.png") as saved:
            assert (grid.width, grid.height) == saved.size


def test_a_public_repository_that_must_be_private_is_refused(run, hub, data, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    HfApi(token=hub.token).create_repo("public-before", private=False)
    options = ("--output_dir", tmp_path / "public-before", "--push_to_hub", "--hub_private_repo")
    result = run(*SMALL, "--dataset_name", data, *options)
    assert result.status == 2 and "Training:" not in result.stderr and checkpoints(tmp_path / "public-before") == set()
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert f"--hub_private_repo: the repository '{hub.user}/public-before' already exists and is public" in line
    files = HfApi(token=hub.token).list_repo_files(f"{hub.user}/public-before")
    assert files == [".gitattributes"]


def test_push_without_a_login_fails_before_the_training(run, data, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    result = run(*SMALL, "--dataset_name", data, "--output_dir", tmp_path / "out", "--push_to_hub")
    assert result.status == 2 and not (tmp_path / "out").exists()
    assert "hf auth login" in result.stderr and "name another one with --hub_model_id." in result.stderr


def test_push_without_a_connection_fails_before_the_training(run, data, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("HF_TOKEN", "hf_none")
    options = ("--output_dir", tmp_path / "out", "--push_to_hub", "--hub_model_id", "me/toy")
    result = run(*SMALL, "--dataset_name", data, *options)
    assert result.status == 2 and not (tmp_path / "out").exists()
    assert "The repository 'me/toy' cannot be created" in result.stderr


def test_two_folders_and_a_table_of_colors(start, data, tmp_path):
    shutil.copytree(data, tmp_path / "mine")
    (tmp_path / "mine" / "photos").mkdir()
    for file in (tmp_path / "mine").glob("*.png"):
        file.rename(tmp_path / "mine" / "photos" / file.name)
    folders = ("--image_folder", tmp_path / "mine" / "photos", "--mask_folder", tmp_path / "mine" / "masks")
    started = start(*SMALL, *folders, "--output_dir", tmp_path / "out")
    assert len(started.dataset) == 6 and started.dataset.processor.label_set.id2label == LABELS.id2label
    started.train(1)


def test_a_term_from_outside_is_trained(start, data, tmp_path, monkeypatch):
    """As docs/extending.md says: it is logged, and on the card."""
    monkeypatch.setitem(TERMS, "roughness", Term(lambda outputs: outputs.fake_images.diff().abs().mean(), weight=3.0))
    started = start(*SMALL, "--dataset_name", data, "--output_dir", tmp_path)
    started.train(1)
    started.monitor.log(1)
    (row,) = read_metrics(tmp_path / "metrics.csv")
    assert row["roughness"] > 0
    started.publisher.save(1)
    assert "| roughness_weight | 3.0 |" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_dry_run_says_what_would_be_done(run, data, tmp_path):
    options = ("--dataset_name", data, "--output_dir", tmp_path / "out", "--gradient_accumulation_steps", 3)
    result = run(*SMALL, *options, "--num_train_epochs", 10, "--dry_run")
    assert result.status == 0
    lines = result.stderr.splitlines()
    assert "batch of a process: real_images (2, 3, 32, 32) torch.float32" in lines
    assert "batch of a process: label_map (2, 32, 32) torch.int64" in lines
    assert "10 updates of 6 samples: 10.0 times through 6 samples" in lines
    (line,) = [line for line in lines if line.startswith("generator: ")]
    assert int(line.split()[1].replace(",", "")) > 10_000
    assert not (tmp_path / "out").exists()


def test_the_recipe_of_a_dry_run_gives_the_same_options(run, data, tmp_path):
    """Nothing else is on stdout, so that it can be a file of options; presets and pretrained models are resolved."""
    options = [*SMALL, "--dataset_name", str(data), "--output_dir", str(tmp_path / "no"), "--channel_mult"]
    options += "1 1 1 1 0.5 0.5 0.25 --learning_rate 3e-5 --adam_epsilon 1e-9 --mixed_precision no".split()
    options += "--no-random_flip --augment_discriminator none".split()
    result = run(*options, "--dry_run")
    assert result.status == 0, result.stderr
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(result.stdout, encoding="utf-8")
    again = parse_args(["--config", str(recipe)])
    assert again == replace(parse_args(options), config=str(recipe))
    assert yaml.safe_load(result.stdout).keys() == {action.dest for action in build_parser()._actions} - {"help"}
    assert run("--config", recipe, "--dry_run").stdout == result.stdout


@pytest.mark.parametrize(
    ("name", "cls", "method", "useless", "norm"),
    [
        (
            *("concatenation", ConcatenationGenerator, "SPADE's decoder with the mask concatenated, a baseline"),
            *(["--spade_hidden_channels"], "sync_batch"),
        ),
        (
            *("pix2pixhd", Pix2PixHDGenerator, "pix2pixHD (Wang et al."),
            *(["--spade_hidden_channels", "--latent_dim", *STYLE_ENCODER], "instance"),
        ),
    ],
)
def test_a_baseline_is_trained_saved_and_paints(name, cls, method, useless, norm, run, start, data, tmp_path):
    options = ("--generator", name, "--output_dir", tmp_path)
    started = start(*without(SMALL, *useless), "--dataset_name", data, *options)
    started.train(1)
    started.save()
    started.train(1)
    started.publisher.save(2)
    pipeline = SPADEPipeline.from_pretrained(str(tmp_path))
    assert type(pipeline.generator) is cls and pipeline(mask(0)).images[0].size == (32, 32)
    assert (pipeline.style_encoder is None) == (name == "pix2pixhd")
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert f"\n{method}" in card and f"| generator | {name} |" in card
    assert f"| norm_type | {norm} |" in card and "| perceptual_weight | 0.0 |" in card
    assert f"| kl_weight | {0.0 if name == 'pix2pixhd' else 0.05} |" in card
    again = ("--pretrained_model_name_or_path", tmp_path, "--output_dir", tmp_path / "more", "--max_train_steps", 1)
    result = run(*SMALL, "--dataset_name", data, *again)
    message = f"--pretrained_model_name_or_path holds a {cls.__name__}; training continues only from a SPADE"
    assert message in result.stderr


def test_allow_tf32(run, data, tmp_path):
    matmul, options = (
        torch.backends.cuda.matmul,
        ("--dataset_name", data, "--output_dir", tmp_path / "out", "--dry_run"),
    )
    before = matmul.allow_tf32
    try:
        matmul.allow_tf32 = False
        assert run(*SMALL, *options).status == 0 and not matmul.allow_tf32
        assert run(*SMALL, *options, "--allow_tf32").status == 0 and matmul.allow_tf32
    finally:
        matmul.allow_tf32 = before


def test_help(run):
    result = run("--help")
    for option in ("--dataset_name", "--mask_column", "--perceptual_model", "--resume_from_checkpoint", "--preset"):
        assert option in result.stdout
