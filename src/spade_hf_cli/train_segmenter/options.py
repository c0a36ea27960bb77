"""Declares the options of training a segmenter; those that `train` has, too, are declared there."""

from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from ..data_options import DataOptions, data_option
from ..declaring import option_name, same_as
from ..parsing import count, nonnegative, proper_share
from ..train.options import TrainOptions, model_option, step_option


as_in_train = partial(same_as, TrainOptions)


@dataclass(frozen=True, kw_only=True)
class SegmenterOptions(DataOptions):
    """All options of a run."""

    config: str | None = as_in_train("config")
    dry_run: bool = as_in_train("dry_run")

    # Data: those of DataOptions, of which some are refused, and how training reads them
    image_channels: int = same_as(DataOptions, "image_channels", card=False)
    value_range: list[float] | None = same_as(DataOptions, "value_range", card=False)
    display_channels: list[int] | None = same_as(DataOptions, "display_channels", card=False)
    condition_channels: int = same_as(DataOptions, "condition_channels", card=False)
    condition_range: list[float] | None = same_as(DataOptions, "condition_range", card=False)
    train_split: str = as_in_train("train_split")
    cache_dir: str | None = as_in_train("cache_dir")
    max_train_samples: int | None = as_in_train("max_train_samples")
    resolution: list[int] = as_in_train("resolution", help="side of the square crops, in pixels")
    resize_ratio: float = as_in_train(
        "resize_ratio", default=4 / 3, help="resize to --resolution x this; the largest crop is that large"
    )
    min_crop_share: float = data_option(
        0.4, "area of the smallest crop as a share of the largest's", kind=proper_share, card=True
    )
    random_light: bool = data_option(
        True, "change brightness, colors, contrast and sharpness at random, and add noise", card=True
    )
    random_flip: bool = as_in_train("random_flip")
    skip_broken: bool = as_in_train("skip_broken")
    dataloader_num_workers: int = as_in_train("dataloader_num_workers")

    # Pairs that are not trained on
    validation_image_folder: str | None = as_in_train("validation_image_folder")
    validation_mask_folder: str | None = as_in_train("validation_mask_folder")
    validation_file_list: str | None = as_in_train("validation_file_list")
    validation_panoptic_json: str | None = as_in_train("validation_panoptic_json")
    validation_share: float | None = as_in_train("validation_share")

    # Network: with a pretrained model, width and image size come from it
    pretrained_model_name_or_path: str | None = as_in_train(
        "pretrained_model_name_or_path",
        help="segmenter of the same labels to start from: folder or Hub id; default: ImageNet's weights of the first "
        "layers, from a package",
    )
    image_size: int | None = model_option(
        None, "side of the square images that the model reads best; default: --resolution", kind=count, card=True
    )
    width: int = model_option(64, "channels of the decoder", kind=count, card=True)

    # Optimization
    train_batch_size: int = as_in_train("train_batch_size", default=8)
    gradient_accumulation_steps: int = as_in_train("gradient_accumulation_steps")
    num_train_epochs: int = as_in_train("num_train_epochs", default=20)
    max_train_steps: int | None = as_in_train("max_train_steps")
    time: float | None = as_in_train("time")
    learning_rate: float = as_in_train("learning_rate", default=2e-3, help="of the new layers")
    body_learning_rate: float = step_option(
        2e-5, "of the layers that start from ImageNet's weights", kind=nonnegative, card=True
    )
    adam_beta1: float = as_in_train("adam_beta1", default=0.9)
    adam_beta2: float = as_in_train("adam_beta2", default=0.99)
    adam_epsilon: float = as_in_train("adam_epsilon")
    adam_weight_decay: float = step_option(0.01, kind=nonnegative, card=True)
    lr_scheduler: str = as_in_train("lr_scheduler", default="cosine")
    lr_warmup_steps: int = as_in_train("lr_warmup_steps", default=50)
    lr_decay_start: float = as_in_train("lr_decay_start")
    max_grad_norm: float | None = as_in_train("max_grad_norm", default=1.0, help="clip the gradient norm")
    ema_decay: float = as_in_train("ema_decay", default=0.99)
    mixed_precision: str | None = as_in_train("mixed_precision")
    allow_tf32: bool = as_in_train("allow_tf32")
    seed: int = as_in_train("seed")

    # Output
    output_dir: str = as_in_train("output_dir", default="segmenter")
    overwrite_output_dir: bool = as_in_train("overwrite_output_dir")
    checkpointing_steps: int = as_in_train("checkpointing_steps")
    checkpoints_total_limit: int = as_in_train("checkpoints_total_limit")
    resume_from_checkpoint: str | None = as_in_train("resume_from_checkpoint")
    validation_steps: int = as_in_train("validation_steps")
    num_validation_images: int = as_in_train("num_validation_images")
    evaluation_steps: int | None = as_in_train("evaluation_steps")
    evaluation_split: str = as_in_train("evaluation_split")
    num_evaluation_images: int = as_in_train("num_evaluation_images")
    log_steps: int = as_in_train("log_steps")
    report_to: str = as_in_train("report_to")
    logging_dir: str = as_in_train("logging_dir")

    # The Hub
    push_to_hub: bool = as_in_train("push_to_hub", help="upload the model and its card at the end")
    hub_strategy: str = as_in_train(
        "hub_strategy",
        help="every_save: also upload the model of each checkpoint, as the revision step-0000500 and so on. "
        "checkpoint: also upload the newest checkpoint, as the revision last-checkpoint, for --resume_from_checkpoint "
        "hub on another machine",
    )
    hub_model_id: str | None = as_in_train("hub_model_id")
    hub_private_repo: bool = as_in_train("hub_private_repo")
    license: str | None = as_in_train("license")

    def as_arguments(self) -> dict[str, Any]:
        """Return the values by option, as `--config` reads them."""
        return {option_name(field): getattr(self, field.name) for field in fields(self)}
