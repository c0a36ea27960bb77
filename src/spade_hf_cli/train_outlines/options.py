"""Declares the options of training an outline model; those that `train` has, too, are declared there."""

from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from ..data_options import data_option
from ..declaring import option_name, same_as
from ..parsing import count, nonnegative
from ..train.options import TrainOptions, model_option, step_option


as_in_train = partial(same_as, TrainOptions)


@dataclass(frozen=True, kw_only=True)
class OutlineOptions:
    """All options of a run."""

    config: str | None = as_in_train("config")
    dry_run: bool = as_in_train("dry_run")

    # Data
    dataset_name: str | None = as_in_train("dataset_name")
    dataset_config_name: str | None = as_in_train("dataset_config_name")
    mask_folder: str | None = as_in_train(
        "mask_folder", help="folder or zip file of masks, instead of --dataset_name: ids or the label set's colors"
    )
    mask_suffix: str | None = data_option(
        None, "end of the masks' names, such as _gtFine_labelIds.png; also reads subfolders"
    )
    mask_prefix: str | None = data_option(None, "start of the masks' names, such as gt_")
    mask_column: str = as_in_train("mask_column", help=None)
    label_set: str | None = as_in_train(
        "label_set",
        help="built-in set, JSON file, or table of colors: .txt or .csv; default: labels.json with the data, CVAT's "
        "labelmap.txt or Roboflow's _classes.csv in --mask_folder",
    )
    color_tolerance: float | None = as_in_train("color_tolerance")
    train_split: str = as_in_train("train_split")
    cache_dir: str | None = as_in_train("cache_dir")
    max_train_samples: int | None = as_in_train("max_train_samples")
    resolution: list[int] = as_in_train("resolution")
    resize_ratio: float = as_in_train("resize_ratio", default=1.0)
    center_crop: bool = as_in_train("center_crop")
    random_flip: bool = as_in_train("random_flip")
    skip_broken: bool = as_in_train("skip_broken")
    dataloader_num_workers: int = as_in_train("dataloader_num_workers")

    # Network: with a pretrained model, widths and heads come from it
    pretrained_model_name_or_path: str | None = as_in_train(
        "pretrained_model_name_or_path",
        help="outline model of the same labels to start from: folder or Hub id",
    )
    block_out_channels: list[int] = model_option(
        [32, 64, 96, 96],
        "widths of the levels, at 1/2, 1/4, ... of the map's size; multiples of 8",
        kind=count,
        many="+",
        card=True,
    )
    num_attention_heads: int = model_option(4, "at the coarsest level", kind=count, card=True)

    # Optimization
    train_batch_size: int = as_in_train("train_batch_size", default=8)
    gradient_accumulation_steps: int = as_in_train("gradient_accumulation_steps")
    num_train_epochs: int = as_in_train("num_train_epochs")
    max_train_steps: int | None = as_in_train("max_train_steps")
    time: float | None = as_in_train("time")
    learning_rate: float = as_in_train("learning_rate", default=1e-3, help=None)
    adam_beta1: float = as_in_train("adam_beta1", default=0.9)
    adam_beta2: float = as_in_train("adam_beta2", default=0.99)
    adam_epsilon: float = as_in_train("adam_epsilon")
    adam_weight_decay: float = step_option(0.01, kind=nonnegative, card=True)
    lr_scheduler: str = as_in_train("lr_scheduler", default="cosine")
    lr_warmup_steps: int = as_in_train("lr_warmup_steps", default=100)
    lr_decay_start: float = as_in_train("lr_decay_start")
    max_grad_norm: float | None = as_in_train("max_grad_norm", default=1.0, help="clip the gradient norm")
    ema_decay: float = as_in_train("ema_decay")
    mixed_precision: str | None = as_in_train("mixed_precision")
    allow_tf32: bool = as_in_train("allow_tf32")
    seed: int = as_in_train("seed")

    # Output
    output_dir: str = as_in_train("output_dir", default="outline-model")
    overwrite_output_dir: bool = as_in_train("overwrite_output_dir")
    checkpointing_steps: int = as_in_train("checkpointing_steps")
    checkpoints_total_limit: int = as_in_train("checkpoints_total_limit")
    resume_from_checkpoint: str | None = as_in_train("resume_from_checkpoint")
    validation_steps: int = as_in_train("validation_steps")
    num_validation_images: int = as_in_train("num_validation_images")
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
