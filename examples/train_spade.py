"""Train SPADE (Park et al., CVPR 2019) on images and their label maps.

    accelerate launch examples/train_spade.py --preset tiny --dataset_name FOLDER_OR_HUB_ID --output_dir my-model

See README.md for the layout of the data, and `--help` for all options. One iteration trains the generator and the
style encoder against a frozen discriminator, then the discriminator against frozen, fresh fakes.
"""

import argparse
import functools
import logging
import signal
import sys
from pathlib import Path

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.logging import get_logger
from accelerate.utils import GradientAccumulationPlugin, ProjectConfiguration, set_seed
from diffusers import ModelMixin
from tqdm.auto import tqdm

from spade_hf import MultiscaleDiscriminator, SPADEGenerator, SPADEImageProcessor, SPADEStyleEncoder
from spade_hf.data import PairedImageDataset, PairedTransform, load_folders, load_label_set, load_rows
from spade_hf.losses.perceptual import PerceptualLoss, load_perceptual_net
from spade_hf.training import (
    CheckpointManager,
    LossWeights,
    ModelEMA,
    TrainingState,
    backward_and_step,
    discriminator_step,
    generate,
    generator_step,
    learning_rate_schedule,
    resumable_batches,
    scalars,
    stop_on_sigterm,
    synchronize_batch_norm,
)
from spade_hf.training.arguments import parse_args
from spade_hf.training.export import export_pipeline, sample_grid, save_image
from spade_hf.training.hub import open_repository, upload, write_training_card
from spade_hf.training.summary import summarize


logger = get_logger(__name__)
# Forward passes that estimate the averaged generator's batch-norm statistics, for samples and for what is saved.
VALIDATION_BATCHES, STATISTICS_BATCHES = 8, 64


def main(args: argparse.Namespace) -> None:
    """Train as the parsed command line says."""
    accelerator = Accelerator(
        mixed_precision=args.mixed_precision,
        # an epoch's last, incomplete accumulation goes on in the next epoch: every update sees as many samples
        gradient_accumulation_plugin=GradientAccumulationPlugin(
            num_steps=args.gradient_accumulation_steps, sync_with_dataloader=False
        ),
        log_with=None if args.report_to == "none" else args.report_to,
        project_config=ProjectConfiguration(args.output_dir, str(Path(args.output_dir, args.logging_dir))),
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True),  # the order of samples can be resumed
    )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("accelerate").setLevel(logging.WARNING)  # it names every file of a checkpoint
    set_seed(args.seed)
    output_dir = Path(args.output_dir)

    dataset = build_dataset(args)
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=args.train_batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=args.dataloader_num_workers,
    )
    if len(loader) == 0:
        raise ValueError(
            f"The data set has {len(dataset)} rows, fewer than --train_batch_size {args.train_batch_size}."
        )
    shown = [dataset[index] for index in range(min(args.num_validation_images, len(dataset)))]
    networks = build_networks(args, dataset.processor)
    averages = {name: ModelEMA(networks[name], args.ema_decay) for name in networks if name != "discriminator"}
    for average in averages.values():
        average.model.to(accelerator.device)
    if args.norm_type == "sync_batch" and accelerator.num_processes > 1:  # the averages, copied above, stay plain
        synchronize_batch_norm(networks["generator"], accelerator.device)
    perceptual_net = load_perceptual_net(args.perceptual_model)
    perceptual_loss = None if perceptual_net is None else PerceptualLoss(perceptual_net).to(accelerator.device)
    weights = LossWeights(
        args.adversarial_weight,
        args.feature_matching_weight,
        args.perceptual_weight,
        # the one term that is a sum over the batch: averaging gradients would take the mean of the processes' sums
        args.kl_weight * accelerator.num_processes,
    )

    discriminator = networks["discriminator"]
    trained = [network for network in networks.values() if network is not discriminator]  # in the generator's phase
    optimizers = [
        torch.optim.Adam(parameters, lr, betas=(args.adam_beta1, args.adam_beta2), eps=args.adam_epsilon)
        for parameters, lr in (
            ([parameter for network in trained for parameter in network.parameters()], args.learning_rate),
            (list(discriminator.parameters()), args.discriminator_learning_rate),
        )
    ]
    networks = {name: accelerator.prepare(network) for name, network in networks.items()}
    loader, *optimizers = accelerator.prepare(loader, *optimizers)
    num_batches = args.num_train_epochs * len(loader)
    num_steps = args.max_train_steps or max(1, num_batches // args.gradient_accumulation_steps)
    schedules = [
        accelerator.prepare(
            learning_rate_schedule(
                args.lr_scheduler,
                optimizer,
                # an accelerated schedule takes one step for each process at every update
                num_steps=num_steps * accelerator.num_processes,
                num_warmup_steps=args.lr_warmup_steps * accelerator.num_processes,
                decay_start=args.lr_decay_start,
            )
        )
        for optimizer in optimizers
    ]
    if args.dry_run:
        per_update = args.train_batch_size * accelerator.num_processes * args.gradient_accumulation_steps
        sizes = {"num_samples": len(dataset), "samples_per_update": per_update, "num_steps": num_steps}
        accelerator.print(summarize(networks, next(iter(loader)), **sizes))
        return
    if accelerator.is_main_process:
        accelerator.init_trackers("spade", {key: str(value) for key, value in vars(args).items()})

    repo_id = args.hub_model_id or output_dir.resolve().name
    if args.push_to_hub and accelerator.is_main_process:  # now, and not when the training is done, a login fails
        repo_id = open_repository(repo_id, private=args.hub_private_repo)

    live = {name: accelerator.unwrap_model(network) for name, network in networks.items()}
    checkpoints = CheckpointManager(
        accelerator,
        output_dir,
        networks=live,
        averages=averages,
        arguments=vars(args),
        total_limit=args.checkpoints_total_limit,
    )
    state = checkpoints.resume(args.resume_from_checkpoint) if args.resume_from_checkpoint else TrainingState()

    progress = tqdm(
        total=num_steps, initial=state.global_step, disable=not accelerator.is_local_main_process, desc="Training"
    )
    with progress, stop_on_sigterm(accelerator):
        for batch in resumable_batches(accelerator, loader, dataset, state, num_steps):
            fakes = functools.partial(
                generate,
                networks["generator"],
                batch,
                style_encoder=networks.get("style_encoder"),
                latent_dim=live["generator"].config.latent_dim,
            )
            with accelerator.accumulate(*networks.values()):
                live["discriminator"].requires_grad_(False)
                generator_output = generator_step(
                    fakes, live["discriminator"], batch, perceptual_loss=perceptual_loss, weights=weights
                )
                backward_and_step(
                    accelerator,
                    generator_output.loss,
                    optimizers[0],
                    schedules[0],
                    trained,
                    max_grad_norm=args.max_grad_norm,
                )
                if accelerator.sync_gradients:
                    for name, average in averages.items():
                        average.update(live[name])
                live["discriminator"].requires_grad_(True)
                discriminator_output = discriminator_step(fakes, networks["discriminator"], batch)
                backward_and_step(
                    accelerator,
                    discriminator_output.loss,
                    optimizers[1],
                    schedules[1],
                    [discriminator],
                    max_grad_norm=args.max_grad_norm,
                )
            state.batches_done += 1
            if not accelerator.sync_gradients:
                continue
            state.global_step += 1
            state.ema_updates += 1
            progress.update()
            if state.global_step % args.log_steps == 0:
                logs = scalars(generator_output, discriminator_output)
                names = ("learning_rate", "discriminator_learning_rate")
                logs |= {name: schedule.get_last_lr()[0] for name, schedule in zip(names, schedules, strict=True)}
                progress.set_postfix({name: f"{value:.3g}" for name, value in logs.items()})
                accelerator.log(logs, step=state.global_step)
            stopping = accelerator.check_trigger()
            if state.global_step % args.checkpointing_steps == 0 or state.global_step == num_steps or stopping:
                checkpoints.save(state)
            if stopping:
                logger.info("SIGTERM: saved checkpoint-%d; --resume_from_checkpoint latest goes on", state.global_step)
                sys.exit(128 + signal.SIGTERM)
            if state.global_step % args.validation_steps == 0 and accelerator.is_main_process:
                pipeline = export_pipeline(averages, dataset, args.train_batch_size, num_batches=VALIDATION_BATCHES)
                name = f"step-{state.global_step:07d}.png"
                save_image(sample_grid(pipeline, shown), output_dir / "samples" / name)

    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        pipeline = export_pipeline(averages, dataset, args.train_batch_size, num_batches=STATISTICS_BATCHES)
        pipeline.save_pretrained(str(output_dir))
        save_image(sample_grid(pipeline, shown), output_dir / "samples" / "final.png")
        write_training_card(
            pipeline, output_dir, repo_id=repo_id, arguments=vars(args), num_samples=len(dataset), num_steps=num_steps
        )
        logger.info("Saved the pipeline to %s", output_dir)
        if args.push_to_hub:
            upload(output_dir, repo_id, logging_dir=args.logging_dir)
    accelerator.end_training()


def build_dataset(args: argparse.Namespace) -> PairedImageDataset:
    """The training samples, and the processor that knows their labels."""
    if args.image_folder is not None:
        folders = {"image": args.image_folder, "label": args.mask_folder, "instance": args.instance_folder}
        folders = {column: folder for column, folder in folders.items() if folder is not None}
        rows, columns = load_folders(folders), ("image", "label", "instance" if args.instance_folder else None)
        labels_with = str(Path(args.mask_folder).parent)
    else:
        rows = load_rows(
            args.dataset_name, config_name=args.dataset_config_name, split=args.train_split, cache_dir=args.cache_dir
        )
        columns, labels_with = (args.image_column, args.mask_column, args.instance_column), args.dataset_name
    image_column, mask_column, instance_column = columns
    label_set = load_label_set(args.label_set, dataset_name=labels_with)
    if args.max_train_samples is not None:
        rows = rows.select(range(min(args.max_train_samples, len(rows))))
    return PairedImageDataset(
        rows,
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
        seed=args.seed,
    )


def build_networks(args: argparse.Namespace, processor: SPADEImageProcessor) -> dict[str, ModelMixin]:
    """The networks, freshly initialized: `generator`, `discriminator` and perhaps `style_encoder`."""
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
    return networks


def one_line(error: Exception) -> str:
    """The message, without the traceback that a worker of the data loader puts before it."""
    text = str(error)
    if "Original Traceback" in text:
        text = text.rpartition(f"{type(error).__name__}: ")[2]
    return " ".join(text.split())


if __name__ == "__main__":
    try:
        main(parse_args())
    except (ValueError, FloatingPointError, ImportError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(2)
