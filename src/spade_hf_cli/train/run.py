"""Trains SPADE (Park et al., CVPR 2019) on images and their label maps.

One iteration trains the generator and the style encoder against a frozen discriminator, then the discriminator on new,
detached fakes: that is [`Game`], in spade_hf/training/game.py. Everything around it is here, from top to bottom.
"""

import sys
from pathlib import Path
from typing import Any

from tqdm.contrib.logging import logging_redirect_tqdm

from spade_hf.data import build_loader, preview_samples
from spade_hf.training import (
    GRID,
    SampleOrder,
    StopOnSignal,
    TimeLimit,
    find_broken_rows,
    log_image,
    prepare_backbone,
    resumable_batches,
    save_losses,
    scalars_of,
    upload,
)
from spade_hf.training.output_folder import PIPELINE_FILES, STANDALONE_FILES

from . import messages
from .build import (
    build_averages,
    build_dataset,
    build_evaluation,
    build_held_out,
    build_iteration,
    build_networks,
    build_objective,
    compile_networks,
    count_updates,
    load_pretrained,
    prepare_generator,
)
from .options import TrainOptions
from .outputs import build_checkpoints, build_monitor, build_publisher, find_checkpoint, resume
from .setup import set_up


def main(options: TrainOptions) -> None:
    """Train with the parsed options."""
    accelerator, say = set_up(options, STANDALONE_FILES if options.hub_standalone else PIPELINE_FILES)
    limit = TimeLimit(accelerator, options.time)
    output_dir = Path(options.output_dir)

    # Data: pairs to train on, and pairs to look at, which are not trained on if some are held out
    dataset: Any = build_dataset(options)
    inputs = messages.describe_inputs(dataset.processor)
    num_samples = None if options.streaming else len(dataset)  # a stream's is not known
    counts_broken = options.skip_broken and not options.streaming
    loader = build_loader(dataset, options.train_batch_size, num_workers=options.dataloader_num_workers)
    held_out = build_held_out(options, dataset)
    shown_of = dataset if held_out is None else held_out
    shown = preview_samples(shown_of, options.num_validation_images)
    evaluate = build_evaluation(options, accelerator, held_out)  # pipeline -> figures, on the main process

    # Networks: generator and style encoder, whose averages are saved in the end, against the discriminator
    pretrained, options = load_pretrained(options)  # a pretrained model decides about widths and layers
    generators, discriminators = build_networks(options, dataset.processor, pretrained)
    if options.discriminator_name_or_path is None:  # else its frozen features have been standardized
        prepare_backbone(discriminators["discriminator"], dataset)
    size, divisor = shown_of.reader.last_size, generators["generator"].size_divisor
    for line in messages.describe_values(options, dataset.processor):
        say(line)
    for line in messages.describe_start(options, dataset.reader.transform, size, divisor=divisor):
        say(line)
    averages = build_averages(options, generators, accelerator.device)
    prepare_generator(options, accelerator, generators["generator"])  # after its average has been copied from it

    # Losses: a term that is a sum over samples must not shrink when processes and batches are averaged
    num_averaged = accelerator.num_processes * options.gradient_accumulation_steps
    labels = dataset.processor.label_set_or_none
    objective = build_objective(options, labels, accelerator.device, num_averaged=num_averaged)
    networks = {**generators, **discriminators}
    compile_networks(options, networks, objective, accelerator.device)

    # Optimizers and schedules: one of each for a side
    loader = accelerator.prepare(loader)
    order = SampleOrder(accelerator, loader, options.seed)
    num_steps = count_updates(options, loader)
    game = build_iteration(options, accelerator, generators, discriminators, averages, objective, num_steps=num_steps)
    samples_per_batch = options.train_batch_size * accelerator.num_processes
    samples_per_update = samples_per_batch * options.gradient_accumulation_steps
    if options.dry_run:
        say(messages.summarize(networks, next(iter(loader)), num_samples, samples_per_update, num_steps))
        accelerator.print(messages.recipe_of(options), end="")
        return

    # Outputs, and where to go on from
    resume_from = find_checkpoint(options, accelerator)
    publisher = build_publisher(options, accelerator, game, dataset, shown, is_held_out=held_out is not None)
    checkpoints = build_checkpoints(options, accelerator, networks, averages, dataset)
    state = resume(options, checkpoints, resume_from, order, dataset)
    if state.global_step >= num_steps:
        say(messages.describe_nothing_left(state.global_step, num_steps))
    monitor = build_monitor(options, accelerator, game, held_out, state.global_step, num_steps, samples_per_update)
    batches = resumable_batches(accelerator, loader, dataset, state, num_steps, samples_per_batch=samples_per_batch)

    # Train
    with monitor.progress, logging_redirect_tqdm(), StopOnSignal(accelerator) as stop:
        for batch in batches:
            # Both phases of the game; each side is updated once `gradient_accumulation_steps` batches are through
            monitor.add(scalars_of(*game(batch)))
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
            evaluating = options.evaluation_steps is not None and step % options.evaluation_steps == 0
            is_needed = accelerator.is_main_process and (saving or showing or evaluating)
            pipeline: Any = publisher.preview() if is_needed else None  # of the averages
            if saving:  # every process has random states to save, and knows broken rows
                if counts_broken:
                    state.broken_rows = find_broken_rows(accelerator, dataset)
                checkpoint = checkpoints.save(state, pipeline)
            if stopping:  # there may be seconds left
                break
            if saving and pipeline is not None:
                publisher.push(checkpoint, step)
            if ending:
                break
            if pipeline is None:
                continue
            if showing:
                log_image(accelerator, "validation", publisher.save_samples(pipeline, step), step)
                save_losses(output_dir)
            if evaluating and evaluate is not None:
                monitor.log_figures(step, evaluate(pipeline))
    if accelerator.is_main_process:
        save_losses(output_dir)
    if stop.is_requested:
        is_on_hub = accelerator.is_main_process and publisher.push_last(checkpoint)
        usage = f"Paint with it: {messages.paint_command(checkpoint, inputs)}"
        say(
            messages.describe_stop(
                stop.name, checkpoint, state.global_step, num_steps, is_on_hub=is_on_hub, usage=usage
            )
        )
        accelerator.end_training()  # else trackers report a crash
        sys.exit(stop.exit_status)
    if limit.is_reached and state.global_step < num_steps:
        say(messages.describe_time_over(state.global_step, num_steps))

    # Publish: the averages with well estimated batch statistics, samples and a model card
    broken_rows = find_broken_rows(accelerator, dataset) if counts_broken else []
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        if counts_broken:
            messages.warn_of_broken_rows(len(broken_rows), num_samples)
        publisher.save(state.global_step, num_broken=len(broken_rows))
        if options.push_to_hub:
            say(f"Uploaded to {upload(output_dir, publisher.repo_id)}")
    accelerator.end_training()
    say(messages.describe_end(output_dir, GRID, usage=f"Paint with it: {messages.paint_command(output_dir, inputs)}"))
