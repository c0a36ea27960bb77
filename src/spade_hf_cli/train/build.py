"""Builds the parts of a training run from its options: data, networks, losses, both sides of the game."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import ModelMixin
from torch.utils.data import DataLoader

from spade_hf import SPADEGenerator, SPADEImageProcessor, SPADEPipeline, SPADEStyleEncoder
from spade_hf.data import PairedImageDataset, PairedTransform, PairReader, StreamedImageDataset
from spade_hf.data.rows import first_photo
from spade_hf.labels.label_set import LabelSet
from spade_hf.losses import TERMS, AdversarialLoss, Objective
from spade_hf.losses.perceptual import PerceptualLoss, load_perceptual_net
from spade_hf.project import install_command
from spade_hf.training import (
    DISCRIMINATORS,
    GENERATORS,
    DiscriminatorAugmentation,
    Game,
    ModelEMA,
    Pretrained,
    Side,
    TrainingRecipe,
    check_apart,
    compile_modules,
    hold_out,
    prepared_schedule,
    synchronize_batch_norm,
)

from ..data import build_processor, columns_of, open_folders, open_rows
from ..declaring import names_with
from .options import NetworkOptions, RunOptions, TrainOptions
from .presets import discriminator_options
from .unused_options import refuse_overridden


if TYPE_CHECKING:
    from ..train_segmenter.options import SegmenterOptions


def build_dataset(options: TrainOptions) -> PairedImageDataset | StreamedImageDataset:
    """Build the data set of training samples, with the processor that holds their label set."""
    rows = open_rows(options, split=options.train_split, cache_dir=options.cache_dir, streaming=options.streaming)
    columns = columns_of(options)
    processor = build_processor(options, use_instance_edges=columns["instance_column"] is not None)
    reader = PairReader(
        **columns,
        processor=with_16_bits(processor, rows, columns["image_column"]),
        transform=PairedTransform(
            resolution=_pair(options.resolution),
            resize_ratio=options.resize_ratio,
            center_crop=options.center_crop,
            random_flip=options.random_flip,
            simplify_probability=options.simplify_probability,
        ),
        color_tolerance=options.color_tolerance,
        ids_in_red=options.ids_in_red,
    )
    behavior = {"seed": options.seed, "skip_broken": options.skip_broken}
    if options.streaming:
        rows = rows if options.max_train_samples is None else rows.take(options.max_train_samples)
        return StreamedImageDataset(rows, reader, shuffle_buffer_size=options.shuffle_buffer_size, **behavior)
    if options.validation_share is not None:
        rows, _ = hold_out(rows, options.validation_share)
    if options.max_train_samples is not None:
        rows = rows.select(range(min(options.max_train_samples, len(rows))))
    return PairedImageDataset(rows, reader, **behavior)


def with_16_bits(processor: SPADEImageProcessor, rows: Any, image_column: str) -> SPADEImageProcessor:
    """Give a processor the range of 16 bits if the first image has them, so that the model also writes 16 bits.

    Not for RGB, which is read and written with 8 bits unless a range is given.
    """
    if processor.config.image_channels == 3 or processor.value_range is not None:
        return processor
    try:
        first = first_photo(rows, image_column, processor.config.image_channels)
    except ValueError:  # reading its sample will say why, or skip it
        return processor
    if np.asarray(first).dtype.name != "uint16":
        return processor
    of_16_bits: Any = SPADEImageProcessor.from_config(processor.config, value_range=(0.0, 65535.0))
    return of_16_bits


def build_held_out(
    options: "TrainOptions | SegmenterOptions", dataset: PairedImageDataset | StreamedImageDataset
) -> PairedImageDataset | None:
    """Build the data set of pairs that are not trained on, cropped at the center and not flipped, if there are any."""
    if options.validation_image_folder is not None:
        rows = open_folders(options, "validation_")
        assert isinstance(dataset, PairedImageDataset)  # the options were checked
        check_apart(dataset.rows, rows, "image")
    elif options.validation_share is not None:
        _, rows = hold_out(open_rows(options, split=options.train_split), options.validation_share)
    elif options.evaluation_steps is not None:
        rows = open_rows(options, split=options.evaluation_split, cache_dir=options.cache_dir)
        if len(rows) == 0:
            raise ValueError(f"--evaluation_split {options.evaluation_split!r} has no rows. Give another split.")
    else:
        return None
    transform = PairedTransform(
        resolution=_pair(options.resolution), resize_ratio=1.0, center_crop=True, random_flip=False
    )
    reader = PairReader(
        **columns_of(options),
        processor=dataset.processor,
        transform=transform,
        color_tolerance=options.color_tolerance,
        ids_in_red=options.ids_in_red,
    )
    return PairedImageDataset(rows, reader, seed=options.seed, skip_broken=options.skip_broken)


def build_evaluation(
    options: TrainOptions, accelerator: Accelerator, held_out: PairedImageDataset | None
) -> Callable[[SPADEPipeline], dict[str, float]] | None:
    """Build the evaluation on some of the pairs that are held out; only the main process has one, if it is wanted."""
    if options.evaluation_steps is None or not accelerator.is_main_process:
        return None
    assert held_out is not None  # the options were checked
    try:
        from spade_hf.training.evaluation import RunningEvaluation
    except ModuleNotFoundError as error:
        message = (
            f"`evaluation_steps` needs the package {error.name}, which is not installed: {install_command('eval')}"
        )
        raise ImportError(message) from error
    segmenter = None if options.evaluation_segmenter is None else Path(options.evaluation_segmenter)
    return RunningEvaluation(choose_evaluated(options, held_out), accelerator.device, segmenter=segmenter)


def choose_evaluated(options: "TrainOptions | SegmenterOptions", held_out: PairedImageDataset) -> PairedImageDataset:
    """Choose the pairs of an evaluation, evenly spread over those that are held out."""
    count = min(options.num_evaluation_images, len(held_out))
    rows = held_out.rows.select([number * len(held_out) // count for number in range(count)])
    return PairedImageDataset(rows, held_out.reader, seed=options.seed, skip_broken=options.skip_broken)


def load_pretrained(options: TrainOptions) -> tuple[Pretrained | None, TrainOptions]:
    """Load the networks to start from, if there are any; return them with the options that they decide.

    Raises:
        ValueError: If they cannot be loaded, or if an option was given with another value than theirs.
    """
    if options.pretrained_model_name_or_path is None:
        return None, options
    pretrained = Pretrained.load(options.pretrained_model_name_or_path, options.discriminator_name_or_path)
    decided = pretrained.options(head_upsampling=options.head_upsampling)
    refuse_overridden(options, decided)
    return pretrained, replace(options, **decided)


def build_networks(
    options: TrainOptions, processor: SPADEImageProcessor, pretrained: Pretrained | None = None
) -> tuple[dict[str, ModelMixin], dict[str, ModelMixin]]:
    """Build both sides, with pretrained weights if given: `generator`, optionally `style_encoder`; `discriminator`."""
    labels = processor.label_set_or_none
    semantics = {
        "num_labels": 0 if labels is None else labels.num_labels,
        "use_unknown_label": labels is not None and labels.use_unknown_label,
        "use_instance_edges": processor.config.use_instance_edges,
    }
    # networks from outside of the library may know RGB and labels only
    if processor.config.image_channels != 3:
        semantics["image_channels"] = processor.config.image_channels
    if processor.config.condition_channels > 0:
        semantics["condition_channels"] = processor.config.condition_channels
    size: dict[str, Any] = {
        "image_size": _pair(options.image_size or options.resolution),
        "base_channels": options.base_channels,
    }
    kind = GENERATORS[options.generator]
    if options.generator == "pix2pixhd":
        generator = kind(**semantics, **size)
    else:
        generator = kind(
            **semantics,
            **size,
            channel_mult=options.channel_mult,
            latent_dim=options.latent_dim or None,
            mask_norm=options.mask_norm,
            spade_hidden_channels=options.spade_hidden_channels,
            spade_kernel_size=options.spade_kernel_size,
            norm_type=options.norm_type,
            num_upsampling_layers=options.num_upsampling_layers,
            head_upsampling=options.head_upsampling,
        )
    discriminator = build_discriminator(options, **semantics)
    generators: dict[str, ModelMixin] = {"generator": generator}
    if options.use_style_encoder and generator.config.latent_dim is not None:
        generators["style_encoder"] = SPADEStyleEncoder(
            image_size=options.style_encoder_image_size,
            base_channels=options.style_encoder_base_channels,
            channel_mult=tuple(options.style_encoder_channel_mult),
            latent_dim=options.latent_dim,
            image_channels=processor.config.image_channels,
        )
    discriminators: dict[str, ModelMixin] = {"discriminator": discriminator}
    if pretrained is not None:
        pretrained.initialize({**generators, **discriminators}, processor)
        if options.train_last_blocks is not None:
            pretrained.train_last_blocks(generators, processor, options.train_last_blocks)
    return generators, discriminators


def build_averages(
    options: TrainOptions, generators: Mapping[str, ModelMixin], device: torch.device
) -> dict[str, ModelEMA]:
    """Build the averages of the generator's side, by name."""
    averages = {name: ModelEMA(network, options.ema_decay) for name, network in generators.items()}
    for average in averages.values():
        average.model.to(device)
    return averages


def prepare_generator(options: TrainOptions, accelerator: Accelerator, generator: ModelMixin) -> None:
    """Let the generator's norms share statistics between processes, and its blocks save memory, if that is wanted."""
    if options.norm_type == "sync_batch" and accelerator.num_processes > 1:
        synchronize_batch_norm(generator, accelerator.device)
    if options.gradient_checkpointing:
        generator.enable_gradient_checkpointing()


def compile_networks(
    options: TrainOptions, networks: Mapping[str, ModelMixin], objective: Objective, device: torch.device
) -> None:
    """Compile all networks but the SPADE generator, whose sparse modulation depends on the labels, if it is wanted."""
    if options.torch_compile:
        modules = [*networks.values(), objective.perceptual_loss]
        compiled = [module for module in modules if not isinstance(module, SPADEGenerator | None)]
        compile_modules(compiled, device=device, backend=options.torch_compile_backend)


def build_objective(
    options: TrainOptions, label_set: LabelSet | None, device: torch.device, *, num_averaged: int = 1
) -> Objective:
    """Build the losses of both sides; the gradients of `num_averaged` batches are averaged."""
    perceptual_net = load_perceptual_net(options.perceptual_model if options.perceptual_weight > 0 else "none")
    return Objective(
        loss_weights(options, num_averaged=num_averaged),
        perceptual_loss=None if perceptual_net is None else PerceptualLoss(perceptual_net).to(device),
        adversarial=build_adversarial(options, label_set),
    )


def count_updates(options: RunOptions, loader: DataLoader) -> int:
    """Return the updates of the whole run; with a stream, whose loader has no length, they are always given."""
    if options.max_train_steps is not None:
        return options.max_train_steps
    return max(1, options.num_train_epochs * len(loader) // options.gradient_accumulation_steps)


def build_iteration(
    options: TrainOptions,
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
    sides = (
        build_side(options, accelerator, models, build_adam(options, accelerator, models, learning_rate), num_steps)
        for models, learning_rate in (
            (generators, options.learning_rate),
            (discriminators, options.discriminator_learning_rate),
        )
    )
    return Game(
        accelerator,
        *sides,
        averages=averages,
        objective=objective,
        random_style_probability=options.random_style_probability if has_style_encoder else 0.0,
        augmentation=DiscriminatorAugmentation(options.augment_discriminator)
        if options.augment_discriminator
        else None,
        reuse_fakes=options.reuse_fakes,
        loss_crop_size=options.loss_crop_size,
    )


def build_adam(
    options: TrainOptions, accelerator: Accelerator, models: dict[str, ModelMixin], learning_rate: float
) -> torch.optim.Optimizer:
    """Build the optimizer of a side."""
    return torch.optim.Adam(
        [one for model in models.values() for one in model.parameters() if one.requires_grad],
        learning_rate,
        betas=(options.adam_beta1, options.adam_beta2),
        eps=options.adam_epsilon,
        fused=accelerator.device.type in ("cpu", "cuda") or None,
    )


def build_adamw(options: NetworkOptions, accelerator: Accelerator, parameters: Any) -> torch.optim.Optimizer:
    """Build the optimizer of a program that trains one network: of its parameters, or of groups of them."""
    return torch.optim.AdamW(
        parameters,
        options.learning_rate,
        betas=(options.adam_beta1, options.adam_beta2),
        eps=options.adam_epsilon,
        weight_decay=options.adam_weight_decay,
        fused=accelerator.device.type in ("cpu", "cuda") or None,
    )


def build_side(
    options: RunOptions,
    accelerator: Accelerator,
    models: dict[str, ModelMixin],
    optimizer: torch.optim.Optimizer,
    num_steps: int,
) -> Side:
    """Prepare networks, their optimizer and its schedule."""
    networks = {name: accelerator.prepare(model) for name, model in models.items()}
    optimizer = accelerator.prepare(optimizer)
    schedule = prepared_schedule(
        accelerator,
        options.lr_scheduler,
        optimizer,
        num_steps=num_steps,
        num_warmup_steps=options.lr_warmup_steps,
        decay_start=options.lr_decay_start,
    )
    return Side(accelerator, models, networks, optimizer, schedule, max_grad_norm=options.max_grad_norm)


def loss_weights(options: TrainOptions, *, num_averaged: int = 1) -> dict[str, float]:
    """Return the weights of the generator's loss terms, by name.

    The gradients of `num_averaged` batches are averaged, so terms that are sums over samples get that factor.
    """
    return {  # a term from outside of the library has no option
        name: getattr(options, f"{name}_weight", term.weight) * (num_averaged if term.is_sum else 1)
        for name, term in TERMS.items()
    }


def build_recipe(options: TrainOptions, game: Game) -> TrainingRecipe:
    """Select the options for the model card; those that a preset set without effect are as they took effect."""
    generators = game.generator_side.unwrapped
    applies = {
        "feature_matching": discriminator_options(options.discriminator).matches_features,
        "perceptual": game.objective.perceptual_loss is not None,
        "kl": "style_encoder" in generators,
    }
    settings = {name: getattr(options, name) for name in names_with(TrainOptions, "card")}
    settings["norm_type"] = generators["generator"].config.norm_type
    settings["random_style_probability"] = game.random_style_probability
    for name, weight in loss_weights(options).items():
        settings[f"{name}_weight"] = weight if applies.get(name, True) else 0.0
    return TrainingRecipe(
        dataset_name=options.dataset_name,
        pretrained_model_name_or_path=options.pretrained_model_name_or_path,
        license=options.license,
        train_batch_size=options.train_batch_size,
        settings=settings,
    )


def build_discriminator(options: TrainOptions, **semantics: Any) -> ModelMixin:
    """Build a new discriminator from the options; a frozen backbone has no weights yet."""
    config = {**semantics, "base_channels": options.discriminator_base_channels}
    if discriminator_options(options.discriminator).backbones != ("none",):
        config["backbone"] = None if options.discriminator_backbone == "none" else options.discriminator_backbone
    return DISCRIMINATORS[options.discriminator].network(**config)


def build_adversarial(options: TrainOptions, label_set: LabelSet | None) -> AdversarialLoss:
    """Build the adversarial losses of the options' discriminator."""
    arguments = {name: getattr(options, name) for name in discriminator_options(options.discriminator).loss}
    return DISCRIMINATORS[options.discriminator].loss(label_set, **arguments)


def _pair(size: list[int]) -> tuple[int, int]:
    height, width = size
    return height, width
