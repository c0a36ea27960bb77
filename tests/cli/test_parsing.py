from dataclasses import dataclass

import pytest

from spade_hf_cli.declaring import add_options, names_with, option
from spade_hf_cli.parsing import OptionParser, count, share


@dataclass
class Options:
    train_batch_size: int = option(4, "per process", group="optimization", kind=count, on_card=True)
    resolution: list[int] = option([256], "in pixels", group="data", kind=int, many="+")
    random_flip: bool = option(True, "mirror half of the samples", group="data")
    dry_run: bool = option(False, "stop before training", group="data", free=True)
    norm_type: str = option("batch", "of the activations", group="model", choices=("batch", "instance"))
    output_dir: str | None = option(None, "folder to write", group="data")


def parser():
    built = OptionParser(prog="train")
    add_options(built, Options, descriptions={"model": "Taken from a pretrained model."})
    return built


def fails(capsys, *words):
    with pytest.raises(SystemExit) as stopped:
        parser().parse_args(words)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_fields_become_options():
    assert Options(**vars(parser().parse_args([]))) == Options()
    given = ["--train_batch_size", "8", "--resolution", "96", "128", "--no-random_flip", "--dry_run"]
    options = Options(**vars(parser().parse_args(given)))
    assert options == Options(train_batch_size=8, resolution=[96, 128], random_flip=False, dry_run=True)
    assert names_with(Options, "free") == ("dry_run",) and names_with(Options, "on_card") == ("train_batch_size",)


@pytest.mark.parametrize("word", ["--train-batch-size", "--train_batch-size", "--train-batch-size=2"])
def test_dashes_and_underscores_are_the_same(word):
    given = [word] if "=" in word else [word, "2"]
    assert parser().parse_args(given).train_batch_size == 2
    assert parser().parse_args(["--no-random-flip"]).random_flip is False


@pytest.mark.parametrize(
    ("word", "meant"), [("--batch_size", "--train_batch_size"), ("--resolutoin", "--resolution"), ("--xyz", None)]
)
def test_a_near_miss_is_suggested(capsys, word, meant):
    error = fails(capsys, word, "8")
    assert error.startswith(f"error: There is no option {word}")
    assert (f"did you mean {meant}?" in error) if meant else ("did you mean" not in error)


def test_an_abbreviation_is_an_error(capsys):
    assert "There is no option --train" in fails(capsys, "--train", "8")


def test_a_number_out_of_bounds_names_the_option(capsys):
    assert fails(capsys, "--train_batch_size", "0") == (
        "error: --train_batch_size is 0; it must be 1 or more. See --help.\n"
    )
    with pytest.raises(Exception, match="is 2.0; it must be in 0..1"):
        share("2")


def test_help_states_defaults_and_groups(capsys):
    built = parser()
    built.set_defaults(norm_type="instance")  # as a preset does
    text = " ".join(built.format_help().split())
    assert "per process (default: 4)" in text and "(default: 256)" in text and "(default: instance)" in text
    assert "default: None" not in text and "default: False" not in text
    assert "model: Taken from a pretrained model." in text


def test_a_command_suggests_its_own_options(capsys):
    main = OptionParser(prog="spade-hf")
    command = main.add_subparsers(dest="command").add_parser("generate")
    command.add_argument("mask", nargs="*")
    command.add_argument("--num-images", type=count)
    assert main.parse_args(["generate", "a.png", "--num_images", "3"]).num_images == 3
    with pytest.raises(SystemExit):
        main.parse_args(["generate", "a.png", "--num_image", "3"])
    assert "did you mean --num-images?" in capsys.readouterr().err
