"""Weight names: from the public implementation's checkpoints to ours.

The key names below belong to the checkpoint format; none of the implementation's code is used.
"""

import re

import torch
from torch import Tensor


StateDict = dict[str, Tensor]
# The public names of the residual blocks, in the order of our `blocks`; the last one exists only with "most".
BLOCKS = ("head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3", "up_4")
BLOCK_PARTS = {
    "conv_0": "conv1",
    "conv_1": "conv2",
    "conv_s": "conv_shortcut",
    "norm_0": "norm1",
    "norm_1": "norm2",
    "norm_s": "norm_shortcut",
}
SPECTRAL_NORM_PARTS = {
    "weight_orig": "parametrizations.weight.original",
    "weight_u": "parametrizations.weight.0._u",
    "weight_v": "parametrizations.weight.0._v",
}
DISCRIMINATOR_KEY = re.compile(r"discriminator_(\d+)\.model(\d+)\.(?:0\.)+(\w+)")


def convert_generator_weights(weights: StateDict) -> StateDict:
    """Rename public generator weights to [`SPADEGenerator`]'s names; spectral norm stays a parametrization."""
    outer = {"fc": "conv_in" if weights["fc.weight"].ndim == 4 else "linear_in", "conv_img": "conv_out"}
    converted = {}
    for key, value in weights.items():
        name, _, rest = key.partition(".")
        if name in BLOCKS:
            part, _, rest = rest.partition(".")
            rest = rest.replace("mlp_shared.0.", "conv_mask.")
            prefix = f"blocks.{BLOCKS.index(name)}.{BLOCK_PARTS[part]}"
            if rest.startswith("mlp_beta."):
                continue  # concatenated with gamma below
            if rest.startswith("mlp_gamma."):
                value = torch.cat([value, weights[key.replace("mlp_gamma", "mlp_beta")]])
                rest = rest.replace("mlp_gamma", "conv_gamma_beta")
            converted[f"{prefix}.{SPECTRAL_NORM_PARTS.get(rest, rest)}"] = value
        else:
            converted[f"{outer[name]}.{rest}" if name in outer else key] = value
    return converted


def convert_style_encoder_weights(weights: StateDict) -> StateDict:
    """Rename public encoder weights to [`SPADEStyleEncoder`]'s names."""
    converted = {}
    for key, value in weights.items():
        if match := re.fullmatch(r"layer(\d+)\.0\.(\w+)", key):
            position, part = int(match[1]) - 1, match[2]
            key = f"convs.{position}.{SPECTRAL_NORM_PARTS.get(part, part)}"
        else:
            key = key.replace("fc_mu", "linear_mean").replace("fc_var", "linear_logvar")
        converted[key] = value
    return converted


def convert_discriminator_weights(weights: StateDict) -> StateDict:
    """Rename public discriminator weights to [`MultiscaleDiscriminator`]'s names."""
    _, last_layer = shape_of_discriminator(weights)
    converted = {}
    for key in weights:
        match = DISCRIMINATOR_KEY.fullmatch(key)
        if match is None:
            converted[key] = weights[key]
            continue
        scale, layer, part = match[1], int(match[2]), match[3]
        name = {0: "conv_in", last_layer: "conv_out"}.get(layer, f"convs.{layer - 1}")
        converted[f"scales.{scale}.{name}.{SPECTRAL_NORM_PARTS.get(part, part)}"] = weights[key]
    return converted


def shape_of_discriminator(weights: StateDict) -> tuple[int, int]:
    """Count the scales of a public discriminator, and its layers before the logits."""
    places = [(int(match[1]), int(match[2])) for match in map(DISCRIMINATOR_KEY.fullmatch, weights) if match]
    # counted, not read from the largest number, which can be arbitrary: keys out of order are reported as extra
    return len({scale for scale, _ in places}), len({layer for _, layer in places}) - 1
