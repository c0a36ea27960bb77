"""Builds the parts of a training run from its options: data, networks, losses, both sides of the game."""

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import ModelMixin
from torch.utils.data import DataLoader

from spade_hf import (
    ConcatenationGenerator,
    Pix2PixHDGenerator,
    SPADEGenerator,
    SPADEImageProcessor,
    SPADEPipeline,
    SPADEStyleEncoder,
)
from spade_hf.data import PairedImageDataset, PairedTransform, PairReader, StreamedImageDataset
from spade_hf.labels.label_set import LabelSet
from spade_hf.losses import TERMS, AdversarialLoss, Objective
from spade_hf.losses.perceptual import PerceptualLoss, load_perceptual_net
from spade_hf.project import install_command
from spade_hf.training import (
    DISCRIMINATORS,
    DiscriminatorAugmentation,
    Game,
    ModelEMA,
    Pretrained,
    Side,
    TrainingRecipe,
    check_apart,
    hold_out,
    prepared_schedule,
)

from ..data import columns_of, open_folders, open_label_set, open_rows
from .presets import DISCRIMINATOR_OPTIONS
from .unused_options import refuse_overridden


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
        assert isinstance(dataset, PairedImageDataset)  # the options were checked
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
            mask_norm=args.mask_norm,
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


def count_updates(args: argparse.Namespace, loader: DataLoader) -> int:
    """Return the updates of the whole run; with a stream, whose loader has no length, they are always given."""
    if args.max_train_steps is not None:
        return args.max_train_steps
    return max(1, args.num_train_epochs * len(loader) // args.gradient_accumulation_steps)


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
    names = [field.name for field in dataclasses.fields(TrainingRecipe)]
    values: dict[str, Any] = {name: getattr(args, name, None) for name in names}
    generators = iteration.generator_side.unwrapped
    applies = {
        "feature_matching": DISCRIMINATOR_OPTIONS[args.discriminator].matches_features,
        "perceptual": iteration.objective.perceptual_loss is not None,
        "kl": "style_encoder" in generators,
    }
    values["loss_weights"] = {
        name: weight if applies.get(name, True) else 0.0 for name, weight in loss_weights(args).items()
    }
    values["norm_type"] = generators["generator"].config.norm_type
    values["random_style_probability"] = iteration.random_style_probability
    return TrainingRecipe(**values)


def build_discriminator(args: argparse.Namespace, **semantics: Any) -> ModelMixin:
    """Build a new discriminator from the options; a frozen backbone has no weights yet."""
    options = {**semantics, "base_channels": args.discriminator_base_channels}
    if DISCRIMINATOR_OPTIONS[args.discriminator].backbones != ("none",):
        options["backbone"] = None if args.discriminator_backbone == "none" else args.discriminator_backbone
    return DISCRIMINATORS[args.discriminator].network(**options)


def build_adversarial(args: argparse.Namespace, label_set: LabelSet) -> AdversarialLoss:
    """Build the adversarial losses of the options' discriminator."""
    options = {name: getattr(args, name) for name in DISCRIMINATOR_OPTIONS[args.discriminator].loss}
    return DISCRIMINATORS[args.discriminator].loss(label_set, **options)
