"""Mask norms and kinds of discriminator with their options, and whole recipes.

It has no heavy imports: where a table copies one of the library, which needs torch, a test compares them.
"""

from dataclasses import dataclass, field
from typing import Any


# The options that each norm reads, which have no effect with another one: a copy of `MASK_NORMS` in layers/norms.py.
MASK_NORM_OPTIONS = {
    "spade": ("spade_hidden_channels", "spade_kernel_size", "norm_type"),
}


@dataclass(frozen=True)
class DiscriminatorOptions:
    """The options that depend on the kind of discriminator; the defaults are those of one from outside the library.

    Args:
        help (`str`): The kind in a few words.
        loss (`tuple[str, ...]`): Options of its loss: arguments of the function in `DISCRIMINATORS` of
            training/adversaries.py.
        backbones (`tuple[str, ...]`): What `--discriminator_backbone` can be, the default first.
        matches_features (`bool`): Whether it has features for `--feature_matching_weight`.
        defaults (`dict[str, Any]`): Other defaults; presets and the command line override them.
    """

    help: str = ""
    loss: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ("none",)
    matches_features: bool = True
    defaults: dict[str, Any] = field(default_factory=dict)


# A segmentation discriminator needs no perceptual loss. The betas are those of its authors, and of Projected GANs.
DISCRIMINATOR_OPTIONS = {
    "patch": DiscriminatorOptions("the paper's", loss=("gan_loss",)),
    "segmentation": DiscriminatorOptions(
        "classifies each pixel as a label or fake",
        loss=("label_mix_weight", "max_class_weight", "boundary_relaxation"),
        backbones=("efficientnet-lite0", "none"),
        matches_features=False,
        defaults={"perceptual_model": "none", "adam_beta2": 0.999},
    ),
    "projected": DiscriminatorOptions(
        "patches of frozen features",
        loss=("gan_loss",),
        backbones=("efficientnet-lite0",),
        defaults={
            "augment_discriminator": ["color", "cutout"],
            "discriminator_learning_rate": 2e-4,
            "adam_beta2": 0.99,
        },
    ),
}


def discriminator_options(name: str) -> DiscriminatorOptions:
    """Return the options of a kind of discriminator, also of one that an imported module has added."""
    return DISCRIMINATOR_OPTIONS.get(name, DiscriminatorOptions())


PAPER = {"train_batch_size": 4, "num_train_epochs": 200, "kl_weight": 0.05 / 8}
# Recipes by name; options on the command line override them.
PRESETS: dict[str, dict[str, Any]] = {
    # To test a data set, not for good images: a step takes a fraction of a second on a laptop's CPU.
    "tiny": {
        "resolution": [64],
        "base_channels": 8,
        "discriminator_base_channels": 8,
        "spade_hidden_channels": 16,
        "latent_dim": 32,
        "style_encoder_image_size": 64,
        "style_encoder_channel_mult": [1, 2, 4, 8],
        "perceptual_model": "efficientnet-lite0",  # needs no download
        "train_batch_size": 4,
    },
    # The recipe of the bundled model's stage at 256x256, in examples/landscapes/train.sh: 14 MB in half precision, a
    # small fraction of a second per image on a CPU.
    "landscapes": {
        "resolution": [256],
        "resize_ratio": 1.0,  # renders already have this resolution; enlarging would blur them
        "base_channels": 32,
        "channel_mult": [8, 8, 8, 4, 2, 1, 1],
        "discriminator_base_channels": 32,
        "spade_hidden_channels": 32,
        "latent_dim": 64,
        "style_encoder_image_size": 128,
        "style_encoder_base_channels": 32,
        "style_encoder_channel_mult": [1, 2, 4, 4, 4],
        "discriminator": "projected",
        "augment_discriminator": ["translation", "cutout"],  # not colors, which are the styles
        "simplify_probability": 0.5,
        "random_style_probability": 0.1,
        "perceptual_model": "efficientnet-lite0",
        "perceptual_weight": 5.0,
        "color_weight": 20.0,  # without it, the light follows the style image less and less
        "kl_weight": 0.004,
        "learning_rate": 2e-4,
        "ema_decay": 0.998,
        "train_batch_size": 4,
    },
    # For a few hundred pairs, on one machine: the best on CamVid's 367 street scenes at 96x128 (docs/evaluation.md).
    "small-data": {
        "resolution": [128],
        "resize_ratio": 1.1,
        "base_channels": 16,
        "channel_mult": [8, 8, 8, 4, 2, 1, 1],
        "discriminator": "projected",
        "discriminator_base_channels": 32,
        "spade_hidden_channels": 32,
        "latent_dim": 64,
        "use_style_encoder": False,  # random styles only: a few images show only a few styles
        "perceptual_model": "efficientnet-lite0",
        "learning_rate": 2e-4,
        "ema_decay": 0.995,
        "train_batch_size": 8,
    },
    # The paper's recipes, for 8 GPUs with 4 samples each. Its KL term is a sum over the samples of one GPU, then a
    # mean over the GPUs; ours is a sum over all samples, hence the weight / 8.
    "coco-256": {**PAPER, "label_set": "coco-stuff", "resolution": [256], "num_train_epochs": 100},
    "ade20k-256": {**PAPER, "label_set": "ade20k", "resolution": [256]},
    "cityscapes-512": {
        **PAPER,
        "label_set": "cityscapes",
        "resolution": [256, 512],
        "resize_ratio": 1.0,
        "num_upsampling_layers": 6,
    },
}


def changed_defaults(preset: str | None, discriminator: str | None) -> dict[str, Any]:
    """Return the defaults of a preset, on top of those of its discriminator or of the one that was given."""
    values = PRESETS.get(preset or "", {})
    kind = discriminator or values.get("discriminator", "patch")
    options = discriminator_options(kind)
    return {"discriminator_backbone": options.backbones[0], **options.defaults, **values, "discriminator": kind}
