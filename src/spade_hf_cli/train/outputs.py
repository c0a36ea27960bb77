"""Builds what writes a run's outputs: checkpoints, pipelines and the Hub, numbers; only `run.py` says when."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from diffusers import ModelMixin
from tqdm.auto import tqdm

from spade_hf.batch import Batch
from spade_hf.data import PairedImageDataset
from spade_hf.hub.repositories import open_repository
from spade_hf.training import (
    CheckpointManager,
    Game,
    MetricsFile,
    ModelEMA,
    Monitor,
    Publisher,
    RevisionUploads,
    SampleOrder,
    TrainingRecipe,
    TrainingState,
    delete_existing_run,
    download_checkpoint,
    fingerprint_of,
    start_trackers,
    warn_of_other_classes,
    write_names,
)

from .build import build_recipe
from .messages import warn_of_differences
from .options import RunOptions, TrainOptions


def find_checkpoint(options: RunOptions, accelerator: Accelerator) -> str | None:
    """Return the checkpoint to resume from, if any; one on the Hub is downloaded.

    Call it before [`build_publisher`], which creates the repository: a new one has no checkpoint.
    """
    if options.resume_from_checkpoint != "hub":
        return options.resume_from_checkpoint
    with accelerator.local_main_process_first():  # the others of its machine find it in the cache
        return str(download_checkpoint(_repo_id(options)))


def build_publisher(
    options: TrainOptions,
    accelerator: Accelerator,
    game: Game,
    dataset: Any,
    shown: Sequence[Batch],
    *,
    is_held_out: bool,
) -> Publisher:
    """Build the publisher; see [`start_publishing`]."""
    recipe = build_recipe(options, game)
    repo_id, uploads = start_publishing(options, accelerator, recipe)
    return Publisher(
        game.averages,
        dataset,
        shown,
        recipe=recipe,
        output_dir=Path(options.output_dir),
        repo_id=repo_id,
        uploads=uploads,
        hub_strategy=options.hub_strategy,
        is_held_out=is_held_out,
        is_standalone=options.hub_standalone,
    )


def start_publishing(
    options: RunOptions, accelerator: Accelerator, recipe: TrainingRecipe
) -> tuple[str, RevisionUploads | None]:
    """Start the trackers, and create the repository if it will be pushed to.

    The Hub checks login and model card here: an error is one now, and not after training.

    Returns:
        `tuple[str, RevisionUploads | None]`: The model's name, and the uploads to it during training, if wanted; only
            on the main process.
    """
    repo_id, uploads = _repo_id(options), None
    if accelerator.is_main_process:
        start_trackers(accelerator, "spade", options.as_arguments())
        if options.push_to_hub:
            repo_id = open_repository(repo_id, private=options.hub_private_repo)
            recipe.validate()
            uploads = RevisionUploads(repo_id) if options.hub_strategy != "end" else None
    return repo_id, uploads


def build_checkpoints(
    options: RunOptions,
    accelerator: Accelerator,
    networks: Mapping[str, ModelMixin],
    averages: Mapping[str, ModelEMA],
    dataset: Any,
) -> CheckpointManager:
    """Build the writer and reader of checkpoints; with `--overwrite_output_dir`, the run there is deleted first."""
    if options.overwrite_output_dir and accelerator.is_main_process:
        delete_existing_run(Path(options.output_dir))
    # a checkpoint's options can start another run, which deletes nothing
    arguments = replace(options, overwrite_output_dir=False).as_arguments()
    return CheckpointManager(
        accelerator,
        Path(options.output_dir),
        networks=networks,
        averages=averages,
        arguments=arguments,
        data=fingerprint_of(dataset),
        total_limit=options.checkpoints_total_limit or None,
        on_resume=partial(warn_of_differences, arguments, accelerator.num_processes),
    )


def resume(
    options: TrainOptions, checkpoints: CheckpointManager, name: str | None, order: SampleOrder, dataset: Any
) -> TrainingState:
    """Restore a checkpoint, if one is named, with the rows that were broken; return the run's progress."""
    state = TrainingState() if name is None else checkpoints.resume(name)
    if order.is_former and options.discriminator == "segmentation":
        warn_of_other_classes(dataset.processor.label_set)
    if options.skip_broken and not options.streaming:
        dataset.is_broken[state.broken_rows] = True
    return state


def build_monitor(
    options: TrainOptions,
    accelerator: Accelerator,
    game: Game,
    held_out: PairedImageDataset | None,
    step: int,
    num_steps: int,
    images_per_update: int,
) -> Monitor:
    """Build the monitor with its progress bar and `metrics.csv`, and list the pairs that are held out.

    Args:
        options (`TrainOptions`): The run's options.
        accelerator (`Accelerator`): The run's accelerator.
        game (`Game`): The game, with the learning rates of its sides.
        held_out (`PairedImageDataset`, *optional*): Pairs that are not trained on.
        step (`int`): Finished updates, of a resumed run.
        num_steps (`int`): Updates in the whole run.
        images_per_update (`int`): Images of all processes and accumulated batches.
    """
    hide = None if accelerator.is_local_main_process else True  # None: hide unless stderr is a terminal
    metrics_file = None
    if accelerator.is_main_process:
        metrics_file = MetricsFile(Path(options.output_dir), step=step)
        if held_out is not None and (options.validation_share or options.validation_image_folder):
            write_names(held_out.rows, Path(options.output_dir))
    return Monitor(
        accelerator,
        tqdm(total=num_steps, initial=step, disable=hide, desc="Training"),
        sides={
            "learning_rate": game.generator_side,
            "discriminator_learning_rate": game.discriminator_side,
        },
        images_per_update=images_per_update,
        metrics_file=metrics_file,
    )


def _repo_id(options: RunOptions) -> str:
    return options.hub_model_id or Path(options.output_dir).resolve().name
