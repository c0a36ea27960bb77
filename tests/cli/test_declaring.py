"""Options as fields of a dataclass: what a parser makes of them."""

import argparse
from dataclasses import FrozenInstanceError, dataclass, fields

import pytest

from spade_hf_cli.data_options import DataOptions
from spade_hf_cli.declaring import add_options, collect, names_with, option
from spade_hf_cli.parsing import count
from spade_hf_cli.train.options import TrainOptions
from spade_hf_cli.unused import Rule, changed, unused_option


@dataclass(frozen=True, kw_only=True)
class Options:
    train_batch_size: int = option(4, "per process", kind=count, group="optimization", card=True)
    random_flip: bool = option(True, free=True)
    dry_run: bool = option(False)
    import_: list[str] = option([], many="*", adds=True)
    resolution: list[int] = option([256], kind=int, many="+")


def parse(*words: str) -> Options:
    parser = argparse.ArgumentParser()
    add_options(parser, Options)
    return collect(Options, parser.parse_args(words))


def test_defaults_and_values():
    assert parse() == Options()
    words = (
        "--train_batch_size 2 --no-random_flip --dry_run --import a b --import c --resolution 64 --resolution 32 64"
    )
    expected = Options(
        train_batch_size=2, random_flip=False, dry_run=True, import_=["a", "b", "c"], resolution=[32, 64]
    )
    assert parse(*words.split()) == expected
    assert Options().import_ == []  # the default list is not the one that was added to
    with pytest.raises(FrozenInstanceError):
        expected.dry_run = False  # pyright: ignore[reportAttributeAccessIssue]


def test_marks():
    assert (names_with(Options, "card"), names_with(Options, "free")) == (["train_batch_size"], ["random_flip"])


def test_the_help_has_a_heading_per_group():
    parser = argparse.ArgumentParser()
    add_options(parser, Options, descriptions={"optimization": "Adam's."})
    assert "optimization:\n  Adam's.\n\n  --train_batch_size TRAIN_BATCH_SIZE" in parser.format_help()


def test_training_has_the_data_options_of_the_other_commands():
    assert {field.name for field in fields(DataOptions)} < {field.name for field in fields(TrainOptions)}


RULES = (
    Rule("steps warmup", lambda args: args.mode != "train", "is for --mode train and has no effect on {mode}."),
    Rule("share", lambda args: args.mode != "train", "has no effect.", also_zero=True),
)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", None),
        ("--mode train --steps 5 --share 0", None),
        ("--steps 5", "`steps` is for --mode train and has no effect on none."),
        ("--warmup 0", None),  # turns it off
        ("--share 0", "`share` has no effect."),
    ],
)
def test_options_without_effect(words, expected):
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="none")
    for name, default in (("steps", 300), ("warmup", 3), ("share", 0.5)):
        parser.add_argument(f"--{name}", type=float, default=default)
    args = parser.parse_args(words.split())
    assert unused_option(args, RULES, changed(parser, args)) == expected
