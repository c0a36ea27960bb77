"""Messages about what a run will do, and about its results."""

import json
import logging
import math
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from spade_hf.batch import Batch
from spade_hf.data import PairedTransform
from spade_hf.features.three_channels import describe_three_channels
from spade_hf.hub.model_card import without_folder
from spade_hf.images.processor import SPADEImageProcessor
from spade_hf.training import SavedState

from ..config_file import as_yaml
from ..declaring import names_with
from .options import RunOptions, TrainOptions
from .presets import discriminator_options


logger = logging.getLogger(__name__)


def describe_values(options: TrainOptions, processor: SPADEImageProcessor) -> list[str]:
    """Describe what is not usual about the images' channels and values, in one line each."""
    lines = []
    if processor.value_range is not None and options.value_range is None:
        lines.append("The images have 16 bits, and so will the model's: --value_range 0 65535")
    if processor.config.condition_channels:
        lines.append(
            f"A condition of {processor.config.condition_channels} channels is read "
            + ("beside the labels" if processor.has_labels else "without labels")
            + ": SPADE layers are computed densely, as sparse modulation is for labels alone"
        )
    seen = describe_three_channels(processor.config.image_channels)
    return lines if seen is None else [*lines, seen]


def describe_inputs(processor: SPADEImageProcessor) -> str:
    """Return what `spade-hf generate` is given with a model."""
    words = ["MASK"] * processor.has_labels + ["--condition FILE"] * (processor.config.condition_channels > 0)
    return " ".join(words)


def summarize(
    networks: Mapping[str, nn.Module],
    batch: Batch,
    num_samples: int | None,
    samples_per_update: int,
    num_steps: int,
) -> str:
    """Describe the networks' parameters, the shapes of a batch, and how often every sample is seen.

    Args:
        networks (`Mapping[str, nn.Module]`): Networks by name.
        batch (`Batch`): A batch of one process.
        num_samples (`int`, *optional*): Samples in the data set; `None` for a stream.
        samples_per_update (`int`): Samples of all processes and accumulated batches.
        num_steps (`int`): Updates.
    """
    lines = [
        f"{name}: {sum(p.numel() for p in network.parameters()):,} parameters" for name, network in networks.items()
    ]
    generator: Any = networks.get("generator")
    if generator is not None and (upsampling := generator.config.get("head_upsampling", 1)) > 1:
        lines.append(f"head_upsampling {upsampling}: the blocks work at 1/{upsampling} of the image's size at most")
    if generator is not None and "style_encoder" not in networks:
        has_styles = generator.config.latent_dim is not None
        what = "pictures in random styles only" if has_styles else "one picture of each mask"
        lines.append(f"no style encoder: {what}")
    tensors = cast(dict[str, Tensor], batch).items()
    lines += [f"batch of a process: {name} {tuple(value.shape)} {value.dtype}" for name, value in tensors]
    updates = f"{num_steps:,} updates of {samples_per_update} samples"
    if num_samples is not None:
        epochs = num_steps * samples_per_update / num_samples
        updates += f": {epochs:,.1f} times through {num_samples:,} samples"
    lines.append(updates)
    return "\n".join(lines)


def recipe_of(options: RunOptions) -> str:
    """Return the options as YAML for `--config`: as they took effect, and without what makes a run a dry one."""
    return as_yaml(replace(options, dry_run=False, config=None).as_arguments())


def describe_start(
    options: TrainOptions, transform: PairedTransform, size: tuple[int, int] | None, *, divisor: int
) -> list[str]:
    """Describe what the kind of discriminator decides, and how photographs are cropped: a line for each.

    `size` is `None` if no photograph has been read; see [`describe_crop`].
    """
    lines = [] if options.discriminator == "patch" else [describe_discriminator(options)]
    return lines if size is None else [*lines, describe_crop(transform, size, divisor=divisor)]


def describe_discriminator(options: TrainOptions) -> str:
    """Describe in one line the options that depend on the kind of discriminator."""
    names = ["discriminator_backbone", "perceptual_model", "adam_beta2", "augment_discriminator"]
    names += discriminator_options(options.discriminator).loss
    values = [f"--{name} {_words(getattr(options, name))}" for name in names]
    return f"--discriminator {options.discriminator}: {', '.join(values)}"


def _words(value: Any) -> str:
    return (" ".join(map(str, value)) or "none") if isinstance(value, list | tuple) else str(value)


def describe_crop(transform: PairedTransform, size: tuple[int, int], *, divisor: int) -> str:
    """Describe how a photograph is resized and cropped, and which resolution would show more of it.

    Args:
        transform (`PairedTransform`): The run's transform.
        size (`tuple[int, int]`): (width, height) of the photograph.
        divisor (`int`): The generator's image sizes are multiples of it.
    """
    width, height = size
    resized, shown = transform.resized_shape(height, width), transform.shown_share(height, width)
    text = "Photographs of {}x{} (width x height) are resized to {}x{}, then cropped to {}x{}: {:.0%} of each is seen."
    text = text.format(width, height, *resized[::-1], *transform.resolution[::-1], shown)
    # keep the shorter side, and take the longer one from the photograph's aspect ratio
    short = min(transform.resolution)
    long = max(1, round(short * max(size) / min(size) / divisor)) * divisor
    better = (short, long) if width > height else (long, short)
    better_share = replace(transform, resolution=better).shown_share(height, width)
    if better_share > shown + 0.05:
        text += f" --resolution {better[0]} {better[1]} shows {better_share:.0%}."
    return text


def warn_of_differences(
    arguments: Mapping[str, Any], num_processes: int, before: Mapping[str, Any], saved: SavedState
) -> None:
    """Log in what a resumed run differs from its checkpoint.

    Args:
        arguments (`Mapping[str, Any]`): The run's options.
        num_processes (`int`): The run's processes.
        before (`Mapping[str, Any]`): The checkpoint's options.
        saved (`SavedState`): The checkpoint's progress.
    """
    warn_of_changes(before, arguments)
    warn_of_other_processes(before, arguments, saved, num_processes)


def warn_of_changes(before: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Log the options in which a resumed run's updates differ from those of its checkpoint.

    Args:
        before (`Mapping[str, Any]`): The checkpoint's options.
        arguments (`Mapping[str, Any]`): The run's options. Those that the checkpoint does not have are left out.
    """
    now = json.loads(json.dumps(dict(arguments), default=str))
    free = set(names_with(TrainOptions, "free"))
    if now.get("streaming"):  # each worker reads its own part of a stream; 0 workers read as 1
        free.remove("dataloader_num_workers")
    changes = [
        f"--{name} {_words(value)} (checkpoint: {_words(before[name])})"
        for name, value in now.items()
        if name in before and name not in free and without_folder(value) != without_folder(before[name])
    ]
    if changes:
        logger.warning(
            "Other options than the checkpoint's, so this does not repeat an uninterrupted run: %s. The optimizers' "
            "learning rates, betas and epsilon stay the checkpoint's.",
            ", ".join(changes),
        )


def warn_of_other_processes(
    before: Mapping[str, Any], arguments: Mapping[str, Any], saved: SavedState, num_processes: int
) -> None:
    """Log how a resumed run goes on if its checkpoint is of another number of processes, or does not record it.

    Args:
        before (`Mapping[str, Any]`): The checkpoint's options.
        arguments (`Mapping[str, Any]`): The run's options.
        saved (`SavedState`): The checkpoint's progress.
        num_processes (`int`): The run's processes.
    """
    if saved.is_old:
        logger.warning(
            "The checkpoint is of an earlier version and does not record its number of processes: it has the random "
            "states of %d.",
            saved.num_processes,
        )
    if saved.num_processes == num_processes:
        return
    names = ("train_batch_size", "gradient_accumulation_steps")
    old, new = (
        count * math.prod(values.get(name, 1) for name in names)
        for values, count in ((before, saved.num_processes), (arguments, num_processes))
    )
    samples = f"An update still has {new} samples."
    if old != new:
        samples = f"An update now has {new} samples instead of {old}"
        samples += ", and --num_train_epochs counts the finished ones as if they had as many." * (
            arguments.get("max_train_steps", 0) is None
        )
        samples = samples.rstrip(".") + "."
    logger.warning(
        "Checkpoint of %d processes, now %d: the learning rates go on after update %d, the data after sample %d of "
        "epoch %d. %s",
        saved.num_processes,
        num_processes,
        saved.state.global_step,
        saved.state.samples_done,
        saved.state.epoch,
        samples,
    )


def warn_of_broken_rows(num_broken: int, num_samples: int | None) -> None:
    """Log how many rows a run has left out."""
    logger.warning("%d of %d rows were broken and left out", num_broken, num_samples)


def paint_command(folder: Path, inputs: str = "MASK") -> str:
    """Return the command that paints with a saved pipeline; for `inputs` see [`describe_inputs`]."""
    return f"spade-hf generate {inputs} --model {shlex.quote(str(folder))}"


def describe_end(output_dir: Path, grid: str, *, usage: str | None = None) -> str:
    """Describe where a finished run's model is, and how to use it: `usage`, or if `None`, the line of `train`."""
    return (
        f"Saved the model to {output_dir}; its samples: {output_dir / grid}\n"
        f"{usage or f'Paint with it: {paint_command(output_dir)}'}"
    )


def describe_stop(
    reason: str,
    checkpoint: Path,
    step: int,
    num_steps: int,
    *,
    is_on_hub: bool = False,
    usage: str | None = None,
) -> str:
    """Describe where a stopped run's checkpoint is, and how to continue; for `usage` see [`describe_end`]."""
    elsewhere = "On another machine: the same command with --resume_from_checkpoint hub\n" if is_on_hub else ""
    return (
        f"{reason}: stopped after {step} of {num_steps} updates; saved {checkpoint}\n"
        f"Continue: the same command with --resume_from_checkpoint latest\n{elsewhere}"
        f"{usage or f'Paint with it: {paint_command(checkpoint)}'}"
    )


def describe_time_over(step: int, num_steps: int) -> str:
    """Describe what a run's end by `--time` means."""
    return (
        f"--time is over after {step} of {num_steps} updates: the learning rates are still those of a run of "
        f"{num_steps}. To continue it: the same command with --resume_from_checkpoint latest"
    )


def describe_nothing_left(step: int, num_steps: int) -> str:
    """Explain why a resumed run trains nothing."""
    return (
        f"Nothing to train: {step} updates are done, and this command asks for {num_steps}. To continue, give "
        f"--max_train_steps above {step}."
    )
