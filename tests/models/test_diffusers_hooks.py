"""Hooks of diffusers that cast or load weights for a layer's call: sparse modulation must not bypass them."""

import copy
import re

import pytest
import torch
from diffusers.hooks.layerwise_casting import DEFAULT_SKIP_MODULES_PATTERN
from torch import Tensor, nn

from spade_hf import SPADEGenerator

from ..tiny_networks import random_label_map, random_latents, tiny_generator


BACKENDS = ["auto", "sparse", "dense"]


def paint(generator: SPADEGenerator, backend: str) -> Tensor:
    generator.set_modulation_backend(backend)
    with torch.no_grad():
        return generator(random_label_map(), random_latents().double()).images


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pattern", [None, ("param_free_norm",), ("conv_out",)])
def test_layerwise_casting(pattern: tuple[str, ...] | None, backend: str):
    """With diffusers' default pattern, with the class's own pattern, and with a third pattern."""
    generator = tiny_generator(use_spectral_norm=False).double()
    rounded = copy.deepcopy(generator)
    skipped = pattern or DEFAULT_SKIP_MODULES_PATTERN
    for name, module in rounded.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and not any(re.search(one, name) for one in skipped):
            for parameter in module.parameters():
                parameter.data = parameter.data.to(torch.float8_e4m3fn).double()
    generator.enable_layerwise_casting(
        storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float64, skip_modules_pattern=pattern
    )
    stored = generator.blocks[0].norm1.conv_mask.weight.dtype
    assert stored == (torch.float64 if pattern is None else torch.float8_e4m3fn)
    torch.testing.assert_close(paint(generator, backend), paint(rounded, "dense"), atol=1e-11, rtol=0)
    assert generator.blocks[0].norm1.conv_mask.weight.dtype == stored


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("offload_type", ["leaf_level", "block_level"])
def test_group_offload(offload_type: str, backend: str):
    """Without a GPU no weights move, so the test checks that each hooked layer is called, which would load them."""
    generator = tiny_generator(use_spectral_norm=False).double()
    expected = paint(generator, "dense")
    generator.enable_group_offload(
        onload_device=torch.device("cpu"), offload_type=offload_type, num_blocks_per_group=1
    )
    norm = generator.blocks[-1].norm1
    called = []
    for conv in (norm.conv_mask, norm.conv_gamma_beta):
        conv.register_forward_hook(lambda *_: called.append(1))
    torch.testing.assert_close(paint(generator, backend), expected, atol=1e-11, rtol=0)
    assert len(called) == 2 or not hasattr(norm.conv_mask, "_diffusers_hook")
    assert hasattr(norm.conv_mask, "_diffusers_hook") == (offload_type == "leaf_level")
