"""Trains [`SPADEOutlineModel`] on label maps: painted map in, natural map out.

One iteration is [`OutlineIteration`], in spade_hf/training/outlines.py. What is around it is that of `spade-hf train`.
"""

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from tqdm.auto import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from spade_hf import LabelSet, SPADEImageProcessor, SPADEOutlineModel
from spade_hf.data import (
    PairedImageDataset,
    PairedTransform,
    build_loader,
    load_folders,
    load_label_set,
    load_rows,
    preview_samples,
)
from spade_hf.data.outlines import OutlineReader
from spade_hf.pipelines.refinement import check_outline_labels
from spade_hf.training import (
    GRID,
    MetricsFile,
    ModelEMA,
    Monitor,
    OutlineIteration,
    OutlinePublisher,
    SampleOrder,
    StopOnSignal,
    TimeLimit,
    TrainingRecipe,
    TrainingState,
    find_broken_rows,
    log_image,
    resumable_batches,
    save_losses,
    upload,
)
from spade_hf.training.output_folder import NETWORK_FILES

from ..declaring import names_with
from ..models import load_outline_model
from ..train import messages
from ..train.build import build_side, count_updates
from ..train.outputs import build_checkpoints, find_checkpoint, start_publishing
from ..train.setup import set_up
from .options import OutlineOptions


def main(options: OutlineOptions) -> None:
    """Train with the parsed options."""
    accelerator, say = set_up(options, NETWORK_FILES)
    limit = TimeLimit(accelerator, options.time)
    output_dir = Path(options.output_dir)

    # Data: label maps only
    dataset = build_dataset(options)
    label_set = dataset.processor.label_set
    loader: Any = build_loader(dataset, options.train_batch_size, num_workers=options.dataloader_num_workers)
    shown: Any = preview_samples(dataset, options.num_validation_images)

    # Network and average, optimizer and schedule
    network = build_network(options, label_set)
    decided: Any = network.config
    options = replace(
        options,
        block_out_channels=list(decided.block_out_channels),
        num_attention_heads=decided.num_attention_heads,
    )
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # not in its overloads
    average = ModelEMA(network, options.ema_decay)
    average.model.to(accelerator.device)
    loader = accelerator.prepare(loader)
    SampleOrder(accelerator, loader, options.seed)  # checkpoints hold it
    num_steps = count_updates(options, loader)
    optimizer = build_optimizer(options, accelerator, network)
    side = build_side(options, accelerator, {"outline_model": network}, optimizer, num_steps)
    iteration = OutlineIteration(accelerator, side, average)
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
        settings={name: getattr(options, name) for name in names_with(OutlineOptions, "card")},
    )
    repo_id, uploads = start_publishing(options, accelerator, recipe)
    publisher = OutlinePublisher(
        average,
        shown,
        label_set,
        recipe=recipe,
        output_dir=output_dir,
        repo_id=repo_id,
        num_samples=len(dataset),
        uploads=uploads,
        hub_strategy=options.hub_strategy,
    )
    checkpoints = build_checkpoints(options, accelerator, side.unwrapped, {"outline_model": average}, dataset)
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
            model: Any = publisher.preview() if accelerator.is_main_process and (saving or showing) else None
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
    if accelerator.is_main_process:
        save_losses(output_dir)
    if stop.is_requested:
        is_on_hub = accelerator.is_main_process and publisher.push_last(checkpoint)
        usage = usage_of(checkpoint)
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
            upload(output_dir, publisher.repo_id)
    accelerator.end_training()
    say(messages.describe_end(output_dir, GRID, usage=usage_of(output_dir)))


def usage_of(folder: Path) -> str:
    """Describe how to use a trained model."""
    return f"Paint with it: spade-hf generate MASK --outline-model {shlex.quote(str(folder))} --outline-strength 0.7"


def build_dataset(options: OutlineOptions) -> PairedImageDataset:
    """Build the data set of training samples, with the processor that holds their label set."""
    if options.mask_folder is not None:
        rows = load_folders(
            {"label": options.mask_folder},
            suffixes={"label": options.mask_suffix},
            prefixes={"label": options.mask_prefix},
        )
    else:
        assert options.dataset_name is not None  # the options were checked
        rows: Any = load_rows(
            options.dataset_name,
            config_name=options.dataset_config_name,
            split=options.train_split,
            cache_dir=options.cache_dir,
            image_columns=[options.mask_column],
        )
    if options.max_train_samples is not None:
        rows = rows.select(range(min(options.max_train_samples, len(rows))))
    labels = load_label_set(options.label_set, dataset_name=options.dataset_name, mask_folder=options.mask_folder)
    height, width = options.resolution
    reader: Any = OutlineReader(
        mask_column="label" if options.mask_folder is not None else options.mask_column,
        processor=SPADEImageProcessor(label_set=labels),
        transform=PairedTransform(
            resolution=(height, width),
            resize_ratio=options.resize_ratio,
            center_crop=options.center_crop,
            random_flip=options.random_flip,
        ),
        color_tolerance=options.color_tolerance,
    )
    return PairedImageDataset(rows, reader, seed=options.seed, skip_broken=options.skip_broken)


def build_network(options: OutlineOptions, label_set: LabelSet) -> SPADEOutlineModel:
    """Build the network, or load the one to start from.

    Raises:
        OSError, ValueError: If that one cannot be loaded, or knows other labels.
    """
    name = options.pretrained_model_name_or_path
    if name is None:
        return SPADEOutlineModel(
            num_labels=label_set.num_labels,
            labels=tuple(label_set.names[channel] for channel in label_set.class_channels),
            block_out_channels=tuple(options.block_out_channels),
            num_attention_heads=options.num_attention_heads,
        )
    network = load_outline_model(name, given_as="--pretrained_model_name_or_path", dtype=torch.float32)
    check_outline_labels(network, label_set)
    return network.train()


def build_optimizer(
    options: OutlineOptions, accelerator: Accelerator, network: SPADEOutlineModel
) -> torch.optim.Optimizer:
    """Build the network's AdamW."""
    return torch.optim.AdamW(
        network.parameters(),
        options.learning_rate,
        betas=(options.adam_beta1, options.adam_beta2),
        eps=options.adam_epsilon,
        weight_decay=options.adam_weight_decay,
        fused=accelerator.device.type in ("cpu", "cuda") or None,
    )
