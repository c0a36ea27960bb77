"""The kinds of discriminator that training offers."""

import inspect

from spade_hf.training.adversaries import DISCRIMINATORS
from spade_hf_cli.train.build import build_adversarial
from spade_hf_cli.train.parser import parse_args
from spade_hf_cli.train.presets import DISCRIMINATOR_OPTIONS

from ..training_data import LABELS


def test_the_command_line_offers_all_kinds_and_knows_what_they_read():
    assert DISCRIMINATOR_OPTIONS.keys() == DISCRIMINATORS.keys()
    for name, options in DISCRIMINATOR_OPTIONS.items():
        has_backbone = "backbone" in inspect.signature(DISCRIMINATORS[name].network).parameters
        assert has_backbone == (options.backbones != ("none",)), name
        build_adversarial(parse_args(["--dataset_name", "x", "--discriminator", name]), LABELS)
