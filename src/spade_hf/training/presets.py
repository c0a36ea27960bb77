"""Options that go together: with a kind of discriminator, and in whole recipes. This file imports nothing heavy."""

from typing import Any


# What goes with a kind of discriminator, where neither the command line nor a preset says otherwise. A segmentation
# discriminator needs no perceptual loss; betas as its authors and those of Projected GANs have them.
DISCRIMINATORS: dict[str, dict[str, Any]] = {
    "patch": {"discriminator_backbone": "none"},
    "segmentation": {
        "discriminator_backbone": "efficientnet-lite0",
        "perceptual_model": "none",
        "adam_beta2": 0.999,
    },
    "projected": {
        "discriminator_backbone": "efficientnet-lite0",
        "augment_discriminator": ["color", "cutout"],
        "discriminator_learning_rate": 2e-4,
        "adam_beta2": 0.99,
    },
}

PAPER = {"train_batch_size": 4, "num_train_epochs": 200, "kl_weight": 0.05 / 8}
# Recipes by name; an option on the command line wins over its preset.
PRESETS: dict[str, dict[str, Any]] = {
    # A step takes a fraction of a second on a laptop's CPU: to try a data set, not to make pictures.
    "tiny": {
        "resolution": [64],
        "base_channels": 8,
        "discriminator_base_channels": 8,
        "spade_hidden_channels": 16,
        "latent_dim": 32,
        "style_encoder_image_size": 64,
        "style_encoder_channel_mult": [1, 2, 4, 8],
        "train_batch_size": 4,
    },
    # The bundled model's recipe, the last stage of examples/landscapes/train.sh: 14 MB in half precision, a small
    # fraction of a second for a picture on a CPU.
    "landscapes": {
        "resolution": [256],
        "resize_ratio": 1.0,  # renders are as large as the resolution; enlarging them would cost their sharpness
        "base_channels": 32,
        "channel_mult": [8, 8, 8, 4, 2, 1, 1],
        "discriminator_base_channels": 32,
        "spade_hidden_channels": 32,
        "latent_dim": 64,
        "style_encoder_image_size": 128,
        "style_encoder_base_channels": 32,
        "style_encoder_channel_mult": [1, 2, 4, 4, 4],
        "simplify_probability": 0.5,
        "random_style_probability": 0.25,
        "perceptual_model": "efficientnet-lite0",
        "perceptual_weight": 5.0,
        "kl_weight": 0.004,
        "learning_rate": 2e-4,
        "train_batch_size": 4,
    },
    # A few hundred pairs, one machine: what did best on CamVid's 367 street scenes at 96x128 (docs/evaluation.md).
    "small-data": {
        "resolution": [128],
        "resize_ratio": 1.1,
        "base_channels": 16,
        "channel_mult": [8, 8, 8, 4, 2, 1, 1],
        "discriminator": "projected",
        "discriminator_base_channels": 32,
        "spade_hidden_channels": 32,
        "latent_dim": 64,
        "use_style_encoder": False,  # styles are random: few pictures show few of them
        "perceptual_model": "efficientnet-lite0",
        "learning_rate": 2e-4,
        "ema_decay": 0.995,
        "train_batch_size": 8,
    },
    # The paper's recipes, for 8 GPUs with 4 samples each. Its prior term is a sum over the samples of one GPU, then a
    # mean over GPUs; ours is a sum over all of them.
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
