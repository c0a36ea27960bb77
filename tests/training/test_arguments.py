import json

import pytest
import torch
from diffusers.optimization import SchedulerType

from spade_hf import MultiscaleDiscriminator, SPADEGenerator, SPADEStyleEncoder
from spade_hf.training import learning_rate_schedule
from spade_hf.training.arguments import PRESETS, build_parser, parse_args


def parse(*options: str):
    return parse_args(["--dataset_name", "x", *options])


def test_the_defaults_are_the_papers():
    args = parse()
    assert (args.learning_rate, args.discriminator_learning_rate) == (1e-4, 4e-4)
    assert (args.adam_beta1, args.adam_beta2) == (0.0, 0.9)
    assert (args.adversarial_weight, args.feature_matching_weight, args.perceptual_weight) == (1, 10, 10)
    assert (args.kl_weight, args.norm_type, args.perceptual_model) == (0.05, "sync_batch", "vgg19")
    assert args.resolution == args.image_size == [256, 256] and args.resize_ratio == 286 / 256
    assert (args.base_channels, args.spade_hidden_channels, args.latent_dim) == (64, 128, 256)


@pytest.mark.parametrize(
    ("options", "resolution", "image_size"),
    [
        (["--resolution", "64"], [64, 64], [64, 64]),
        (["--resolution", "96", "128"], [96, 128], [96, 128]),
        (["--resolution", "64", "--image_size", "128"], [64, 64], [128, 128]),
        (["--preset", "tiny"], [64, 64], [64, 64]),
    ],
)
def test_sizes(options, resolution, image_size):
    args = parse(*options)
    assert (args.resolution, args.image_size) == (resolution, image_size)


def test_the_command_line_wins_over_the_preset():
    args = parse("--preset", "tiny", "--base_channels", "12")
    assert args.base_channels == 12 and args.latent_dim == PRESETS["tiny"]["latent_dim"]
    assert parse("--base_channels", "12", "--preset", "tiny").base_channels == 12


def test_other_defaults_follow_the_discriminator():
    assert (parse().discriminator, parse().discriminator_backbone, parse().perceptual_model) == (
        "patch",
        "none",
        "vgg19",
    )
    args = parse("--discriminator", "segmentation")
    assert (args.discriminator_backbone, args.perceptual_model, args.adam_beta2) == (
        "efficientnet-lite0",
        "none",
        0.999,
    )
    args = parse("--discriminator", "projected")
    assert args.augment_discriminator == ["color", "cutout"] and args.perceptual_model == "vgg19"
    # a preset wins over them, and the command line over both
    assert parse("--discriminator", "segmentation", "--preset", "landscapes").perceptual_model == "efficientnet-lite0"
    given = ["--discriminator_backbone", "none", "--adam_beta2", "0.9"]
    args = parse("--discriminator", "segmentation", *given)
    assert (args.discriminator_backbone, args.adam_beta2) == ("none", 0.9)
    assert parse("--discriminator", "projected", "--augment_discriminator", "none").augment_discriminator == []


def test_the_discriminator_of_a_config_file(tmp_path):
    file = tmp_path / "options.yaml"
    file.write_text("discriminator: segmentation\n")
    assert parse("--config", str(file)).perceptual_model == "none"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--discriminator_backbone", "efficientnet-lite0"], "with --discriminator patch it must be none"),
        (
            ["--discriminator", "projected", "--discriminator_backbone", "none"],
            "with --discriminator projected it must be efficientnet-lite0",
        ),
        (
            ["--discriminator", "segmentation", "--gan_loss", "relativistic"],
            "--gan_loss is for --discriminator patch",
        ),
    ],
)
def test_options_that_do_not_fit_the_discriminator(options, message, capsys):
    with pytest.raises(SystemExit):
        parse(*options)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_presets_name_options_and_build_networks(preset):
    args = parse("--preset", preset)
    assert not PRESETS[preset].keys() - vars(args).keys()
    if preset not in ("tiny", "landscapes"):
        return  # a hundred million weights
    labels = {"num_labels": 3}
    SPADEGenerator(
        **labels, base_channels=args.base_channels, channel_mult=args.channel_mult, image_size=tuple(args.image_size)
    )
    MultiscaleDiscriminator(**labels, base_channels=args.discriminator_base_channels)
    SPADEStyleEncoder(
        image_size=args.style_encoder_image_size, channel_mult=tuple(args.style_encoder_channel_mult), latent_dim=4
    )


def test_a_config_file_stands_between_preset_and_command_line(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(
        "preset: tiny\ndataset_name: pairs\nbase_channels: 12\nlatent_dim: 6\nresolution: [96, 128]\n"
        "random_flip: false\ncenter_crop: true\nmax_train_steps: null\nlearning_rate: 2.0e-4\n"
    )
    args = parse_args(["--config", str(file), "--latent_dim", "5"])
    assert (args.dataset_name, args.base_channels, args.latent_dim) == ("pairs", 12, 5)
    assert (args.resolution, args.random_flip, args.center_crop) == ([96, 128], False, True)
    assert (args.max_train_steps, args.learning_rate) == (None, 2e-4)
    assert args.spade_hidden_channels == PRESETS["tiny"]["spade_hidden_channels"]


def test_the_arguments_of_a_checkpoint_are_a_config_file(tmp_path):
    expected = vars(parse("--preset", "tiny", "--center_crop", "--no-random_flip", "--max_grad_norm", "2"))
    file = tmp_path / "arguments.json"
    file.write_text(json.dumps(expected))
    assert vars(parse_args(["--config", str(file)])) == {**expected, "config": str(file)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("batch: 3", "there is no option 'batch'"),
        ("- 3", "it must map option names to values, such as `train_batch_size: 8`"),
        ("a: [", "run.yaml cannot be used: while parsing"),
        (None, "No such file or directory"),
        ("train_batch_size: many", "argument --train_batch_size: invalid int value: 'many'"),
        ("preset: huge", "argument --preset: invalid choice: 'huge'"),
    ],
)
def test_bad_config_files(content, message, tmp_path, capsys):
    file = tmp_path / "run.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SystemExit) as stop:
        parse("--config", str(file))
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_the_papers_recipes():
    city, ade = parse("--preset", "cityscapes-512"), parse("--preset", "ade20k-256")
    assert (city.resolution, city.num_upsampling_layers, city.resize_ratio) == ([256, 512], 6, 1)
    assert (ade.resolution, ade.label_set, ade.num_train_epochs) == ([256, 256], "ade20k", 200)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resolution", "65"], "--resolution is 65; give one side, or height and width, each a multiple of 32 with"),
        (["--resolution", "64", "64", "64"], "--resolution is 64 64 64; give one side, or height and width"),
        (["--num_upsampling_layers", "7", "--resolution", "64"], "multiple of 128 with --num_upsampling_layers 7"),
        (["--image_size", "0"], "--image_size is 0; give one side"),
        (["--train_batch_size", "0"], "--train_batch_size is 0; it must be 1 or more."),
        (["--max_train_steps", "0"], "--max_train_steps is 0; it must be 1 or more."),
        (["--checkpoints_total_limit", "0"], "--checkpoints_total_limit is 0; it must be 1 or more."),
        (["--kl_weight", "-1"], "--kl_weight is -1.0; it must be 0 or more."),
        (["--simplify_probability", "2"], "--simplify_probability is 2.0; it must be in 0..1."),
        (["--ema_decay", "1"], "--ema_decay is 1.0; it must be 0 or more and below 1."),
        (["--max_grad_norm", "0"], "--max_grad_norm is 0.0; it must be above 0. Leave it out to clip nothing."),
        (
            ["--hub_strategy", "checkpoint"],
            "--hub_strategy checkpoint needs --push_to_hub.",
        ),
        (
            ["--overwrite_output_dir", "--resume_from_checkpoint", "latest"],
            "--overwrite_output_dir deletes the run that --resume_from_checkpoint continues. Give one of them.",
        ),
        (["--preset", "huge"], "argument --preset: invalid choice: 'huge'"),
        (["--learning_rate", "fast"], "argument --learning_rate: invalid float value: 'fast'"),
        (["--norm", "batch", "--bogus"], "unrecognized arguments: "),
    ],
)
def test_bad_options_are_one_line_and_status_2(options, message, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(*options)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Give either --dataset_name, or --image_folder with --mask_folder."),
        (["--dataset_name", "x", "--image_folder", "y"], "Give either --dataset_name, or --image_folder"),
        (["--image_folder", "y"], "--image_folder, --mask_folder and --instance_folder must be given together"),
        (
            ["--dataset_name", "x", "--instance_folder", "y"],
            "--mask_folder and --instance_folder must be given together",
        ),
        (
            ["--dataset_name", "x", "--mask_suffix", "_L.png"],
            "--mask_suffix belongs to --image_folder and",
        ),
        (
            ["--dataset_name", "x", "--panoptic_json", "y"],
            "--panoptic_json belongs to --image_folder",
        ),
        (
            ["--image_folder", "x", "--mask_folder", "y", "--instance_suffix", "_i.png"],
            "--instance_suffix belongs to --instance_folder, which is missing.",
        ),
        (
            ["--image_folder", "x", "--mask_folder", "y", "--panoptic_json", "z", "--file_list", "w"],
            "--panoptic_json names the files of each pair, so --file_list is not needed.",
        ),
    ],
)
def test_where_the_data_are(options, message, capsys):
    with pytest.raises(SystemExit):
        parse_args(options)
    assert message in capsys.readouterr().err


def test_each_schedule_that_is_offered_can_be_built():
    (option,) = [action for action in build_parser()._actions if action.dest == "lr_scheduler"]
    known = {kind.value for kind in SchedulerType} | {"constant_then_linear"}
    assert set(option.choices) == known - {"piecewise_constant"}
    for name in option.choices:
        optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
        learning_rate_schedule(name, optimizer, num_steps=10, num_warmup_steps=2)


def test_a_schedule_that_needs_rules_is_not_offered(capsys):
    with pytest.raises(SystemExit, match="2"):
        parse("--lr_scheduler", "piecewise_constant")
    assert "argument --lr_scheduler: invalid choice: 'piecewise_constant'" in capsys.readouterr().err


def test_every_number_has_bounds():
    unchecked = {a.dest for a in build_parser()._actions if a.type in (int, float) and a.choices is None}
    # sizes are checked against the number of upsampling layers, the others by what is built with them
    assert unchecked == {
        "resolution",
        "image_size",
        "resize_ratio",
        "channel_mult",
        "style_encoder_image_size",
        "style_encoder_channel_mult",
    }


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_values_of_presets_are_allowed(preset):
    types = {action.dest: action.type for action in build_parser()._actions}
    for name, value in PRESETS[preset].items():
        if types[name] is not None and not isinstance(value, list):
            types[name](str(value))


FOLDERS = ["--image_folder", "p", "--mask_folder", "m"]
OTHERS = ["--validation_image_folder", "vp", "--validation_mask_folder", "vm"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            [*FOLDERS, *OTHERS[:2]],
            "--validation_image_folder, --validation_mask_folder and --validation_instance",
        ),
        ([*FOLDERS, "--validation_file_list", "x"], "--validation_file_list belongs to --validation_image_folder"),
        (["--dataset_name", "x", *OTHERS], "--validation_image_folder belongs to --image_folder; with"),
        (["--dataset_name", "x", "--validation_share", "0.1"], "--validation_share belongs to --image_folder"),
        ([*FOLDERS, *OTHERS, "--validation_share", "0.1"], "--validation_image_folder has others. Give one"),
        ([*FOLDERS, "--validation_share", "1"], "--validation_share is 1.0; it must be above 0 and below 1"),
        ([*FOLDERS, *OTHERS, "--instance_folder", "i"], "--instance_folder and --validation_instance_folder be"),
        (
            [*FOLDERS, *OTHERS, "--panoptic_json", "j"],
            "--panoptic_json and --validation_panoptic_json belong",
        ),
        ([*FOLDERS, *OTHERS, "--validation_panoptic_json", "j"], "--panoptic_json and --validation_panoptic_json"),
        (
            [*FOLDERS, "--evaluation_steps", "5"],
            "--evaluation_steps needs pairs that are not trained on",
        ),
        (
            [*FOLDERS, "--class_masks", "--panoptic_json", "j"],
            "--panoptic_json names the files of each pair, so",
        ),
        (["--dataset_name", "x", "--mask_prefix", "gt_"], "--mask_prefix belongs to --image_folder and --mask_folder"),
        ([*FOLDERS, "--instance_prefix", "i_"], "--instance_prefix belongs to --instance_folder"),
    ],
)
def test_options_for_pairs_that_contradict_each_other(options, message, capsys):
    with pytest.raises(SystemExit):
        parse_args(options)
    assert message in capsys.readouterr().err


def test_options_for_other_pairs():
    for more in ([*OTHERS], ["--validation_share", "0.1"]):
        assert parse_args([*FOLDERS, *more, "--evaluation_steps", "5"]).evaluation_steps == 5
    assert parse_args([*FOLDERS, "--preset", "tiny"]).perceptual_model == "efficientnet-lite0"
