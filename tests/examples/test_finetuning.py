"""A training that starts from the pipeline of another one, with other labels and at another size."""

import copy
import json

import numpy as np
import pytest
import torch

from spade_hf import SPADEPipeline

from ..training_data import ids, mask, real_image, write_imagefolder, write_labels
from .programs import SMALL


LABELS = {"id2label": {"0": "Sky", "1": "meadow", "4": "rock"}, "palette": [[0, 0, 9], [0, 9, 0], [9, 0, 0]],
          "ignore_label": 255}  # fmt: skip


def test_from_a_run_to_other_labels(trained, start, tmp_path):
    output, _ = trained
    data = write_imagefolder(tmp_path / "pairs", mode="L")
    (data / "labels.json").write_text(json.dumps(LABELS))
    started = start(
        *("--dataset_name", data, "--output_dir", tmp_path / "new", "--resolution", 96, "--perceptual_model", "none"),
        *("--learning_rate", 0, "--train_batch_size", 2, "--num_validation_images", 1),
        *("--pretrained_model_name_or_path", output, "--discriminator_name_or_path", output / "checkpoint-5"),
    )
    started.train(1)
    started.save()
    started.publisher.save(1)
    arguments = json.loads((tmp_path / "new" / "checkpoint-1" / "arguments.json").read_text())
    assert (arguments["base_channels"], arguments["discriminator_base_channels"]) == (8, 8)  # not the default's 64
    old, new = (SPADEPipeline.from_pretrained(str(folder)) for folder in (output, tmp_path / "new"))
    assert new.image_processor.label_set.names == ("Sky", "meadow", "rock", "unknown")
    assert list(new.generator.config.image_size) == [96, 96]
    # the generator did not move: its weights are the old ones, where they are not normalized
    assert torch.equal(new.generator.conv_out.weight, old.generator.conv_out.weight)
    found, expected = (p.generator.blocks[3].norm2.conv_mask.weight for p in (new, old))
    assert [torch.equal(found[:, channel], expected[:, channel]) for channel in range(4)] == [True, False, True, True]


def with_depth(folder):
    """Options of folders of images, masks with the labels of `trained`, and depth maps."""
    for name in ("photos", "masks", "depth"):
        (folder / name).mkdir(parents=True)
    for index in range(4):
        real_image(index).save(folder / "photos" / f"{index}.png")
        mask(index).save(folder / "masks" / f"{index}.png")
        depth = np.random.default_rng(index).uniform(0, 80, (40, 48)).astype(np.float32)
        np.save(folder / "depth" / f"{index}.npy", depth)
    write_labels(folder / "labels.json")
    folders = (("--image_folder", "photos"), ("--mask_folder", "masks"), ("--condition_folder", "depth"))
    given = [part for option, name in folders for part in (option, folder / name)]
    return (*given, "--condition_channels", 1, "--condition_range", 0, 80)


def test_from_labels_alone_to_a_condition_beside_them(trained, start, tmp_path):
    output, _ = trained
    started = start(
        *(*with_depth(tmp_path), "--output_dir", tmp_path / "new", "--resolution", 64, "--perceptual_model", "none"),
        *("--learning_rate", 0, "--discriminator_learning_rate", 0, "--train_batch_size", 2),
        *("--num_validation_images", 1, "--pretrained_model_name_or_path", output),
        *("--discriminator_name_or_path", output / "checkpoint-5"),
    )
    started.train(1)
    started.save()
    started.publisher.save(1)
    old, new = (SPADEPipeline.from_pretrained(str(folder)) for folder in (output, tmp_path / "new"))
    assert new.generator.config.condition_channels == 1 and new.image_processor.condition_range == (0, 80)
    found, expected = (p.generator.blocks[3].norm2.conv_mask.weight for p in (new, old))
    assert torch.equal(found[:, :-1], expected) and found[:, -1].abs().max() > 0  # the condition is the last channel
    latents, plane = torch.zeros(1, new.generator.config.latent_dim), torch.zeros(1, 40, 48)
    images = [new(ids(0), condition=plane + depth, latents=latents, output_type="pt").images for depth in (0, 80)]
    assert not torch.equal(*images)  # its weights are random at first


def test_from_the_papers_head_to_one_at_half_the_size(trained, start, tmp_path):
    output, _ = trained
    old = SPADEPipeline.from_pretrained(str(output))
    height, width = old.generator.native_size
    started = start(
        *("--dataset_name", write_imagefolder(tmp_path / "pairs"), "--output_dir", tmp_path / "new"),
        *("--resolution", 2 * height, 2 * width, "--head_upsampling", 2, "--perceptual_model", "none"),
        *("--learning_rate", 0, "--train_batch_size", 2, "--num_validation_images", 1),
        *("--pretrained_model_name_or_path", output),
    )
    started.train(1)
    started.save()
    started.publisher.save(1)
    new = SPADEPipeline.from_pretrained(str(tmp_path / "new"))
    assert new.generator.config.head_upsampling == 2 and new.generator.size_divisor == 64
    assert new.generator.start_size == old.generator.start_size
    assert torch.equal(new.generator.conv_out.weight, old.generator.conv_out.weight.repeat_interleave(4, dim=0))
    card = (tmp_path / "new" / "README.md").read_text(encoding="utf-8")
    assert "| head_upsampling | 2 |" in card and "multiples of 64" in card


def test_only_the_last_blocks_are_trained(trained, start, tmp_path):
    output, _ = trained
    started = start(
        *("--dataset_name", write_imagefolder(tmp_path / "pairs"), "--output_dir", tmp_path / "new"),
        *("--resolution", 64, "--perceptual_model", "none", "--train_batch_size", 2, "--num_validation_images", 1),
        *("--pretrained_model_name_or_path", output, "--train_last_blocks", 2, "--learning_rate", 0.01),
    )
    networks = started.game.generator_side.unwrapped
    before = {name: copy.deepcopy(network) for name, network in networks.items()}
    started.train(1)
    changed = {
        (name, *key.split(".")[:2])
        for name, network in networks.items()
        for (key, value), old in zip(network.named_parameters(), before[name].parameters(), strict=True)
        if not torch.equal(value, old)
    }
    blocks = {("generator", "blocks", number) for number in "56"}
    assert changed == blocks | {("generator", "conv_out", "weight"), ("generator", "conv_out", "bias")}
    started.save()
    state = torch.load(tmp_path / "new" / "checkpoint-1" / "optimizer.bin", weights_only=True)
    assert len(state["state"]) == sum(one.requires_grad for one in networks["generator"].parameters())


@pytest.mark.parametrize("case", ["blocks", "label", "condition", "style encoder"])
def test_blocks_that_cannot_stay_as_they_are(case, trained, run, tmp_path):
    output, _ = trained
    data, number, message = ("--dataset_name", write_imagefolder(tmp_path / "pairs")), 2, ""
    if case == "blocks":
        number, message = 8, "--train_last_blocks is 8; the generator has 7 blocks."
    elif case == "label":
        folder = write_imagefolder(tmp_path / "others", mode="L")
        (folder / "labels.json").write_text(json.dumps(LABELS))
        data = ("--dataset_name", folder)
        message = "--train_last_blocks is 2, but the pretrained model does not know the label meadow"
    elif case == "condition":
        data = with_depth(tmp_path / "others")
        message = "--train_last_blocks is 2, but the pretrained model does not know the condition: the first blocks"
    else:
        pipeline = SPADEPipeline.from_pretrained(str(output))
        SPADEPipeline(pipeline.generator, pipeline.image_processor).save_pretrained(tmp_path / "without")
        output, message = tmp_path / "without", "the pretrained model has none. Give --no-use_style_encoder"
    given = (*data, "--output_dir", tmp_path / "new", "--pretrained_model_name_or_path", output)
    result = run(*given, "--resolution", 64, "--perceptual_model", "none", "--train_last_blocks", number)
    assert result.status == 2 and message in result.stderr
    assert not (tmp_path / "new").exists() or not list((tmp_path / "new").glob("checkpoint-*"))


@pytest.mark.parametrize(("option", "value"), [("--discriminator_name_or_path", "a"), ("--train_last_blocks", 0)])
def test_nothing_to_start_from(option, value, run, tmp_path):
    result = run(*SMALL, "--dataset_name", tmp_path, option, value)
    assert result.status == 2
    assert f"{option} belongs to --pretrained_model_name_or_path, which is missing" in result.stderr


def test_a_pretrained_model_that_is_not_there(run, tmp_path):
    data = write_imagefolder(tmp_path / "pairs", mode="L")
    result = run(*SMALL, "--dataset_name", data, "--pretrained_model_name_or_path", tmp_path / "nowhere")
    assert result.status == 2 and result.stderr.splitlines()[-1].startswith("error: --pretrained_model_name_or_path")
