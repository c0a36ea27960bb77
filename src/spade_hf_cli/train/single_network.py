"""The run of a program that trains one network, such as an outline model: everything around its iteration."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from tqdm.auto import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from spade_hf.data import PairedImageDataset, build_loader
from spade_hf.training import (
    GRID,
    MetricsFile,
    ModelEMA,
    Monitor,
    NetworkIteration,
    NetworkPublisher,
    SampleOrder,
    Side,
    StopOnSignal,
    TimeLimit,
    TrainingRecipe,
    TrainingState,
    find_broken_rows,
    log_image,
    resumable_batches,
    save_losses,
    synchronize_batch_norm,
    upload,
    write_names,
)

from ..declaring import names_with
from . import messages
from .build import build_side, count_updates
from .options import NetworkOptions
from .outputs import build_checkpoints, find_checkpoint, start_publishing


@dataclass(frozen=True, kw_only=True)
class Program:
    """The parts in which such programs differ.

    Args:
        name (`str`): Of the network, in checkpoints.
        network (`Any`): On the CPU, ready to be trained.
        dataset (`PairedImageDataset`): Training samples.
        build_optimizer (`Callable`): Returns the optimizer, of the accelerator.
        build_iteration (`Callable`): Returns the iteration, of accelerator, side and average.
        build_publisher (`Callable`): Returns the publisher, of the average and the arguments of [`NetworkPublisher`]
            after `label_set`.
        describe_usage (`Callable`): Returns a sentence about the use of a model in a folder.
        evaluate (`Callable`, *optional*): Returns figures of a network, by name; of the main process.
        held_out (`PairedImageDataset`, *optional*): Pairs that are not trained on, whose names are listed.
    """

    name: str
    network: Any
    dataset: PairedImageDataset
    build_optimizer: Callable[[Accelerator], torch.optim.Optimizer]
    build_iteration: Callable[[Accelerator, Side, ModelEMA], NetworkIteration]
    build_publisher: Callable[..., NetworkPublisher]
    describe_usage: Callable[[Path], str]
    evaluate: Callable[[Any], Mapping[str, float]] | None = None
    held_out: PairedImageDataset | None = None


def train_network(
    options: NetworkOptions, accelerator: Accelerator, say: Callable[[str], None], program: Program, limit: TimeLimit
) -> None:
    """Train, save and publish the program's network, within the time limit."""
    output_dir, dataset = Path(options.output_dir), program.dataset

    # Average, optimizer and schedule
    loader: Any = build_loader(dataset, options.train_batch_size, num_workers=options.dataloader_num_workers)
    network = program.network.to(memory_format=torch.channels_last)
    average = ModelEMA(network, options.ema_decay)
    average.model.to(accelerator.device)
    if accelerator.num_processes > 1:  # after the average has been copied
        synchronize_batch_norm(network, accelerator.device)
    loader = accelerator.prepare(loader)
    SampleOrder(accelerator, loader, options.seed)  # checkpoints hold it
    num_steps = count_updates(options, loader)
    side = build_side(options, accelerator, {program.name: network}, program.build_optimizer(accelerator), num_steps)
    iteration = program.build_iteration(accelerator, side, average)
    samples_per_batch = options.train_batch_size * accelerator.num_processes
    samples_per_update = samples_per_batch * options.gradient_accumulation_steps
    if options.dry_run:
        say(messages.summarize(side.unwrapped, next(iter(loader)), len(dataset), samples_per_update, num_steps))
        accelerator.print(messages.recipe_of(options), end="")
        return

    # Outputs, and where to go on from
    resume_from = find_checkpoint(options, accelerator)
    recipe = TrainingRecipe(
        dataset_name=options.dataset_name,
        pretrained_model_name_or_path=options.pretrained_model_name_or_path,
        license=options.license,
        train_batch_size=options.train_batch_size,
        settings={name: getattr(options, name) for name in names_with(type(options), "card")},
    )
    repo_id, uploads = start_publishing(options, accelerator, recipe)
    publisher = program.build_publisher(
        average,
        recipe=recipe,
        output_dir=output_dir,
        repo_id=repo_id,
        num_samples=len(dataset),
        uploads=uploads,
        hub_strategy=options.hub_strategy,
    )
    checkpoints = build_checkpoints(options, accelerator, side.unwrapped, {program.name: average}, dataset)
    state = TrainingState() if resume_from is None else checkpoints.resume(resume_from)
    dataset.is_broken[state.broken_rows] = True
    if state.global_step >= num_steps:
        say(messages.describe_nothing_left(state.global_step, num_steps))
    hide = None if accelerator.is_local_main_process else True  # None: hide unless stderr is a terminal
    monitor = Monitor(
        accelerator,
        tqdm(total=num_steps, initial=state.global_step, disable=hide, desc="Training"),
        sides={"learning_rate": side},
        images_per_update=samples_per_update,
        metrics_file=MetricsFile(output_dir, step=state.global_step) if accelerator.is_main_process else None,
    )
    if program.held_out is not None and accelerator.is_main_process:
        write_names(program.held_out.rows, output_dir)
    batches: Any = resumable_batches(
        accelerator, loader, dataset, state, num_steps, samples_per_batch=samples_per_batch
    )

    # Train
    with monitor.progress, logging_redirect_tqdm(), StopOnSignal(accelerator) as stop:
        for batch in batches:
            monitor.add(iteration(batch))
            if not accelerator.sync_gradients:
                continue
            state.advance_update()
            step = state.global_step
            monitor.count_update()
            if step % options.log_steps == 0:
                monitor.log(step)

            # What is due after this update; all processes agree, as a signal to one of them, or its clock, stops all
            stopping, ending = stop.check(), limit.check()
            saving = stopping or ending or step == num_steps or step % options.checkpointing_steps == 0
            showing = step % options.validation_steps == 0
            steps = getattr(options, "evaluation_steps", None)
            evaluating = program.evaluate is not None and steps is not None and step % steps == 0
            is_needed = accelerator.is_main_process and (saving or showing or evaluating)
            model: Any = publisher.preview() if is_needed else None
            if saving:  # every process has random states to save, and knows broken rows
                if options.skip_broken:
                    state.broken_rows = find_broken_rows(accelerator, dataset)
                checkpoint = checkpoints.save(state, model)
            if stopping:  # there may be seconds left
                break
            if saving and model is not None:
                publisher.push(checkpoint, step)
            if ending:
                break
            if model is None:
                continue
            if showing:
                log_image(accelerator, "validation", publisher.save_samples(model, step), step)
                save_losses(output_dir)
            if evaluating and program.evaluate is not None:
                monitor.log_figures(step, program.evaluate(model))
    if accelerator.is_main_process:
        save_losses(output_dir)
    if stop.is_requested:
        is_on_hub = accelerator.is_main_process and publisher.push_last(checkpoint)
        usage = program.describe_usage(checkpoint)
        say(
            messages.describe_stop(
                stop.name, checkpoint, state.global_step, num_steps, is_on_hub=is_on_hub, usage=usage
            )
        )
        accelerator.end_training()  # else trackers report a crash
        sys.exit(stop.exit_status)

    if limit.is_reached and state.global_step < num_steps:
        say(messages.describe_time_over(state.global_step, num_steps))

    # Publish: the average, samples and a model card
    broken_rows = find_broken_rows(accelerator, dataset) if options.skip_broken else []
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        if options.skip_broken:
            messages.warn_of_broken_rows(len(broken_rows), len(dataset))
        publisher.save(state.global_step, num_broken=len(broken_rows))
        if options.push_to_hub:
            say(f"Uploaded to {upload(output_dir, publisher.repo_id)}")
    accelerator.end_training()
    say(messages.describe_end(output_dir, GRID, usage=program.describe_usage(output_dir)))
