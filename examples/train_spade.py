"""Train SPADE (Park et al., CVPR 2019) on images and their label maps.

    accelerate launch examples/train_spade.py --preset tiny --dataset_name FOLDER_OR_HUB_ID --output_dir my-model

See docs/training.md, and `--help` for all options. One iteration trains the generator and the
style encoder against a frozen discriminator, then the discriminator against frozen, fresh fakes.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import torch
from diffusers import ModelMixin
from tqdm.auto import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm


try:
    import datasets  # noqa: F401 (what spade_hf.data needs)
    from accelerate.logging import get_logger
    from accelerate.utils import set_seed
except ModuleNotFoundError as error:
    from spade_hf.project import install_command

    sys.exit(f"error: training needs the package {error.name}, which is not installed: {install_command('train')}")

from spade_hf import MultiscaleDiscriminator, SPADEGenerator, SPADEImageProcessor, SPADEStyleEncoder
from spade_hf.data import (
    PairedImageDataset,
    PairedTransform,
    PairReader,
    StreamedImageDataset,
    build_loader,
    load_folders,
    load_label_set,
    load_rows,
    preview_samples,
)
from spade_hf.losses.perceptual import PerceptualLoss, load_perceptual_net
from spade_hf.training import (
    CheckpointManager,
    LossWeights,
    ModelEMA,
    Monitor,
    StopOnSignal,
    TrainingIteration,
    TrainingState,
    build_accelerator,
    build_optimizers,
    build_schedules,
    compile_networks,
    delete_existing_run,
    log_image,
    refuse_existing_run,
    resumable_batches,
    start_trackers,
    synchronize_batch_norm,
)
from spade_hf.training.arguments import one_line, parse_args
from spade_hf.training.export import export_pipeline, sample_grid, save_image
from spade_hf.training.finetuning import Pretrained
from spade_hf.training.hub import GRID, RevisionUploads, open_repository, save_model, upload
from spade_hf.training.summary import describe_crop, describe_end, describe_nothing_left, describe_stop, summarize


logger = get_logger(__name__)
# Forward passes that estimate the averaged generator's batch-norm statistics, on the way and for the final model.
VALIDATION_BATCHES, STATISTICS_BATCHES = 8, 64


def main(args: argparse.Namespace) -> None:
    """Train as the parsed command line says."""
    output_dir = Path(args.output_dir)
    if not (args.resume_from_checkpoint or args.overwrite_output_dir or args.dry_run):
        refuse_existing_run(output_dir)
    accelerator = build_accelerator(
        args.output_dir,
        mixed_precision=args.mixed_precision,
        gradient_accumulation_steps=args.gradient_accumulation_steps,
        report_to=args.report_to,
        logging_dir=args.logging_dir,
    )
    set_up_logging()
    set_seed(args.seed)
    if args.allow_tf32:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    dataset = build_dataset(args)
    loader = build_loader(dataset, args.train_batch_size, num_workers=args.dataloader_num_workers)
    shown = preview_samples(dataset, args.num_validation_images)
    networks = build_networks(args, dataset.processor)
    if shown:
        reader, divisor = dataset.reader, networks["generator"].size_divisor
        accelerator.print(describe_crop(reader.transform, reader.last_size, divisor=divisor))
    averages = {name: ModelEMA(networks[name], args.ema_decay) for name in networks if name != "discriminator"}
    for average in averages.values():
        average.model.to(accelerator.device)
    if args.norm_type == "sync_batch" and accelerator.num_processes > 1:  # the averages, copied above, stay plain
        synchronize_batch_norm(networks["generator"], accelerator.device)
    if args.gradient_checkpointing:
        networks["generator"].enable_gradient_checkpointing()
    perceptual_net = load_perceptual_net(args.perceptual_model)
    perceptual_loss = None if perceptual_net is None else PerceptualLoss(perceptual_net).to(accelerator.device)
    if args.torch_compile:
        compile_networks(networks, perceptual_loss, device=accelerator.device, backend=args.torch_compile_backend)

    weights = LossWeights(
        args.adversarial_weight,
        args.feature_matching_weight,
        args.perceptual_weight,
        # the one term that is a sum over the batch: averaging gradients would take the mean of its parts' sums
        args.kl_weight * accelerator.num_processes * args.gradient_accumulation_steps,
    )
    optimizers = build_optimizers(
        networks,
        learning_rate=args.learning_rate,
        discriminator_learning_rate=args.discriminator_learning_rate,
        betas=(args.adam_beta1, args.adam_beta2),
        eps=args.adam_epsilon,
        fused=accelerator.device.type in ("cpu", "cuda"),
    )
    networks = {name: accelerator.prepare(network) for name, network in networks.items()}
    loader, *optimizers = accelerator.prepare(loader, *optimizers)
    num_steps = args.max_train_steps  # always given with a stream, which has no length
    if num_steps is None:
        num_steps = max(1, args.num_train_epochs * len(loader) // args.gradient_accumulation_steps)
    schedules = build_schedules(
        accelerator,
        optimizers,
        args.lr_scheduler,
        num_steps=num_steps,
        num_warmup_steps=args.lr_warmup_steps,
        decay_start=args.lr_decay_start,
    )
    images_per_update = args.train_batch_size * accelerator.num_processes * args.gradient_accumulation_steps
    if args.dry_run:
        num_samples = None if args.streaming else len(dataset)
        sizes = {"num_samples": num_samples, "samples_per_update": images_per_update, "num_steps": num_steps}
        accelerator.print(summarize(networks, next(iter(loader)), **sizes))
        return
    if accelerator.is_main_process:
        start_trackers(accelerator, "spade", vars(args))

    repo_id, uploads = args.hub_model_id or output_dir.resolve().name, None
    if args.push_to_hub and accelerator.is_main_process:  # now, and not when the training is done, a login fails
        repo_id = open_repository(repo_id, private=args.hub_private_repo)
        uploads = RevisionUploads(repo_id) if args.hub_strategy == "every_save" else None

    live = {name: accelerator.unwrap_model(network) for name, network in networks.items()}
    if args.overwrite_output_dir:
        args.overwrite_output_dir = False  # not among the options that a checkpoint keeps for another start
        if accelerator.is_main_process:
            delete_existing_run(output_dir)
    checkpoints = CheckpointManager(
        accelerator,
        output_dir,
        networks=live,
        averages=averages,
        arguments=vars(args),
        total_limit=args.checkpoints_total_limit,
    )
    state = checkpoints.resume(args.resume_from_checkpoint) if args.resume_from_checkpoint else TrainingState()
    iteration = TrainingIteration(
        accelerator,
        networks,
        live,
        averages,
        optimizers,
        schedules,
        perceptual_loss=perceptual_loss,
        weights=weights,
        random_style_probability=args.random_style_probability,
        max_grad_norm=args.max_grad_norm,
    )

    if state.global_step >= num_steps:
        accelerator.print(describe_nothing_left(state.global_step, num_steps))
    hide = None if accelerator.is_local_main_process else True  # None: unless stderr is a terminal
    progress = tqdm(total=num_steps, initial=state.global_step, disable=hide, desc="Training")
    monitor = Monitor(accelerator, progress, images_per_update=images_per_update)
    with progress, logging_redirect_tqdm(), StopOnSignal(accelerator) as stop:
        for batch in resumable_batches(accelerator, loader, dataset, state, num_steps):
            outputs = iteration(batch)
            state.batches_done += 1
            if not accelerator.sync_gradients:
                continue
            state.global_step += 1
            monitor.count_update()
            if state.global_step % args.log_steps == 0:
                monitor.log(state.global_step, outputs, schedules)
            pipeline = None
            validating = state.global_step % args.validation_steps == 0
            saving = state.global_step % args.checkpointing_steps == 0 or state.global_step == num_steps
            saving = stop.check() or saving
            if (saving or validating) and accelerator.is_main_process:
                pipeline = export_pipeline(averages, dataset, args.train_batch_size, num_batches=VALIDATION_BATCHES)
            if saving:
                checkpoint = checkpoints.save(state, pipeline)
            if stop.is_requested:
                break
            if saving and uploads is not None:
                folder, revision = Path(tempfile.mkdtemp()), f"step-{state.global_step:07d}"
                final = export_pipeline(averages, dataset, args.train_batch_size, num_batches=STATISTICS_BATCHES)
                counts = {"num_samples": None if args.streaming else len(dataset), "num_steps": state.global_step}
                save_model(final, folder, shown, vars(args), repo_id=repo_id, revision=revision, **counts)
                uploads.start(folder, revision)
            if validating and accelerator.is_main_process:
                grid = sample_grid(pipeline, shown)
                save_image(grid, output_dir / "samples" / f"step-{state.global_step:07d}.png")
                log_image(accelerator, "validation", grid, state.global_step)
    if stop.is_requested:
        accelerator.print(describe_stop(stop.name, checkpoint, state.global_step, num_steps))
        accelerator.end_training()  # else trackers take it for a crash
        sys.exit(stop.exit_status)

    num_samples = None if args.streaming else len(dataset)
    if args.skip_broken and not args.streaming:
        is_broken = accelerator.reduce(dataset.is_broken.int().to(accelerator.device))  # each process has met its own
        num_samples -= is_broken.count_nonzero().item()
        logger.warning("%d of %d rows were broken and left out", len(dataset) - num_samples, len(dataset))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        pipeline = export_pipeline(averages, dataset, args.train_batch_size, num_batches=STATISTICS_BATCHES)
        counts = {"num_samples": num_samples, "num_steps": state.global_step}
        save_model(pipeline, output_dir, shown, vars(args), repo_id=repo_id, **counts)
        if uploads is not None:
            uploads.wait()
        if args.push_to_hub:
            upload(output_dir, repo_id, logging_dir=args.logging_dir)
    accelerator.end_training()
    accelerator.print(describe_end(output_dir, GRID))


def set_up_logging() -> None:
    """Short lines; without what says nothing to who trains."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    for name in ("accelerate", "httpx", "httpx2"):  # they name every file of a checkpoint, every request to the Hub
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("huggingface_hub.repocard").setLevel(logging.ERROR)  # a folder's README need not be a data card


def build_dataset(args: argparse.Namespace) -> PairedImageDataset | StreamedImageDataset:
    """The training samples, and the processor that knows their labels."""
    if args.image_folder is not None:
        folders = {"image": args.image_folder, "label": args.mask_folder, "instance": args.instance_folder}
        folders = {column: folder for column, folder in folders.items() if folder is not None}
        rows, columns = load_folders(folders), ("image", "label", "instance" if args.instance_folder else None)
        labels_with = str(Path(args.mask_folder).parent)
    else:
        rows = load_rows(
            args.dataset_name,
            config_name=args.dataset_config_name,
            split=args.train_split,
            cache_dir=args.cache_dir,
            streaming=args.streaming,
        )
        columns, labels_with = (args.image_column, args.mask_column, args.instance_column), args.dataset_name
    image_column, mask_column, instance_column = columns
    label_set = load_label_set(args.label_set, dataset_name=labels_with)
    reader = PairReader(
        image_column=image_column,
        mask_column=mask_column,
        instance_column=instance_column,
        processor=SPADEImageProcessor(label_set=label_set, use_instance_edges=instance_column is not None),
        transform=PairedTransform(
            resolution=tuple(args.resolution),
            resize_ratio=args.resize_ratio,
            center_crop=args.center_crop,
            random_flip=args.random_flip,
            simplify_probability=args.simplify_probability,
        ),
        color_tolerance=args.color_tolerance,
    )
    options = {"seed": args.seed, "skip_broken": args.skip_broken}
    if args.streaming:
        rows = rows if args.max_train_samples is None else rows.take(args.max_train_samples)
        return StreamedImageDataset(rows, reader, shuffle_buffer_size=args.shuffle_buffer_size, **options)
    if args.max_train_samples is not None:
        rows = rows.select(range(min(args.max_train_samples, len(rows))))
    return PairedImageDataset(rows, reader, **options)


def build_networks(args: argparse.Namespace, processor: SPADEImageProcessor) -> dict[str, ModelMixin]:
    """`generator`, `discriminator` and perhaps `style_encoder`, freshly initialized or pretrained."""
    pretrained = None
    if args.pretrained_model_name_or_path is not None:
        pretrained = Pretrained.load(args.pretrained_model_name_or_path, args.discriminator_name_or_path)
        vars(args).update(pretrained.options())  # checkpoints and the model card name what was built
    labels = processor.label_set
    semantics = {
        "num_labels": labels.num_labels,
        "use_unknown_label": labels.use_unknown_label,
        "use_instance_edges": processor.config.use_instance_edges,
    }
    generator = SPADEGenerator(
        **semantics,
        image_size=tuple(args.image_size),
        base_channels=args.base_channels,
        channel_mult=args.channel_mult,
        latent_dim=args.latent_dim or None,
        spade_hidden_channels=args.spade_hidden_channels,
        spade_kernel_size=args.spade_kernel_size,
        norm_type=args.norm_type,
        num_upsampling_layers=args.num_upsampling_layers,
    )
    discriminator = MultiscaleDiscriminator(**semantics, base_channels=args.discriminator_base_channels)
    networks = {"generator": generator, "discriminator": discriminator}
    if args.use_style_encoder and args.latent_dim:
        networks["style_encoder"] = SPADEStyleEncoder(
            image_size=args.style_encoder_image_size,
            base_channels=args.style_encoder_base_channels,
            channel_mult=tuple(args.style_encoder_channel_mult),
            latent_dim=args.latent_dim,
        )
    if pretrained is not None:
        pretrained.initialize(networks, processor)
    return networks


if __name__ == "__main__":
    try:
        main(parse_args())
    except (ValueError, FloatingPointError, ImportError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # before the first update or after the last
        sys.exit(130)
