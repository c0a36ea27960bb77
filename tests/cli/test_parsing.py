import argparse

import pytest

from spade_hf_cli.parsing import OptionParser, count, duration, share


def parser():
    built = OptionParser(prog="train")
    built.add_argument("--train_batch_size", type=count, default=4, help="per process")
    built.add_argument("--resolution", type=int, nargs="+", default=[256], help="in pixels")
    built.add_argument("--random_flip", action=argparse.BooleanOptionalAction, default=True)
    built.add_argument("--dry_run", action="store_true", help="stop before training")
    built.add_argument("--norm_type", choices=("batch", "instance"), default="batch", help="of the activations")
    built.add_argument("--output_dir", help="folder to write")
    return built


def fails(capsys, *words):
    with pytest.raises(SystemExit) as stopped:
        parser().parse_args(words)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


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


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("600.0", 600), ("10m", 600), ("1.5h", 5400), ("2 d", 172800)]
)
def test_a_time_has_a_unit_or_counts_seconds(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0m", "-5", "ten", "10min", "1h30m", "inf", "nan", "1e3"])
def test_a_time_that_is_none_says_which_is(text, capsys):
    parser = OptionParser()
    parser.add_argument("--time", type=duration)
    with pytest.raises(SystemExit):
        parser.parse_args([f"--time={text}"])
    assert f"--time is {text}; give seconds, or a number and s, m, h or d, such as 10m." in capsys.readouterr().err


def test_help_states_defaults():
    built = parser()
    built.set_defaults(norm_type="instance")  # as a preset does
    text = " ".join(built.format_help().split())
    assert "per process (default: 4)" in text and "(default: 256)" in text and "(default: instance)" in text
    assert "default: None" not in text and "default: False" not in text


def test_a_command_suggests_its_own_options(capsys):
    main = OptionParser(prog="spade-hf")
    command = main.add_subparsers(dest="command").add_parser("generate")
    command.add_argument("mask", nargs="*")
    command.add_argument("--num-images", type=count)
    assert main.parse_args(["generate", "a.png", "--num_images", "3"]).num_images == 3
    with pytest.raises(SystemExit):
        main.parse_args(["generate", "a.png", "--num_image", "3"])
    assert "did you mean --num-images?" in capsys.readouterr().err
