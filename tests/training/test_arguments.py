import json
from dataclasses import replace

import pytest
import torch
from diffusers.optimization import SchedulerType

from spade_hf import MultiscaleDiscriminator, SPADEGenerator, SPADEStyleEncoder
from spade_hf.training import DISCRIMINATORS, GENERATORS, learning_rate_schedule
from spade_hf_cli.train.parser import PRESETS, build_parser, parse_args
from spade_hf_cli.train.unused_options import RULES, refuse_overridden


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
            "--gan_loss has no effect without --discriminator patch or projected",
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
    assert not PRESETS[preset].keys() - args.as_arguments().keys()
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
    expected = parse("--preset", "tiny", "--center_crop", "--no-random_flip", "--max_grad_norm", "2").as_arguments()
    file = tmp_path / "arguments.json"
    file.write_text(json.dumps(expected))
    assert parse_args(["--config", str(file)]).as_arguments() == {**expected, "config": str(file)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("batch: 3", "there is no option 'batch'"),
        ("- 3", "it must map option names to values, such as `train_batch_size: 8`"),
        ("a: [", "run.yaml cannot be used: while parsing"),
        (None, "No such file or directory"),
        ("train_batch_size: many", "argument --train_batch_size: invalid int value: 'many'"),
        ("preset: huge", "argument --preset: invalid choice: 'huge'"),
        ("output_dir: no", "output_dir is no, a truth value in YAML; if it is meant as text, write 'no'."),
        ("seed: yes", "seed is yes, a truth value in YAML"),
        ("channel_mult: [8, on]", "channel_mult is on, a truth value in YAML"),
        ("mixed_precision: yes", "argument --mixed_precision: invalid choice: 'yes'"),
        ("center_crop: maybe", "center_crop is 'maybe'; it must be true or false"),
        ("resolution: {height: 64}", "resolution has {'height': '64'}; it must be a number or a text"),
        ("config: other.yaml", "it names another `config`, which would not be read: copy its options"),
        ("seed: 1\nbase_channels: 4\nseed: 2", "seed occurs 2 times; give it once"),
    ],
)
def test_bad_config_files(content, message, tmp_path, capsys):
    file = tmp_path / "run.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SystemExit) as stop:
        parse("--config", str(file))
    assert stop.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "name", "value"),
    [
        ("mixed_precision: no", "mixed_precision", "no"),
        ("mixed_precision: 'no'", "mixed_precision", "no"),
        ("output_dir: 'no'", "output_dir", "no"),
        ("output_dir: 007", "output_dir", "007"),
        ("output_dir: 2024-01-01", "output_dir", "2024-01-01"),
        ("learning_rate: 1e-3", "learning_rate", 1e-3),
        ("augment_discriminator: [color, cutout]", "augment_discriminator", ["color", "cutout"]),
        ("random_flip: off", "random_flip", False),
        ("center_crop: on", "center_crop", True),
        ("center_crop: 'no'", "center_crop", False),
        ('{"license": "\\u00e9", "seed": 3}', "license", "\u00e9"),
    ],
)
def test_values_of_a_config_file_are_those_of_the_command_line(content, name, value, tmp_path):
    file = tmp_path / "options"
    file.write_text(content)
    assert getattr(parse("--config", str(file)), name) == value


SEGMENTATION = "--discriminator segmentation --simplify_probability 0.5"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ("--image_folder x --mask_folder y --train_split train", "train_split"),
        ("--shuffle_buffer_size 10", "shuffle_buffer_size"),
        ("--generator pix2pixhd --norm_type batch", "norm_type"),
        ("--generator pix2pixhd --latent_dim 16", "latent_dim"),
        ("--generator pix2pixhd --num_upsampling_layers 6", "num_upsampling_layers"),
        ("--generator pix2pixhd --head_upsampling 2", "head_upsampling"),
        ("--generator pix2pixhd --kl_weight 0.1", "kl_weight"),
        ("--generator concatenation --spade_kernel_size 1", "spade_kernel_size"),
        ("--latent_dim 0 --random_style_probability 0.5", "random_style_probability"),
        ("--latent_dim 0 --use_style_encoder", "use_style_encoder"),
        ("--no-use_style_encoder --random_style_probability 0.5", "random_style_probability"),
        ("--no-use_style_encoder --style_encoder_image_size 64", "style_encoder_image_size"),
        ("--perceptual_model none --perceptual_weight 3", "perceptual_weight"),
        ("--boundary_relaxation 3 --simplify_probability 0.5", "boundary_relaxation"),
        ("--max_class_weight 3", "max_class_weight"),
        ("--label_mix_weight 3", "label_mix_weight"),
        ("--discriminator segmentation --boundary_relaxation 3", "boundary_relaxation"),
        (f"{SEGMENTATION} --feature_matching_weight 3", "feature_matching_weight"),
        (f"{SEGMENTATION} --gan_loss hinge", "gan_loss"),
        ("--torch_compile_backend eager", "torch_compile_backend"),
        ("--lr_scheduler cosine --lr_decay_start 0", "lr_decay_start"),
        ("--lr_scheduler constant --lr_warmup_steps 5", "lr_warmup_steps"),
        ("--num_evaluation_images 5", "num_evaluation_images"),
        ("--hub_private_repo", "hub_private_repo"),
    ],
)
def test_an_option_without_effect_is_refused(options, name, tmp_path, capsys):
    options = options.split()
    data = [] if "--image_folder" in options else ["--dataset_name", "x"]
    with pytest.raises(SystemExit):
        parse_args([*data, *options])
    error = capsys.readouterr().err
    assert error.startswith(f"error: --{name} has no effect with") and error.count("\n") == 1
    value = options[options.index(f"--{name}") + 1 :][:1] or ["true"]
    file = tmp_path / "options.yaml"  # in a file as well
    file.write_text(f"{name}: {value[0]}")
    others = [word for word in options if word != f"--{name}" and word != value[0]]
    with pytest.raises(SystemExit):
        parse_args([*data, *others, "--config", str(file)])
    assert f"--{name} has no effect with" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        f"{SEGMENTATION} --boundary_relaxation 3 --max_class_weight 3 --label_mix_weight 0",
        "--latent_dim 0 --kl_weight 0 --random_style_probability 0 --no-use_style_encoder",
        "--generator pix2pixhd --latent_dim 0 --no-use_style_encoder --perceptual_model none --perceptual_weight 0",
        "--evaluation_steps 5 --num_evaluation_images 5 --push_to_hub --hub_private_repo --lr_decay_start 0",
        "--preset landscapes --generator pix2pixhd",
        "--preset landscapes --no-use_style_encoder",
        "--preset small-data --discriminator patch",
    ],
)
def test_options_with_effect_and_those_of_presets_are_taken(options):
    parse(*options.split())


def test_a_runs_record_has_options_without_effect(tmp_path):
    """A checkpoint's file names all options; it continues the run, whatever this version calls useless."""
    values = parse("--preset", "tiny").as_arguments() | {"shuffle_buffer_size": 7, "kl_weight": 1.0, "latent_dim": 0}
    file = tmp_path / "arguments.json"
    file.write_text(json.dumps(values | {"config": "street.yaml"}))
    args = parse_args(["--config", str(file)])
    assert (args.kl_weight, args.latent_dim, args.shuffle_buffer_size) == (1.0, 0, 7)
    with pytest.raises(SystemExit):
        parse_args(["--config", str(file), "--max_class_weight", "3"])


def test_rules_name_options():
    names = {action.dest for action in build_parser()._actions}
    assert {name for rule in RULES for name in rule.options.split()} <= names


def test_an_option_that_a_pretrained_model_decides_is_refused():
    pretrained = {"base_channels": 32, "channel_mult": (8, 4), "latent_dim": 32, "discriminator": "projected"}
    refuse_overridden(parse("--preset", "tiny"), pretrained)  # all of them are defaults here
    refuse_overridden(parse("--base_channels", "32", "--channel_mult", "8", "4"), pretrained)
    for option, value, decided in (("base_channels", 16, 32), ("discriminator", "segmentation", "projected")):
        message = f"`{option}` is {value}, but the pretrained model has {decided}, which decides. Leave it out."
        with pytest.raises(ValueError, match=message):
            refuse_overridden(parse(f"--{option}", str(value)), pretrained)


def test_the_papers_recipes():
    city, ade = parse("--preset", "cityscapes-512"), parse("--preset", "ade20k-256")
    assert (city.resolution, city.num_upsampling_layers, city.resize_ratio) == ([256, 512], 6, 1)
    assert (ade.resolution, ade.label_set, ade.num_train_epochs) == ([256, 256], "ade20k", 200)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--resolution", "64", "128", "--loss_crop_size", "65"],
            "--loss_crop_size is 65, more than a side of --resolution 64 128. Give at most 64.",
        ),
        (["--resolution", "65"], "--resolution is 65; give one side, or height and width, each a multiple of 32 with"),
        (["--resolution", "64", "64", "64"], "--resolution is 64 64 64; give one side, or height and width"),
        (["--num_upsampling_layers", "7", "--resolution", "64"], "multiple of 128 with --num_upsampling_layers 7"),
        (
            ["--head_upsampling", "2", "--resolution", "96"],
            "each a multiple of 64 with --num_upsampling_layers 5 and --head_upsampling 2.",
        ),
        (["--image_size", "0"], "--image_size is 0; give one side"),
        (["--train_batch_size", "0"], "--train_batch_size is 0; it must be 1 or more."),
        (["--max_train_steps", "0"], "--max_train_steps is 0; it must be 1 or more."),
        (["--checkpoints_total_limit", "-1"], "--checkpoints_total_limit is -1; it must be 0 or more."),
        (["--kl_weight", "-1"], "--kl_weight is -1.0; it must be 0 or more."),
        (["--learning_rate", "inf"], "--learning_rate is inf; it must be a finite number."),
        (["--channel_mult", "8", "nan"], "--channel_mult is nan; it must be a finite number."),
        (["--style_encoder_channel_mult", "0"], "--style_encoder_channel_mult is 0.0; it must be above 0."),
        (["--seed", str(2**32)], "--seed is 4294967296; it must be in 0..4294967295."),
        (["--kl_weight", "nan"], "--kl_weight is nan; it must be a finite number."),
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
        (["--norm", "batch", "--bogus"], "There is no option --norm"),
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
        "style_encoder_image_size",
        "value_range",  # any two numbers that rise, see tests/cli/test_beyond_rgb.py
        "display_channels",  # checked against --image_channels
        "condition_range",  # as value_range
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


def test_a_modules_names_are_choices(tmp_path, monkeypatch):
    """On the command line and in a file, which add up."""
    for table, name in ((GENERATORS, "clade"), (DISCRIMINATORS, "pixel")):
        monkeypatch.setitem(table, name, table[next(iter(table))])
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("mine_a", "mine_b"):
        (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "run.yaml").write_text("import: mine_a\ngenerator: clade\n")
    more = ("--import", "mine_b", "--import", "mine_a", "--discriminator", "pixel")
    options = parse("--config", str(tmp_path / "run.yaml"), *more)
    assert (options.import_, options.generator, options.discriminator) == (["mine_a", "mine_b"], "clade", "pixel")
    (tmp_path / "arguments.json").write_text(json.dumps(options.as_arguments()))
    again = parse_args(["--config", str(tmp_path / "arguments.json")])
    assert again == replace(options, config=str(tmp_path / "arguments.json"))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("mine_c", "--import mine_c: there is no such module, neither in this folder nor among the installed ones."),
        ("./mine.py", "--import ./mine.py: there is no such module"),
        ("mine_d", "--import mine_d needs the module of_nobody, which is not there. Install it."),
    ],
)
def test_a_missing_module_is_one_line(module, message, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine_d.py").write_text("import of_nobody")
    with pytest.raises(SystemExit, match="2"):
        parse("--import", module)
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_names_of_modules_are_no_choices_without_them(capsys):
    with pytest.raises(SystemExit, match="2"):
        parse("--generator", "clade")
    assert "argument --generator: invalid choice: 'clade'" in capsys.readouterr().err
