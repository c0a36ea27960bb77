"""Options of training that contradict each other."""

from typing import TYPE_CHECKING

from ..data_options import has_masks, problem_with_condition, problem_with_data, problem_with_folders
from .options import TrainOptions
from .presets import discriminator_options


if TYPE_CHECKING:
    from ..train_segmenter.options import SegmenterOptions


def problem_with(options: TrainOptions) -> str | None:
    """Return an error message if the options are invalid, else `None`."""
    if problem := problem_with_data(options) or problem_with_condition(options):
        return problem
    if options.discriminator == "segmentation" and not has_masks(options):
        return (
            "--discriminator segmentation classifies pixels by label, and there are no masks. Give patch or projected."
        )
    if options.streaming and (options.max_train_steps is None or options.dataset_name is None):
        return "--streaming needs --max_train_steps, as a stream has no length, and --dataset_name."
    if not options.pretrained_model_name_or_path:
        for name in ("discriminator_name_or_path", "train_last_blocks"):
            if getattr(options, name) is not None:
                return f"--{name} belongs to --pretrained_model_name_or_path, which is missing."
    if problem := problem_with_validation(options):
        return problem
    allowed = discriminator_options(options.discriminator).backbones
    if options.discriminator_backbone not in allowed:
        return (
            f"--discriminator_backbone is {options.discriminator_backbone}; with --discriminator "
            f"{options.discriminator} it must be {' or '.join(allowed)}."
        )
    if options.overwrite_output_dir and options.resume_from_checkpoint:
        return "--overwrite_output_dir deletes the run that --resume_from_checkpoint continues. Give one of them."
    if options.hub_strategy != "end" and not options.push_to_hub:
        return f"--hub_strategy {options.hub_strategy} needs --push_to_hub."
    divisor = 2**options.num_upsampling_layers * options.head_upsampling
    head = f" and --head_upsampling {options.head_upsampling}" * (options.head_upsampling > 1)
    for name in ("resolution", "image_size"):
        size = getattr(options, name)
        if size is not None and (len(size) > 2 or any(side < 1 or side % divisor for side in size)):
            return (
                f"--{name} is {' '.join(map(str, size))}; give one side, or height and width, each a multiple of "
                f"{divisor} with --num_upsampling_layers {options.num_upsampling_layers}{head}."
            )
    if options.loss_crop_size is not None and options.loss_crop_size > min(options.resolution):
        return (
            f"--loss_crop_size is {options.loss_crop_size}, more than a side of --resolution "
            f"{' '.join(map(str, options.resolution))}. Give at most {min(options.resolution)}."
        )
    return None


def problem_with_validation(options: "TrainOptions | SegmenterOptions") -> str | None:
    """Return an error message if the options for pairs that are not trained on are invalid, else `None`."""
    if problem := problem_with_folders(options, "validation_"):
        return problem
    has_folders, has_share = options.validation_image_folder is not None, options.validation_share is not None
    for name in ["validation_image_folder"] * has_folders + ["validation_share"] * has_share:
        if options.image_folder is None:
            return f"--{name} belongs to --image_folder; with --dataset_name, --evaluation_split names other pairs."
    if has_folders and has_share:
        return "--validation_share holds out pairs of --image_folder; --validation_image_folder has others. Give one."
    for name in ["mask_folder", "instance_folder", "condition_folder", "panoptic_json"] * has_folders:
        if (getattr(options, name) is None) != (getattr(options, f"validation_{name}", None) is None):
            return f"--{name} and --validation_{name} belong together: give both or none."
    if (
        options.evaluation_steps
        and not (has_folders or has_share)
        and (options.dataset_name is None or getattr(options, "streaming", False))
    ):
        return (
            "--evaluation_steps needs pairs that are not trained on: --validation_image_folder and "
            "--validation_mask_folder, --validation_share, or --dataset_name with another split, without --streaming."
        )
    return None
