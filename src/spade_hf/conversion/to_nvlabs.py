"""Conversion of a model to `.pth` files of the public implementation, to compare with its code."""

import re
from pathlib import Path

import torch
from torch import Tensor

from ..models import SPADEGenerator, SPADEStyleEncoder
from ..models.generator import PAPER_CHANNEL_MULT
from ..pipelines import SPADEPipeline
from .nvlabs import NUM_UPSAMPLING_LAYERS
from .nvlabs_keys import BLOCK_PARTS, BLOCKS, SPECTRAL_NORM_PARTS, StateDict


BLOCK_KEY = re.compile(r"blocks\.(\d+)\.(\w+?)\.(.+)")
PUBLIC_HIDDEN_CHANNELS = 128  # of its SPADE layers
PUBLIC_ENCODER = {"image_size": 256, "channel_mult": (1, 2, 4, 8, 8, 8), "latent_dim": 256}


def save_nvlabs_checkpoint(pipeline: SPADEPipeline, folder: str | Path) -> str:
    """Write `latest_net_G.pth` and, for a model with a style encoder, `latest_net_E.pth`.

    Args:
        pipeline (`SPADEPipeline`): With networks in the widths of the paper.
        folder (`str` or `Path`): An existing folder.

    Returns:
        `str`: The options with which the public implementation builds the same networks.

    Raises:
        ValueError: If the public implementation has no options for such networks.
    """
    generator, encoder = pipeline.generator, pipeline.style_encoder
    options = public_options(generator, encoder)
    torch.save(public_generator_weights(generator), Path(folder) / "latest_net_G.pth")
    if encoder is not None:
        torch.save(public_style_encoder_weights(encoder), Path(folder) / "latest_net_E.pth")
    return options


def public_options(generator: SPADEGenerator, style_encoder: SPADEStyleEncoder | None = None) -> str:
    """Return the public implementation's options for these networks, or raise a ValueError if there are none."""
    if type(generator) is not SPADEGenerator:  # a subclass builds other layers
        raise ValueError(
            f"The model's generator is a {type(generator).__name__}; only a SPADEGenerator can be written."
        )
    config = generator.config
    height, width = (size * generator.size_divisor for size in generator.start_size)
    problems = []
    if (
        config.channel_mult is not None
        and tuple(config.channel_mult) != PAPER_CHANNEL_MULT[config.num_upsampling_layers]
    ):
        problems.append(f"`channel_mult` is {tuple(config.channel_mult)}, not the paper's")
    if config.spade_hidden_channels != PUBLIC_HIDDEN_CHANNELS:
        problems.append(f"`spade_hidden_channels` is {config.spade_hidden_channels}, not {PUBLIC_HIDDEN_CHANNELS}")
    if style_encoder is not None:
        expected = {**PUBLIC_ENCODER, "base_channels": config.base_channels}
        found = {**style_encoder.config, "channel_mult": tuple(style_encoder.config.channel_mult)}
        problems += [
            f"its style encoder has {name}={found[name]}, not {value}"
            for name, value in expected.items()
            if found[name] != value
        ]
    elif config.latent_dim is not None:
        problems.append("it has a latent, but no style encoder")
    if problems:
        raise ValueError(f"The public implementation cannot build this model: {'; '.join(problems)}.")
    norm = config.norm_type.replace("sync_batch", "syncbatch")
    kernel, spectral = config.spade_kernel_size, "spectral" if config.use_spectral_norm else ""
    names = {number: name for name, number in NUM_UPSAMPLING_LAYERS.items()}
    options = [
        f"--norm_G {spectral}spade{norm}{kernel}x{kernel} --ngf {config.base_channels}",
        f"--num_upsampling_layers {names[config.num_upsampling_layers]} --label_nc {config.num_labels}",
        f"--crop_size {width} --aspect_ratio {width / height}",
    ]
    options += ["--contain_dontcare_label"] if config.use_unknown_label else []
    options += [] if config.use_instance_edges else ["--no_instance"]
    if style_encoder is not None:
        encoder_norm = "spectralinstance" if style_encoder.config.use_spectral_norm else "instance"
        options.append(f"--use_vae --z_dim {config.latent_dim} --norm_E {encoder_norm}")
    return " ".join(options)


def public_generator_weights(generator: SPADEGenerator) -> StateDict:
    """Return a generator's weights under the public names."""
    parts = {ours: public for public, ours in BLOCK_PARTS.items()}
    weights: StateDict = {}
    for key, value in generator.state_dict().items():
        match = BLOCK_KEY.fullmatch(key)
        if match is None:
            outer, _, rest = key.partition(".")
            weights[f"{'conv_img' if outer == 'conv_out' else 'fc'}.{rest}"] = value
            continue
        prefix, rest = f"{BLOCKS[int(match[1])]}.{parts[match[2]]}", _public_parameter(match[3])
        if "conv_gamma_beta." in rest:
            for name, half in zip(("mlp_gamma", "mlp_beta"), value.chunk(2), strict=True):
                weights[f"{prefix}.{rest.replace('conv_gamma_beta', name)}"] = half
        else:
            weights[f"{prefix}.{rest.replace('conv_mask.', 'mlp_shared.0.')}"] = value
    return _plain(weights)


def public_style_encoder_weights(style_encoder: SPADEStyleEncoder) -> StateDict:
    """Return a style encoder's weights under the public names."""
    weights: StateDict = {}
    for key, value in style_encoder.state_dict().items():
        if match := re.fullmatch(r"convs\.(\d+)\.(.+)", key):
            key = f"layer{int(match[1]) + 1}.0.{_public_parameter(match[2])}"
        weights[key.replace("linear_mean", "fc_mu").replace("linear_logvar", "fc_var")] = value
    return _plain(weights)


def _public_parameter(name: str) -> str:
    for public, ours in SPECTRAL_NORM_PARTS.items():
        name = name.replace(ours, public)
    return name


def _plain(weights: StateDict) -> StateDict:
    """Copy tensors to the CPU, floating-point ones as float32."""

    def plain(value: Tensor) -> Tensor:
        return value.detach().to("cpu", torch.float32 if value.is_floating_point() else value.dtype).clone()

    return {key: plain(value) for key, value in weights.items()}
