"""Train SPADE (Park et al., CVPR 2019) on images and their label maps.

    accelerate launch examples/train_spade.py --preset tiny --dataset_name FOLDER_OR_HUB_ID --output_dir my-model

See README.md for the layout of the data, and `--help` for all options. One iteration trains the generator and the
style encoder against a frozen discriminator, then the discriminator against frozen, fresh fakes.
"""

import argparse
import functools
import itertools
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.logging import get_logger
from accelerate.utils import ProjectConfiguration, set_seed
from tqdm.auto import tqdm

from spade_hf import (
    LabelSet,
    MultiscaleDiscriminator,
    SPADEGenerator,
    SPADEImageProcessor,
    SPADEStyleEncoder,
)
from spade_hf.data import PairedImageDataset, PairedTransform, derive_seed, load_rows
from spade_hf.losses.perceptual import PerceptualLoss, load_perceptual_net
from spade_hf.training import (
    CheckpointManager,
    LossWeights,
    ModelEMA,
    TrainingState,
    discriminator_step,
    find_checkpoint,
    generate,
    generator_step,
    learning_rate_schedule,
)
from spade_hf.training.arguments import parse_args
from spade_hf.training.export import export_pipeline, sample_grid, save_image


logger = get_logger(__name__)
# Forward passes that estimate the averaged generator's batch-norm statistics, for samples and for what is saved.
VALIDATION_BATCHES, STATISTICS_BATCHES = 8, 64


def main(args: argparse.Namespace) -> None:
    """Train as the parsed command line says."""
    accelerator = Accelerator(
        mixed_precision=args.mixed_precision,
        gradient_accumulation_steps=args.gradient_accumulation_steps,
        log_with=None if args.report_to == "none" else args.report_to,
        project_config=ProjectConfiguration(args.output_dir, str(Path(args.output_dir, args.logging_dir))),
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True),  # the order of samples can be resumed
    )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    set_seed(args.seed)
    output_dir = Path(args.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)

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
    generator, discriminator, style_encoder = build_networks(args, dataset.processor)
    networks = {"generator": generator, "discriminator": discriminator}
    if style_encoder is not None:
        networks["style_encoder"] = style_encoder
    averages = {name: ModelEMA(networks[name], args.ema_decay) for name in networks if name != "discriminator"}
    for average in averages.values():
        average.model.to(accelerator.device)
    perceptual_net = load_perceptual_net(args.perceptual_model)
    perceptual_loss = None if perceptual_net is None else PerceptualLoss(perceptual_net).to(accelerator.device)
    weights = LossWeights(
        args.adversarial_weight, args.feature_matching_weight, args.perceptual_weight, args.kl_weight
    )

    trained = [network for name, network in networks.items() if name != "discriminator"]  # in the generator's phase
    optimizers = [
        torch.optim.Adam(parameters, lr, betas=(args.adam_beta1, args.adam_beta2))
        for parameters, lr in (
            ([parameter for network in trained for parameter in network.parameters()], args.learning_rate),
            (list(discriminator.parameters()), args.discriminator_learning_rate),
        )
    ]
    networks = {name: accelerator.prepare(network) for name, network in networks.items()}
    loader, *optimizers = accelerator.prepare(loader, *optimizers)
    updates_per_epoch = max(1, len(loader) // args.gradient_accumulation_steps)
    num_steps = args.max_train_steps or args.num_train_epochs * updates_per_epoch
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
    if accelerator.is_main_process:
        accelerator.init_trackers("spade", {key: str(value) for key, value in vars(args).items()})

    live = {name: accelerator.unwrap_model(network) for name, network in networks.items()}
    checkpoints = CheckpointManager(
        accelerator,
        output_dir,
        networks=live,
        averages=averages,
        arguments=vars(args),
        total_limit=args.checkpoints_total_limit,
    )
    state = TrainingState()
    if args.resume_from_checkpoint:
        found = find_checkpoint(output_dir, args.resume_from_checkpoint)
        if found is None:
            logger.info("No checkpoint in %s yet: starting afresh", output_dir)
        else:
            state = checkpoints.load(found)
            logger.info("Resumed from %s", found)

    progress = tqdm(
        total=num_steps, initial=state.global_step, disable=not accelerator.is_local_main_process, desc="Training"
    )
    generator_networks = [network for name, network in networks.items() if name != "discriminator"]
    for batch in batches(accelerator, loader, dataset, state, num_steps):
        rng = torch.Generator(accelerator.device).manual_seed(
            derive_seed(args.seed, state.epoch, state.batches_done, accelerator.process_index)
        )
        fakes = functools.partial(
            generate,
            networks["generator"],
            batch,
            style_encoder=networks.get("style_encoder"),
            rng=rng,
            latent_dim=live["generator"].config.latent_dim,
        )
        with accelerator.accumulate(*networks.values()):
            live["discriminator"].requires_grad_(False)
            generator_output = generator_step(
                fakes, live["discriminator"], batch, perceptual_loss=perceptual_loss, weights=weights
            )
            update(accelerator, generator_output.loss, optimizers[0], schedules[0], generator_networks, args)
            if accelerator.sync_gradients:
                for name, average in averages.items():
                    average.update(live[name])
            live["discriminator"].requires_grad_(True)
            discriminator_output = discriminator_step(fakes, networks["discriminator"], batch)
            update(
                accelerator,
                discriminator_output.loss,
                optimizers[1],
                schedules[1],
                [networks["discriminator"]],
                args,
            )
        state.batches_done += 1
        if not accelerator.sync_gradients:
            continue
        state.global_step += 1
        state.ema_updates += 1
        progress.update()
        if state.global_step % args.log_steps == 0:
            logs = {name: term.item() for name, term in (generator_output.terms | discriminator_output.terms).items()}
            logs["real_logits"] = discriminator_output.real_logits.item()
            logs["fake_logits"] = discriminator_output.fake_logits.item()
            logs["learning_rate"] = schedules[0].get_last_lr()[0]
            progress.set_postfix({name: f"{value:.3g}" for name, value in logs.items()})
            accelerator.log(logs, step=state.global_step)
        if state.global_step % args.checkpointing_steps == 0:
            checkpoints.save(state)
        if state.global_step % args.validation_steps == 0 and accelerator.is_main_process:
            pipeline = export_pipeline(averages, dataset, args.train_batch_size, num_batches=VALIDATION_BATCHES)
            grid = sample_grid(pipeline, shown)
            save_image(grid, output_dir / "samples" / f"step-{state.global_step:07d}.png")
    progress.close()

    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        pipeline = export_pipeline(averages, dataset, args.train_batch_size, num_batches=STATISTICS_BATCHES)
        pipeline.save_pretrained(str(output_dir))
        save_image(sample_grid(pipeline, shown), output_dir / "samples" / "final.png")
        logger.info("Saved the pipeline to %s", output_dir)
    accelerator.end_training()


def build_dataset(args: argparse.Namespace) -> PairedImageDataset:
    """The training samples, and the processor that knows their labels."""
    label_set = load_label_set(args)
    rows = load_rows(
        args.dataset_name, config_name=args.dataset_config_name, split=args.train_split, cache_dir=args.cache_dir
    )
    if args.max_train_samples is not None:
        rows = rows.select(range(min(args.max_train_samples, len(rows))))
    return PairedImageDataset(
        rows,
        image_column=args.image_column,
        mask_column=args.mask_column,
        instance_column=args.instance_column,
        processor=SPADEImageProcessor(label_set=label_set, use_instance_edges=args.instance_column is not None),
        transform=PairedTransform(
            resolution=tuple(args.resolution),
            resize_ratio=args.resize_ratio,
            center_crop=args.center_crop,
            random_flip=args.random_flip,
            simplify_probability=args.simplify_probability,
        ),
        seed=args.seed,
    )


def load_label_set(args: argparse.Namespace) -> LabelSet:
    """The label set that `--label_set` names, or the one that lies beside a local data set."""
    beside = Path(args.dataset_name, "labels.json")
    if args.label_set is None and not beside.is_file():
        raise ValueError(
            f"`--label_set` is missing and {beside} is not there: pass {', '.join(LabelSet.built_in_names())} or "
            'a JSON file such as {"id2label": {"0": "sky"}, "palette": [[70, 130, 180]]}.'
        )
    if args.label_set in LabelSet.built_in_names():
        return LabelSet.from_name(args.label_set)
    return LabelSet.from_file(args.label_set or beside)


def build_networks(
    args: argparse.Namespace, processor: SPADEImageProcessor
) -> tuple[SPADEGenerator, MultiscaleDiscriminator, SPADEStyleEncoder | None]:
    """The networks, freshly initialized."""
    labels = processor.label_set
    semantics = {
        "num_labels": labels.num_labels,
        "use_unknown_label": labels.use_unknown_label,
        "use_instance_edges": processor.config.use_instance_edges,
    }
    image_size = args.image_size or args.resolution
    generator = SPADEGenerator(
        **semantics,
        image_size=(image_size[0], image_size[-1]),
        base_channels=args.base_channels,
        channel_mult=args.channel_mult,
        latent_dim=args.latent_dim or None,
        spade_hidden_channels=args.spade_hidden_channels,
        spade_kernel_size=args.spade_kernel_size,
        norm_type=args.norm_type,
        num_upsampling_layers=args.num_upsampling_layers,
    )
    discriminator = MultiscaleDiscriminator(**semantics, base_channels=args.discriminator_base_channels)
    style_encoder = None
    if args.use_style_encoder and args.latent_dim:
        style_encoder = SPADEStyleEncoder(
            image_size=args.style_encoder_image_size,
            base_channels=args.style_encoder_base_channels,
            channel_mult=tuple(args.style_encoder_channel_mult),
            latent_dim=args.latent_dim,
        )
    return generator, discriminator, style_encoder


def batches(
    accelerator: Accelerator,
    loader: torch.utils.data.DataLoader,
    dataset: PairedImageDataset,
    state: TrainingState,
    num_steps: int,
) -> Iterator[dict[str, torch.Tensor]]:
    """Batches from where `state` stands until `num_steps` updates are done; advances `state.epoch`."""
    while state.global_step < num_steps:
        dataset.set_epoch(state.epoch)
        loader.set_epoch(state.epoch)
        for batch in accelerator.skip_first_batches(loader, state.batches_done) if state.batches_done else loader:
            yield batch
            if state.global_step >= num_steps:
                return
        state.epoch, state.batches_done = state.epoch + 1, 0


def update(
    accelerator: Accelerator,
    loss: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    networks: list[torch.nn.Module],
    args: argparse.Namespace,
) -> None:
    """Backward and, when enough batches have been accumulated, one step of one optimizer."""
    accelerator.backward(loss)
    if accelerator.sync_gradients and args.max_grad_norm is not None:
        # not `accelerator.clip_grad_norm_`, which would unscale the other optimizer's gradients, too
        accelerator.unscale_gradients(optimizer)
        parameters = itertools.chain.from_iterable(network.parameters() for network in networks)
        torch.nn.utils.clip_grad_norm_(parameters, args.max_grad_norm)
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()


if __name__ == "__main__":
    try:
        main(parse_args())
    except (ValueError, FloatingPointError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
