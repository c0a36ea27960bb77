"""Options of training that have no effect beside certain others, so that nobody relies on them."""

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .options import build_parser, changed_defaults


@dataclass(frozen=True)
class Rule:
    """Options without effect.

    Args:
        options (`str`): Their names, separated by spaces.
        is_unused (`Callable[[Namespace], bool]`): Whether the other options leave them without effect.
        condition (`str`): The reason, for the message.
    """

    options: str
    is_unused: Callable[[argparse.Namespace], bool]
    condition: str


def _has_style_encoder(args: argparse.Namespace) -> bool:
    return args.generator != "pix2pixhd" and args.latent_dim > 0 and args.use_style_encoder


RULES = (
    Rule(
        "train_split cache_dir",
        lambda args: args.image_folder is not None,
        "with --image_folder",
    ),
    Rule("shuffle_buffer_size", lambda args: not args.streaming, "without --streaming"),
    Rule(
        "channel_mult latent_dim use_style_encoder spade_hidden_channels spade_kernel_size norm_type "
        "num_upsampling_layers",
        lambda args: args.generator == "pix2pixhd",
        "with --generator pix2pixhd",
    ),
    Rule(
        "spade_hidden_channels spade_kernel_size",
        lambda args: args.generator == "concatenation",
        "with --generator concatenation",
    ),
    Rule("use_style_encoder", lambda args: args.latent_dim == 0, "with --latent_dim 0"),
    Rule(
        "style_encoder_image_size style_encoder_base_channels style_encoder_channel_mult kl_weight "
        "random_style_probability",
        lambda args: not _has_style_encoder(args),
        "without a style encoder",
    ),
    Rule("perceptual_weight", lambda args: args.perceptual_model == "none", "with --perceptual_model none"),
    Rule(
        "gan_loss feature_matching_weight",
        lambda args: args.discriminator == "segmentation",
        "with --discriminator segmentation, which has its own loss and no features to match",
    ),
    Rule(
        "label_mix_weight max_class_weight boundary_relaxation",
        lambda args: args.discriminator != "segmentation",
        "without --discriminator segmentation",
    ),
    Rule("boundary_relaxation", lambda args: args.simplify_probability == 0, "without --simplify_probability"),
    Rule("torch_compile_backend", lambda args: not args.torch_compile, "without --torch_compile"),
    Rule(
        "lr_decay_start",
        lambda args: args.lr_scheduler != "constant_then_linear",
        "with another --lr_scheduler than constant_then_linear",
    ),
    Rule("lr_warmup_steps", lambda args: args.lr_scheduler == "constant", "with --lr_scheduler constant"),
    Rule(
        "evaluation_split num_evaluation_images",
        lambda args: args.evaluation_steps is None,
        "without --evaluation_steps",
    ),
    Rule("hub_private_repo", lambda args: not args.push_to_hub, "without --push_to_hub"),
)
# 0 or false turns these off, and says so also where they would have no effect.
CAN_BE_OFF = (
    "latent_dim use_style_encoder kl_weight random_style_probability perceptual_weight feature_matching_weight "
    "label_mix_weight boundary_relaxation lr_warmup_steps hub_private_repo"
).split()


def refuse_overridden(args: argparse.Namespace, pretrained: Mapping[str, Any]) -> None:
    """Check that no option was given with another value than the pretrained model's, which decides.

    Args:
        args (`Namespace`): The options.
        pretrained (`Mapping[str, Any]`): The pretrained model's; see [`Pretrained.options`].

    Raises:
        ValueError: If one differs from both the pretrained model's and the default.
    """
    parser = build_parser()
    changed = changed_defaults(args.preset, args.discriminator)
    changed["discriminator"] = changed_defaults(args.preset, None)["discriminator"]
    for name, decided in pretrained.items():
        value, default = getattr(args, name), changed.get(name, parser.get_default(name))
        if _plain(value) not in (_plain(decided), _plain(default)):
            raise ValueError(
                f"`{name}` is {value}, but the pretrained model has {decided}, which decides. Leave it out."
            )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value


def unused_option(args: argparse.Namespace, given: Iterable[str]) -> str | None:
    """Return an error message if an option was given that has no effect, else `None`.

    Args:
        args (`Namespace`): The options.
        given (`Iterable[str]`): Names of those that the user gave; presets set others, for all cases.
    """
    given = {name for name in given if name not in CAN_BE_OFF or getattr(args, name)}
    for rule in RULES:
        for name in rule.options.split():
            if name in given and rule.is_unused(args):
                return f"--{name} has no effect {rule.condition}. Leave it out."
    return None
