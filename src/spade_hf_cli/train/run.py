"""Trains SPADE (Park et al., CVPR 2019) on images and their label maps.

One iteration trains the generator and the style encoder against a frozen discriminator, then the discriminator on new,
detached fakes.
"""

import logging
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.logging import get_logger
from accelerate.utils import set_seed
from tqdm.auto import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from spade_hf import SPADEGenerator
from spade_hf.data import build_loader, preview_samples
from spade_hf.hub.repositories import open_repository
from spade_hf.training import (
    CheckpointManager,
    ModelEMA,
    Monitor,
    Publisher,
    StopOnSignal,
    TrainingRecipe,
    TrainingState,
    build_accelerator,
    compile_modules,
    delete_existing_run,
    find_broken_rows,
    fingerprint_of,
    log_image,
    refuse_existing_run,
    refuse_foreign_files,
    resumable_batches,
    start_trackers,
    synchronize_batch_norm,
)
from spade_hf.training.discriminators import prepare_backbone, warn_of_other_classes
from spade_hf.training.hub import RevisionUploads, upload
from spade_hf.training.loss_plot import save_losses
from spade_hf.training.metrics_file import MetricsFile
from spade_hf.training.output_folder import GRID
from spade_hf.training.remote_checkpoints import download_checkpoint
from spade_hf.training.sample_order import SampleOrder
from spade_hf.training.validation import write_names

from .build import (
    build_dataset,
    build_evaluation,
    build_held_out,
    build_iteration,
    build_networks,
    build_objective,
    build_recipe,
    count_updates,
    load_pretrained,
)
from .messages import (
    describe_crop,
    describe_discriminator,
    describe_end,
    describe_nothing_left,
    describe_stop,
    summarize,
    warn_of_differences,
)
from .options import TrainOptions


logger = get_logger(__name__)


def main(options: TrainOptions) -> None:
    """Train with the parsed options."""
    output_dir = Path(options.output_dir)
    if not options.dry_run:
        if not (options.resume_from_checkpoint or options.overwrite_output_dir):
            refuse_existing_run(output_dir)
        refuse_foreign_files(output_dir)
    accelerator = build_accelerator(
        options.output_dir,
        mixed_precision=options.mixed_precision,
        gradient_accumulation_steps=options.gradient_accumulation_steps,
        report_to=options.report_to,
        logging_dir=options.logging_dir,
    )
    set_up_logging()
    accelerator.print("Loading the data and the networks ...")
    set_seed(options.seed)
    if options.allow_tf32:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True

    # Data
    dataset: Any = build_dataset(options)
    num_samples = None if options.streaming else len(dataset)
    loader = build_loader(dataset, options.train_batch_size, num_workers=options.dataloader_num_workers)
    held_out: Any = build_held_out(options, dataset)
    shown_of = dataset if held_out is None else held_out
    shown = preview_samples(shown_of, options.num_validation_images)
    evaluation, evaluation_steps = None, options.evaluation_steps or 0
    if evaluation_steps > 0 and accelerator.is_main_process:
        assert held_out is not None  # the options were checked
        evaluation = build_evaluation(options, held_out, accelerator.device)

    # Networks: the generator's side against the discriminator
    pretrained, options = load_pretrained(options)
    generators, discriminators = build_networks(options, dataset.processor, pretrained)
    if options.discriminator_name_or_path is None:
        prepare_backbone(discriminators["discriminator"], dataset)
    if options.discriminator != "patch":
        accelerator.print(describe_discriminator(options))
    if shown:
        divisor = generators["generator"].size_divisor
        accelerator.print(describe_crop(dataset.reader.transform, shown_of.reader.last_size, divisor=divisor))
    averages = {name: ModelEMA(network, options.ema_decay) for name, network in generators.items()}
    for average in averages.values():
        average.model.to(accelerator.device)
    if options.norm_type == "sync_batch" and accelerator.num_processes > 1:  # not in the averages, copied above
        synchronize_batch_norm(generators["generator"], accelerator.device)
    if options.gradient_checkpointing:
        generators["generator"].enable_gradient_checkpointing()

    # Losses
    num_averaged = accelerator.num_processes * options.gradient_accumulation_steps
    objective = build_objective(options, dataset.processor.label_set, accelerator.device, num_averaged=num_averaged)
    if options.torch_compile:
        modules = [*generators.values(), *discriminators.values(), objective.perceptual_loss]
        compiled = [module for module in modules if not isinstance(module, SPADEGenerator | None)]
        compile_modules(compiled, device=accelerator.device, backend=options.torch_compile_backend)

    # Optimizers and schedules
    loader = accelerator.prepare(loader)
    order = SampleOrder(accelerator, loader, options.seed)
    num_steps = count_updates(options, loader)
    iteration = build_iteration(
        options, accelerator, generators, discriminators, averages, objective, num_steps=num_steps
    )
    samples_per_batch = options.train_batch_size * accelerator.num_processes
    images_per_update = samples_per_batch * options.gradient_accumulation_steps
    if options.dry_run:
        sizes = {"num_samples": num_samples, "samples_per_update": images_per_update, "num_steps": num_steps}
        accelerator.print(summarize({**generators, **discriminators}, next(iter(loader)), **sizes))
        return

    # Trackers and the Hub
    repo_id = options.hub_model_id or output_dir.resolve().name
    resume_from = options.resume_from_checkpoint
    if resume_from == "hub":  # before the repository is created: a new one has no checkpoint
        with accelerator.local_main_process_first():  # the others of its machine find it in the cache
            resume_from = str(download_checkpoint(repo_id))
    recipe, uploads = build_recipe(options, iteration), None
    if accelerator.is_main_process:
        start_trackers(accelerator, "spade", options.as_arguments())
        if options.push_to_hub:
            repo_id, uploads = open_hub(options, repo_id, recipe)
    publisher = Publisher(
        averages,
        dataset,
        shown,
        recipe=recipe,
        output_dir=output_dir,
        repo_id=repo_id,
        uploads=uploads,
        hub_strategy=options.hub_strategy,
        is_held_out=held_out is not None,
    )

    # Resume
    if options.overwrite_output_dir:
        if accelerator.is_main_process:
            delete_existing_run(output_dir)
    # not deleted again by a run that a checkpoint's options start
    arguments = replace(options, overwrite_output_dir=False).as_arguments()
    checkpoints = CheckpointManager(
        accelerator,
        output_dir,
        networks={**generators, **discriminators},
        averages=averages,
        arguments=arguments,
        data=fingerprint_of(dataset),
        total_limit=options.checkpoints_total_limit or None,
        on_resume=partial(warn_of_differences, arguments, accelerator.num_processes),
    )
    state = checkpoints.resume(resume_from) if resume_from else TrainingState()
    if order.is_former and options.discriminator == "segmentation":
        warn_of_other_classes(dataset.processor.label_set)
    is_counting_broken = options.skip_broken and not options.streaming
    if is_counting_broken:
        dataset.is_broken[state.broken_rows] = True
    if state.global_step >= num_steps:
        accelerator.print(describe_nothing_left(state.global_step, num_steps))

    # Train
    hide = None if accelerator.is_local_main_process else True  # None: hide unless stderr is a terminal
    progress = tqdm(total=num_steps, initial=state.global_step, disable=hide, desc="Training")
    sides = {
        "learning_rate": iteration.generator_side,
        "discriminator_learning_rate": iteration.discriminator_side,
    }
    metrics_file = None
    if accelerator.is_main_process:
        metrics_file = MetricsFile(output_dir, step=state.global_step)
        if options.validation_share or options.validation_image_folder:
            assert held_out is not None  # the options were checked
            write_names(held_out.rows, output_dir)
    monitor = Monitor(
        accelerator, progress, sides=sides, images_per_update=images_per_update, metrics_file=metrics_file
    )
    with progress, logging_redirect_tqdm(), StopOnSignal(accelerator) as stop:
        for batch in resumable_batches(
            accelerator, loader, dataset, state, num_steps, samples_per_batch=samples_per_batch
        ):
            monitor.add(*iteration(batch))
            if not accelerator.sync_gradients:
                continue
            state.advance_update()
            step = state.global_step
            monitor.count_update()
            if step % options.log_steps == 0:
                monitor.log(step)
            validating = step % options.validation_steps == 0
            saving = step % options.checkpointing_steps == 0 or step == num_steps
            saving = stop.check() or saving
            evaluating = evaluation is not None and step % evaluation_steps == 0
            is_needed = (saving or validating or evaluating) and accelerator.is_main_process
            pipeline: Any = publisher.preview() if is_needed else None
            if saving:
                if is_counting_broken:
                    state.broken_rows = find_broken_rows(accelerator, dataset)
                checkpoint = checkpoints.save(state, pipeline)
            if stop.is_requested:
                break
            if saving and accelerator.is_main_process:
                publisher.push(checkpoint, step)
            if validating and accelerator.is_main_process:
                log_image(accelerator, "validation", publisher.save_samples(pipeline, step), step)
                save_losses(output_dir)
            if evaluating:
                assert evaluation is not None
                monitor.log_figures(step, evaluation(pipeline))
    if accelerator.is_main_process:
        save_losses(output_dir)
    if stop.is_requested:
        is_on_hub = accelerator.is_main_process and publisher.push_last(checkpoint)
        accelerator.print(describe_stop(stop.name, checkpoint, state.global_step, num_steps, is_on_hub=is_on_hub))
        accelerator.end_training()  # else trackers report a crash
        sys.exit(stop.exit_status)

    # Publish
    num_broken = 0
    if is_counting_broken:
        num_broken = len(find_broken_rows(accelerator, dataset))
        logger.warning("%d of %d rows were broken and left out", num_broken, num_samples)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        publisher.save(state.global_step, num_broken=num_broken)
        if options.push_to_hub:
            upload(output_dir, repo_id)
    accelerator.end_training()
    accelerator.print(describe_end(output_dir, GRID))


def open_hub(options: TrainOptions, repo_id: str, recipe: TrainingRecipe) -> tuple[str, RevisionUploads | None]:
    """Create the repository and check the model card: a missing login is an error now, and not after training.

    Returns:
        `tuple`: The repository's whole name, and the uploads during training, if there are any.
    """
    repo_id = open_repository(repo_id, private=options.hub_private_repo)
    recipe.validate()
    return repo_id, RevisionUploads(repo_id) if options.hub_strategy != "end" else None


def set_up_logging() -> None:
    """Set up logging in short lines, without messages that do not matter to users."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    for name in ("accelerate", "httpx", "httpx2"):  # they log every file of a checkpoint, every request to the Hub
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("huggingface_hub.repocard").setLevel(logging.ERROR)  # a folder's README need not be a data card
