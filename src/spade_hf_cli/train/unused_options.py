"""Options of training that have no effect beside certain others, so that nobody relies on them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from typing import Any

from ..data_options import has_masks
from ..declaring import default_of
from ..unused import Rule
from .options import TrainOptions
from .presets import DISCRIMINATOR_OPTIONS, MASK_NORM_OPTIONS, changed_defaults


def _no_effect(
    names: str, is_unused: Callable[[TrainOptions], bool], condition: str, *, also_zero: bool = False
) -> Rule:
    return Rule(names, is_unused, f"has no effect {condition}. Leave it out.", also_zero)


def _has_style_encoder(options: TrainOptions) -> bool:
    return options.generator != "pix2pixhd" and options.latent_dim > 0 and options.use_style_encoder


def _read_only_by(choice: str, reads: Mapping[str, Collection[str]], *, outside: Collection[str]) -> list[Rule]:
    """Return rules for options that only some values of another option read.

    Args:
        choice (`str`): The other option.
        reads (`Mapping[str, Collection[str]]`): Its value -> the options that this value reads.
        outside (`Collection[str]`): The options that a value of an imported module may read.
    """
    rules = []
    for name in sorted({name for names in reads.values() for name in names}):
        readers = [value for value, names in reads.items() if name in names]
        rules.append(
            _no_effect(
                name,
                lambda options, name=name: name not in reads.get(getattr(options, choice), outside),
                f"without --{choice} {' or '.join(readers)}",
            )
        )
    return rules


DISCRIMINATORS_READ = {
    kind: (*options.loss, *("feature_matching_weight",) * options.matches_features)
    for kind, options in DISCRIMINATOR_OPTIONS.items()
}
RULES = (
    _no_effect(
        "train_split cache_dir",
        lambda options: options.image_folder is not None,
        "with --image_folder",
    ),
    _no_effect("simplify_probability", lambda options: not has_masks(options), "without masks"),
    _no_effect("shuffle_buffer_size", lambda options: not options.streaming, "without --streaming"),
    _no_effect(
        "channel_mult latent_dim use_style_encoder mask_norm spade_hidden_channels spade_kernel_size norm_type "
        "num_upsampling_layers head_upsampling",
        lambda options: options.generator == "pix2pixhd",
        "with --generator pix2pixhd",
    ),
    _no_effect(
        "mask_norm spade_hidden_channels spade_kernel_size",
        lambda options: options.generator == "concatenation",
        "with --generator concatenation",
    ),
    *_read_only_by("mask_norm", MASK_NORM_OPTIONS, outside=MASK_NORM_OPTIONS["spade"]),
    _no_effect("use_style_encoder", lambda options: options.latent_dim == 0, "with --latent_dim 0"),
    _no_effect(
        "style_encoder_image_size style_encoder_base_channels style_encoder_channel_mult kl_weight "
        "random_style_probability",
        lambda options: not _has_style_encoder(options),
        "without a style encoder",
    ),
    _no_effect(
        "perceptual_weight", lambda options: options.perceptual_model == "none", "with --perceptual_model none"
    ),
    *_read_only_by("discriminator", DISCRIMINATORS_READ, outside=("feature_matching_weight",)),
    _no_effect(
        "boundary_relaxation", lambda options: options.simplify_probability == 0, "without --simplify_probability"
    ),
    _no_effect("torch_compile_backend", lambda options: not options.torch_compile, "without --torch_compile"),
    _no_effect(
        "lr_decay_start",
        lambda options: options.lr_scheduler != "constant_then_linear",
        "with another --lr_scheduler than constant_then_linear",
        also_zero=True,
    ),
    _no_effect("lr_warmup_steps", lambda options: options.lr_scheduler == "constant", "with --lr_scheduler constant"),
    _no_effect(
        "evaluation_split num_evaluation_images evaluation_segmenter",
        lambda options: options.evaluation_steps is None,
        "without --evaluation_steps",
    ),
    _no_effect("hub_private_repo hub_standalone", lambda options: not options.push_to_hub, "without --push_to_hub"),
)


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
