"""Options of training that have no effect beside certain others, so that nobody relies on them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..declaring import default_of
from .options import TrainOptions
from .presets import changed_defaults


@dataclass(frozen=True)
class Rule:
    """Options without effect.

    Args:
        options (`str`): Their names, separated by spaces.
        is_unused (`Callable[[TrainOptions], bool]`): Whether the other options leave them without effect.
        condition (`str`): The reason, for the message.
    """

    options: str
    is_unused: Callable[[TrainOptions], bool]
    condition: str


def _has_style_encoder(options: TrainOptions) -> bool:
    return options.generator != "pix2pixhd" and options.latent_dim > 0 and options.use_style_encoder


RULES = (
    Rule(
        "train_split cache_dir",
        lambda options: options.image_folder is not None,
        "with --image_folder",
    ),
    Rule("shuffle_buffer_size", lambda options: not options.streaming, "without --streaming"),
    Rule(
        "channel_mult latent_dim use_style_encoder spade_hidden_channels spade_kernel_size norm_type "
        "num_upsampling_layers",
        lambda options: options.generator == "pix2pixhd",
        "with --generator pix2pixhd",
    ),
    Rule(
        "spade_hidden_channels spade_kernel_size",
        lambda options: options.generator == "concatenation",
        "with --generator concatenation",
    ),
    Rule("use_style_encoder", lambda options: options.latent_dim == 0, "with --latent_dim 0"),
    Rule(
        "style_encoder_image_size style_encoder_base_channels style_encoder_channel_mult kl_weight "
        "random_style_probability",
        lambda options: not _has_style_encoder(options),
        "without a style encoder",
    ),
    Rule("perceptual_weight", lambda options: options.perceptual_model == "none", "with --perceptual_model none"),
    Rule(
        "gan_loss feature_matching_weight",
        lambda options: options.discriminator == "segmentation",
        "with --discriminator segmentation, which has its own loss and no features to match",
    ),
    Rule(
        "label_mix_weight max_class_weight boundary_relaxation",
        lambda options: options.discriminator != "segmentation",
        "without --discriminator segmentation",
    ),
    Rule("boundary_relaxation", lambda options: options.simplify_probability == 0, "without --simplify_probability"),
    Rule("torch_compile_backend", lambda options: not options.torch_compile, "without --torch_compile"),
    Rule(
        "lr_decay_start",
        lambda options: options.lr_scheduler != "constant_then_linear",
        "with another --lr_scheduler than constant_then_linear",
    ),
    Rule("lr_warmup_steps", lambda options: options.lr_scheduler == "constant", "with --lr_scheduler constant"),
    Rule(
        "evaluation_split num_evaluation_images",
        lambda options: options.evaluation_steps is None,
        "without --evaluation_steps",
    ),
    Rule("hub_private_repo", lambda options: not options.push_to_hub, "without --push_to_hub"),
)
# 0 or false turns these off, and says so also where they would have no effect.
CAN_BE_OFF = (
    "latent_dim use_style_encoder kl_weight random_style_probability perceptual_weight feature_matching_weight "
    "label_mix_weight boundary_relaxation lr_warmup_steps hub_private_repo"
).split()


def refuse_overridden(options: TrainOptions, pretrained: Mapping[str, Any]) -> None:
    """Check that no option was given with another value than the pretrained model's, which decides.

    Args:
        options (`TrainOptions`): The options.
        pretrained (`Mapping[str, Any]`): The pretrained model's; see [`Pretrained.options`].

    Raises:
        ValueError: If one differs from both the pretrained model's and the default.
    """
    defaults = {field.name: default_of(field) for field in fields(TrainOptions)}
    changed = changed_defaults(options.preset, options.discriminator)
    changed["discriminator"] = changed_defaults(options.preset, None)["discriminator"]
    for name, decided in pretrained.items():
        value, default = getattr(options, name), changed.get(name, defaults[name])
        if _plain(value) not in (_plain(decided), _plain(default)):
            raise ValueError(
                f"`{name}` is {value}, but the pretrained model has {decided}, which decides. Leave it out."
            )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value


def unused_option(options: TrainOptions, given: Iterable[str]) -> str | None:
    """Return an error message if an option was given that has no effect, else `None`.

    Args:
        options (`TrainOptions`): The options.
        given (`Iterable[str]`): Names of those that the user gave; presets set others, for all cases.
    """
    given = {name for name in given if name not in CAN_BE_OFF or getattr(options, name)}
    for rule in RULES:
        for name in rule.options.split():
            if name in given and rule.is_unused(options):
                return f"--{name} has no effect {rule.condition}. Leave it out."
    return None
