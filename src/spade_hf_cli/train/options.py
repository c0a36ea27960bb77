"""Declares the options of training: diffusers' names, the paper's defaults where it states them."""

import argparse
from typing import Any

from ..options import add_data_options
from ..parsing import (
    OptionParser,
    count,
    decay,
    natural,
    nonnegative,
    positive,
    positive_weight,
    seed,
    share,
)
from ..validation_options import add_validation_options
from .presets import DISCRIMINATORS, PRESETS, WEIGHTS


# The paper's schedule, and those of diffusers that need only the number of updates. They are written out, and nothing
# of `spade_hf` is imported here, so that `spade-hf train --help` takes a tenth of a second.
LR_SCHEDULERS = (
    "constant_then_linear linear cosine cosine_with_restarts polynomial constant constant_with_warmup".split()
)


def changed_defaults(preset: str | None, discriminator: str | None) -> dict[str, Any]:
    """Return the defaults of a preset, on top of those of its discriminator or of the one that was given."""
    values = PRESETS.get(preset or "", {})
    kind = discriminator or values.get("discriminator", "patch")
    return {**DISCRIMINATORS[kind], **values, "discriminator": kind}


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """Build the parser of all options; the defaults are the paper's where it states them."""
    parser = OptionParser(prog=prog, description="Train SPADE on images and their label maps.")
    parser.add_argument("--preset", choices=sorted(PRESETS), help="defaults for the options below")

    parser.add_argument("--config", help="YAML or JSON file of options, such as a checkpoint's arguments.json")
    parser.add_argument("--dry_run", action="store_true", help="build everything, print a summary, and stop")

    data = parser.add_argument_group("data")
    add_data_options(data)
    data.add_argument("--train_split", default="train")
    data.add_argument("--cache_dir", help="folder for the prepared data of `datasets`")
    data.add_argument("--max_train_samples", type=count, help="use only the first N rows")
    data.add_argument("--resolution", type=int, nargs="+", default=[256], help="side, or height and width, in pixels")
    data.add_argument("--resize_ratio", type=float, default=286 / 256, help="resize to --resolution x this, then crop")
    data.add_argument("--center_crop", action="store_true")
    data.add_argument("--random_flip", action=argparse.BooleanOptionalAction, default=True)
    data.add_argument("--simplify_probability", type=share, default=0.0, help="share of masks painted as if by hand")
    data.add_argument("--streaming", action="store_true", help="stream the rows; needs --max_train_steps")
    data.add_argument("--shuffle_buffer_size", type=count, default=1000, help="rows in the buffer, with --streaming")
    data.add_argument("--skip_broken", action="store_true", help="skip rows that cannot be read, with a warning")
    data.add_argument("--dataloader_num_workers", type=natural, default=0)

    add_validation_options(parser)

    model = parser.add_argument_group("model", "With a pretrained model, widths, layers and norm come from it.")
    model.add_argument("--pretrained_model_name_or_path", help="pipeline to start from: folder or Hub id")
    model.add_argument(
        "--discriminator_name_or_path", help="its discriminator: folder, Hub id, or a checkpoint of its training"
    )
    model.add_argument(
        "--generator",
        default="spade",
        choices=("spade", "concatenation", "pix2pixhd"),
        help="or a baseline; concatenation: the same decoder with the mask concatenated; pix2pixhd: without latent",
    )
    model.add_argument("--image_size", type=int, nargs="+", help="size of the saved model; default: --resolution")
    model.add_argument("--base_channels", type=count, default=64)
    model.add_argument(
        "--channel_mult", type=positive_weight, nargs="+", help="block widths as multiples of --base_channels"
    )
    model.add_argument(
        "--latent_dim", type=natural, default=256, help="0: no latent, the image depends only on the mask"
    )
    model.add_argument("--use_style_encoder", action=argparse.BooleanOptionalAction, default=True)
    model.add_argument("--spade_hidden_channels", type=count, default=128)
    model.add_argument("--spade_kernel_size", type=int, default=3, choices=(1, 3, 5))
    model.add_argument("--norm_type", default="sync_batch", choices=("sync_batch", "batch", "instance"))
    model.add_argument("--num_upsampling_layers", type=int, default=5, choices=(5, 6, 7))
    model.add_argument("--style_encoder_image_size", type=int, default=256)
    model.add_argument("--style_encoder_base_channels", type=count, default=64)
    model.add_argument("--style_encoder_channel_mult", type=positive_weight, nargs="+", default=[1, 2, 4, 8, 8, 8])
    model.add_argument(
        "--discriminator",
        default="patch",
        choices=tuple(DISCRIMINATORS),
        help="patch: the paper's; segmentation: classifies each pixel as a label or fake; projected: patches of "
        "frozen features. The last two change defaults of other options, which are printed at the start",
    )
    model.add_argument(
        "--discriminator_backbone",
        choices=("none", "efficientnet-lite0"),
        help="frozen encoder of the discriminator; with segmentation, none means an encoder that is trained",
    )
    model.add_argument("--discriminator_base_channels", type=count, default=64)

    loss = parser.add_argument_group("losses")
    loss.add_argument("--perceptual_model", default="vgg19", help="vgg19, Hub id, folder, efficientnet-lite0 or none")
    for name, (weight, explanation) in WEIGHTS.items():
        loss.add_argument(f"--{name}_weight", type=nonnegative, default=weight, help=explanation)
    loss.add_argument(
        "--gan_loss",
        default="hinge",
        choices=("hinge", "relativistic"),
        help="for patch and projected; relativistic: compares a fake patch with the real one at its position",
    )
    loss.add_argument(
        "--label_mix_weight",
        type=nonnegative,
        default=5.0,
        help="for segmentation: consistency on images that are real in some labels and fake in the others",
    )
    loss.add_argument("--max_class_weight", type=positive_weight, default=20.0, help="largest weight of a rare label")
    loss.add_argument(
        "--boundary_relaxation",
        type=natural,
        default=0,
        help="for segmentation: distance in pixels from a simplified mask's border at which both labels are right",
    )
    loss.add_argument(
        "--augment_discriminator",
        nargs="*",
        default=[],
        choices=("none", "color", "translation", "cutout"),
        help="random augmentation of the discriminator's inputs",
    )
    loss.add_argument(
        "--random_style_probability",
        type=share,
        default=0.0,
        help="share of samples in a random style, not their image's; only their content is compared with the image",
    )

    optimization = parser.add_argument_group("optimization")
    optimization.add_argument("--train_batch_size", type=count, default=4, help="per process")
    optimization.add_argument("--gradient_accumulation_steps", type=count, default=1)
    optimization.add_argument(
        "--reuse_fakes",
        action="store_true",
        help="train the discriminator on the images of the generator's phase instead of new ones",
    )
    optimization.add_argument("--gradient_checkpointing", action="store_true", help="less memory, more time")
    optimization.add_argument(
        "--torch_compile",
        action="store_true",
        help="compile discriminator, style encoder and perceptual network, but not the generator: its sparse "
        "modulation depends on label values",
    )
    optimization.add_argument("--torch_compile_backend", default="inductor", help="for --torch_compile")
    optimization.add_argument("--num_train_epochs", type=count, default=200)
    optimization.add_argument("--max_train_steps", type=count, help="updates; overrides --num_train_epochs")
    optimization.add_argument("--learning_rate", type=nonnegative, default=1e-4, help="of generator and style encoder")
    optimization.add_argument("--discriminator_learning_rate", type=nonnegative, default=4e-4)
    optimization.add_argument("--adam_beta1", type=decay, default=0.0)
    optimization.add_argument("--adam_beta2", type=decay, default=0.9)
    optimization.add_argument("--adam_epsilon", type=nonnegative, default=1e-8)
    optimization.add_argument("--lr_scheduler", default="constant_then_linear", choices=LR_SCHEDULERS)
    optimization.add_argument("--lr_warmup_steps", type=natural, default=0)
    optimization.add_argument("--lr_decay_start", type=share, default=0.5, help="share of the run at a constant rate")
    optimization.add_argument("--max_grad_norm", type=positive, help="clip the gradient norm of each optimizer")
    optimization.add_argument("--ema_decay", type=decay, default=0.999)
    optimization.add_argument("--mixed_precision", choices=("no", "fp16", "bf16"), help="default: accelerate's config")
    optimization.add_argument("--allow_tf32", action="store_true", help="faster, less precise matrix products on GPUs")
    optimization.add_argument("--seed", type=seed, default=0)

    output = parser.add_argument_group("output")
    output.add_argument("--output_dir", default="spade-model")
    output.add_argument("--overwrite_output_dir", action="store_true", help="delete the run in --output_dir first")
    output.add_argument("--checkpointing_steps", type=count, default=500)
    output.add_argument(
        "--checkpoints_total_limit",
        type=natural,
        default=3,
        help="keep the newest N checkpoints, because each holds several copies of the networks; 0: keep all",
    )
    output.add_argument("--resume_from_checkpoint", help="a checkpoint's folder, latest, or hub")
    output.add_argument("--validation_steps", type=count, default=500, help="updates between sample images")
    output.add_argument("--num_validation_images", type=count, default=4)
    output.add_argument(
        "--evaluation_steps", type=count, help="updates between evaluations on pairs that are not trained on"
    )
    output.add_argument("--evaluation_split", default="validation", help="their split, with --dataset_name")
    output.add_argument("--num_evaluation_images", type=count, default=48, help="pairs, evenly spread over the split")
    output.add_argument("--log_steps", type=count, default=10)
    output.add_argument(
        "--report_to",
        default="none",
        help="installed tracker that accelerate supports: tensorboard, wandb, trackio",
    )
    output.add_argument("--logging_dir", default="logs", help="below --output_dir")

    hub = parser.add_argument_group("Hub (log in with `hf auth login`, or set HF_TOKEN)")
    hub.add_argument("--push_to_hub", action="store_true", help="upload the pipeline and its model card at the end")
    hub.add_argument(
        "--hub_strategy",
        default="end",
        choices=("end", "every_save", "checkpoint"),
        help="every_save: also upload the pipeline of each checkpoint, as the revision step-0000500 and so on; each "
        "upload estimates the batch statistics and stores all weights on the Hub. checkpoint: also upload the newest "
        "checkpoint, as the revision last-checkpoint, for --resume_from_checkpoint hub on another machine",
    )
    hub.add_argument("--hub_model_id", help="name or owner/name of the repository; default: --output_dir's name")
    hub.add_argument("--hub_private_repo", action="store_true")
    hub.add_argument("--license", help="of the weights, for the model card, such as apache-2.0")
    return parser
