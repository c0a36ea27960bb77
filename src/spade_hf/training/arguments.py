"""The command line of the training script: diffusers' option names, presets, and checks before anything is loaded."""

import argparse
from collections.abc import Sequence
from typing import Any

from diffusers.optimization import SchedulerType


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
    # The bundled model's shape: 13 MB in half precision, a small fraction of a second an image on a CPU.
    "landscapes": {
        "resolution": [128],
        "base_channels": 32,
        "channel_mult": [8, 8, 8, 4, 2, 1, 1],
        "discriminator_base_channels": 32,
        "spade_hidden_channels": 32,
        "latent_dim": 64,
        "style_encoder_image_size": 128,
        "style_encoder_base_channels": 32,
        "style_encoder_channel_mult": [1, 2, 4, 4, 4],
        "simplify_probability": 0.5,
        "train_batch_size": 8,
    },
    # The paper's recipe for COCO-Stuff, batch 32 on 8 GPUs.
    "coco-256": {"label_set": "coco-stuff", "resolution": [256], "train_batch_size": 4, "num_train_epochs": 100},
}


def parse_args(input_args: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line; `--preset` sets defaults."""
    parser = build_parser()
    chosen, _ = parser.parse_known_args(input_args)
    if chosen.preset is not None:
        parser.set_defaults(**PRESETS[chosen.preset])
    args = parser.parse_args(input_args)
    if len(args.resolution) == 1:
        args.resolution = args.resolution * 2
    if len(args.resolution) != 2:
        parser.error(f"--resolution has {len(args.resolution)} numbers; give one side, or height and width.")
    for name in ("train_batch_size", "gradient_accumulation_steps", "checkpointing_steps", "validation_steps"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} is {getattr(args, name)}; it must be 1 or more.")
    return args


def build_parser() -> argparse.ArgumentParser:
    """All options with their defaults, the paper's where it names one."""
    parser = argparse.ArgumentParser(description="Train SPADE on images and their label maps.")
    parser.add_argument("--preset", choices=sorted(PRESETS), help="defaults for the options below")

    data = parser.add_argument_group("data")
    data.add_argument("--dataset_name", required=True, help="Hub data set, local folder or parquet file")
    data.add_argument("--dataset_config_name", help="configuration of the data set")
    data.add_argument("--train_split", default="train")
    data.add_argument("--cache_dir", help="where `datasets` keeps what it prepared")
    data.add_argument("--max_train_samples", type=int, help="use the first rows only")
    data.add_argument("--image_column", default="image")
    data.add_argument("--mask_column", default="label")
    data.add_argument("--instance_column", help="instance maps; names it, and the model gets an edge channel")
    data.add_argument("--label_set", help="built-in set, or a JSON file of ids, names and colours")
    data.add_argument("--resolution", type=int, nargs="+", default=[256], help="side, or height and width, in pixels")
    data.add_argument("--resize_ratio", type=float, default=286 / 256, help="resize to this many times, then crop")
    data.add_argument("--center_crop", action="store_true")
    data.add_argument("--random_flip", action=argparse.BooleanOptionalAction, default=True)
    data.add_argument("--simplify_probability", type=float, default=0.0, help="share of masks made coarse")
    data.add_argument("--dataloader_num_workers", type=int, default=0)

    model = parser.add_argument_group("model")
    model.add_argument("--image_size", type=int, nargs="+", help="of the saved model; default: --resolution")
    model.add_argument("--base_channels", type=int, default=64)
    model.add_argument("--channel_mult", type=float, nargs="+", help="widths of the blocks over --base_channels")
    model.add_argument("--latent_dim", type=int, default=256, help="0: no latent, the picture follows from the mask")
    model.add_argument("--use_style_encoder", action=argparse.BooleanOptionalAction, default=True)
    model.add_argument("--spade_hidden_channels", type=int, default=128)
    model.add_argument("--spade_kernel_size", type=int, default=3, choices=(1, 3, 5))
    model.add_argument("--norm_type", default="sync_batch", choices=("sync_batch", "batch", "instance"))
    model.add_argument("--num_upsampling_layers", type=int, default=5, choices=(5, 6, 7))
    model.add_argument("--style_encoder_image_size", type=int, default=256)
    model.add_argument("--style_encoder_base_channels", type=int, default=64)
    model.add_argument("--style_encoder_channel_mult", type=float, nargs="+", default=[1, 2, 4, 8, 8, 8])
    model.add_argument("--discriminator_base_channels", type=int, default=64)

    loss = parser.add_argument_group("losses")
    loss.add_argument("--perceptual_model", default="vgg19", help="vgg19, Hub id, folder, efficientnet-lite0 or none")
    loss.add_argument("--adversarial_weight", type=float, default=1.0)
    loss.add_argument("--feature_matching_weight", type=float, default=10.0)
    loss.add_argument("--perceptual_weight", type=float, default=10.0)
    loss.add_argument("--kl_weight", type=float, default=0.05)

    optimization = parser.add_argument_group("optimization")
    optimization.add_argument("--train_batch_size", type=int, default=4, help="of each process")
    optimization.add_argument("--gradient_accumulation_steps", type=int, default=1)
    optimization.add_argument("--num_train_epochs", type=int, default=200)
    optimization.add_argument("--max_train_steps", type=int, help="updates; wins over --num_train_epochs")
    optimization.add_argument("--learning_rate", type=float, default=1e-4, help="of generator and style encoder")
    optimization.add_argument("--discriminator_learning_rate", type=float, default=4e-4)
    optimization.add_argument("--adam_beta1", type=float, default=0.0)
    optimization.add_argument("--adam_beta2", type=float, default=0.9)
    optimization.add_argument(
        "--lr_scheduler",
        default="constant_then_linear",
        choices=["constant_then_linear", *(kind.value for kind in SchedulerType)],
    )
    optimization.add_argument("--lr_warmup_steps", type=int, default=0)
    optimization.add_argument("--lr_decay_start", type=float, default=0.5, help="share of the run that is constant")
    optimization.add_argument("--max_grad_norm", type=float, help="clip each network's gradients")
    optimization.add_argument("--ema_decay", type=float, default=0.999)
    optimization.add_argument("--mixed_precision", choices=("no", "fp16", "bf16"), help="default: accelerate's config")
    optimization.add_argument("--seed", type=int, default=0)

    output = parser.add_argument_group("output")
    output.add_argument("--output_dir", default="spade-model")
    output.add_argument("--checkpointing_steps", type=int, default=500)
    output.add_argument("--checkpoints_total_limit", type=int)
    output.add_argument("--resume_from_checkpoint", help="a checkpoint's folder, or latest")
    output.add_argument("--validation_steps", type=int, default=500, help="updates between sample images")
    output.add_argument("--num_validation_images", type=int, default=4)
    output.add_argument("--log_steps", type=int, default=10)
    output.add_argument(
        "--report_to", default="none", help="tracker that accelerate knows: tensorboard, wandb, trackio"
    )
    output.add_argument("--logging_dir", default="logs", help="below --output_dir")
    return parser
