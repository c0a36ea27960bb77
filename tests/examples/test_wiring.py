"""What the training script builds of its options: that each of them arrives where it takes effect."""

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState

from spade_hf import LabelSet, SPADEImageProcessor
from spade_hf.losses import TERMS, Term
from spade_hf.training import ModelEMA, build_accelerator, prepare_backbone, warn_of_other_classes
from spade_hf_cli.train import build as parts
from spade_hf_cli.train.parser import parse_args

from ..training_data import LABELS, make_dataset
from .programs import SMALL


@pytest.fixture
def build(monkeypatch, tmp_path):
    """Build the parts of a run with some options: its iteration, and the options."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")

    def build(*options, given=SMALL, label_set=LABELS, num_steps=10):
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
        args = parse_args([*given, "--dataset_name", "x", *map(str, options)])
        accelerator = build_accelerator(str(tmp_path))
        generators, discriminators = parts.build_networks(args, SPADEImageProcessor(label_set=label_set))
        averages = {name: ModelEMA(network, args.ema_decay) for name, network in generators.items()}
        objective = parts.build_objective(args, label_set, accelerator.device)
        iteration = parts.build_iteration(
            args, accelerator, generators, discriminators, averages, objective, num_steps=num_steps
        )
        return iteration, args

    return build


def group(side):
    (group,) = side.optimizer.param_groups
    return group


def test_optimizers(build):
    options = ("--learning_rate", 0.25, "--discriminator_learning_rate", 0.5, "--adam_beta1", 0.125)
    iteration, _ = build(*options, "--adam_beta2", 0.75, "--adam_epsilon", 0.0625, "--max_grad_norm", 3)
    sides = iteration.generator_side, iteration.discriminator_side
    assert [group(side)["lr"] for side in sides] == [0.25, 0.5]
    for side in sides:
        assert (group(side)["betas"], group(side)["eps"], side.max_grad_norm) == ((0.125, 0.75), 0.0625, 3)
        assert {id(one) for one in group(side)["params"]} == {
            id(one) for model in side.unwrapped.values() for one in model.parameters()
        }
    assert [set(side.unwrapped) for side in sides] == [{"generator", "style_encoder"}, {"discriminator"}]
    iteration, _ = build()
    assert [group(side)["lr"] for side in (iteration.generator_side, iteration.discriminator_side)] == [1e-4, 4e-4]
    assert iteration.generator_side.max_grad_norm is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--lr_decay_start", 0.2), [1, 1, 1, *(step / 8 for step in range(7, -1, -1))]),  # after 2 of 10, a line to 0
        (("--lr_scheduler", "constant_with_warmup", "--lr_warmup_steps", 4), [0, 0.25, 0.5, 0.75, *[1] * 7]),
    ],
)
def test_the_schedule(options, expected, build):
    iteration, _ = build("--learning_rate", 1, "--discriminator_learning_rate", 8, *options)
    for side, rate in ((iteration.generator_side, 1), (iteration.discriminator_side, 8)):
        rates = [group(side)["lr"]]
        for _ in range(10):
            side.optimizer.step()
            side.schedule.step()
            rates.append(group(side)["lr"])
        assert rates == pytest.approx([rate * factor for factor in expected])


def test_what_an_iteration_does(build):
    iteration, _ = build()
    assert not iteration.reuse_fakes and iteration.augmentation is None and iteration.random_style_probability == 0
    assert iteration.loss_crop_size is None
    iteration, _ = build(
        *("--reuse_fakes", "--augment_discriminator", "translation", "cutout", "--random_style_probability", 0.25),
        *("--ema_decay", 0.5, "--loss_crop_size", 16),
    )
    assert iteration.reuse_fakes and iteration.augmentation.kinds == {"translation", "cutout"}
    assert iteration.random_style_probability == 0.25 and iteration.loss_crop_size == 16
    assert {average.decay for average in iteration.averages.values()} == {0.5}


def test_a_preset_gives_no_random_styles_to_a_model_without_style_encoder(build):
    """All its styles are random; the option would only weaken the losses that compare images."""
    small = ("--preset", "landscapes", "--resolution", 32, "--base_channels", 4, "--latent_dim", 4)
    backbone = ("--discriminator", "patch", "--perceptual_model", "none", "--no-use_style_encoder")
    iteration, args = build(*small, *backbone, given=())
    assert args.random_style_probability == 0.1 and iteration.random_style_probability == 0
    settings = parts.build_recipe(args, iteration).settings
    assert (settings["random_style_probability"], settings["kl_weight"], settings["color_weight"]) == (0, 0, 20)


def test_losses(build):
    weights = {name: float(number) for number, name in enumerate(TERMS, 2)}
    del weights["perceptual"]  # no network here
    iteration, _ = build(*(word for name, value in weights.items() for word in (f"--{name}_weight", value)))
    assert iteration.objective.weights == {**weights, "perceptual": 10}
    options = ("--max_class_weight", 3, "--label_mix_weight", 2, "--boundary_relaxation", 1)
    camvid = LabelSet.from_name("camvid")
    iteration, _ = build(
        *("--discriminator", "segmentation", "--discriminator_backbone", "none", "--simplify_probability", 0.5),
        *options,
        label_set=camvid,
    )
    adversarial = iteration.objective.adversarial
    assert (adversarial.num_labels, adversarial.unknown_channel) == (31, 30)
    found = (adversarial.max_class_weight, adversarial.label_mix_weight, adversarial.boundary_relaxation)
    assert found == (3, 2, 1)
    iteration, _ = build("--gan_loss", "relativistic")
    assert type(iteration.objective.adversarial).__name__ == "RelativisticObjective"


def test_a_term_from_outside_has_its_own_weight(build, monkeypatch):
    monkeypatch.setitem(TERMS, "roughness", Term(lambda outputs: outputs.fake_images.diff().abs().mean(), weight=3.0))
    iteration, args = build()
    assert iteration.objective.weights["roughness"] == 3
    assert parts.build_recipe(args, iteration).settings["roughness_weight"] == 3


def test_no_network_is_loaded_for_a_loss_that_is_off():
    args = parse_args(["--dataset_name", "x", "--perceptual_model", "/nowhere", "--perceptual_weight", "0"])
    assert parts.build_objective(args, LABELS, torch.device("cpu")).perceptual_loss is None


def test_images_are_read_only_for_frozen_features(monkeypatch):
    dataset, read = make_dataset(), []
    monkeypatch.setattr(type(dataset), "__getitem__", lambda self, index: read.append(index))
    for options in (
        ("--discriminator", "patch"),
        ("--discriminator", "segmentation", "--discriminator_backbone", "none"),
    ):
        args = parse_args([*SMALL, "--dataset_name", "x", *options])
        discriminator = parts.build_networks(args, dataset.processor)[1]["discriminator"]
        prepare_backbone(discriminator, dataset)
    assert read == []


def test_an_older_discriminator_of_other_classes_is_warned_of(caplog):
    for name in LabelSet.built_in_names():
        warn_of_other_classes(LabelSet.from_name(name))
    assert [record.args for record in caplog.records] == [("ade20k",), ("camvid",), ("carla",)]
    assert "learned the classes of label set 'ade20k' in other outputs" in caplog.text
