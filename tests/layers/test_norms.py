"""The norms that read the mask, chosen by name."""

import pytest

from spade_hf import SPADEGenerator
from spade_hf.layers.norms import MASK_NORMS
from spade_hf_cli.train.presets import MASK_NORM_OPTIONS

from ..tiny_networks import tiny_generator


def test_the_command_line_offers_all_norms_and_knows_their_options():
    assert MASK_NORM_OPTIONS == {name: tuple(norm.options.values()) for name, norm in MASK_NORMS.items()}


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match=r"`mask_norm` is 'clade'; allowed are 'spade'\."):
        tiny_generator(mask_norm="clade")


def test_a_config_without_the_name_of_a_norm_is_spades():
    config = {name: value for name, value in tiny_generator().config.items() if name != "mask_norm"}
    assert SPADEGenerator.from_config(config).config.mask_norm == "spade"
