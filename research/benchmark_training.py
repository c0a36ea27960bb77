"""The suites of benchmark.py that train."""

import argparse
import functools
import itertools
import statistics
from collections.abc import Callable

import torch
from benchmark_tools import BACKENDS, Row, interleave, ratio
from torch import Tensor, nn

from spade_hf import MultiscaleDiscriminator, SPADEGenerator, SPADEStyleEncoder
from spade_hf.features.efficientnet_lite import EfficientNetLite0Features


BATCH_SIZE = 4


def training(args: argparse.Namespace, label_maps: list[Tensor]) -> list[Row]:
    """Training, batch of 4: the generator's forward and backward pass, and a whole iteration"""
    # imported here, because the memory suite's processes import this module and do not train
    from spade_hf.losses import Objective
    from spade_hf.seeding import Stream
    from spade_hf.training import discriminator_step, generate, generator_step

    batch = _batch(args, label_maps)
    torch.manual_seed(0)
    labels = {"num_labels": args.num_labels, "use_unknown_label": True}
    generator = SPADEGenerator(
        **labels, image_size=args.resolution, base_channels=args.base_channels, latent_dim=args.latent_dim or None
    ).to(args.device)
    discriminator = MultiscaleDiscriminator(**labels, base_channels=args.base_channels).to(args.device)
    optimizers = [torch.optim.Adam(network.parameters(), 1e-4, (0.0, 0.999)) for network in (generator, discriminator)]
    networks, latent_dim = (generator, None, discriminator), generator.config.latent_dim
    options = {"objective": Objective(), "latent_dim": latent_dim}

    def backward(backend: str) -> None:
        generator.set_modulation_backend(backend)
        generator.zero_grad()
        fake_images, _ = generate(generator, None, batch, Stream.GENERATOR_PHASE, latent_dim=latent_dim)
        (fake_images * batch["real_images"]).mean().backward()

    def iteration(backend: str) -> None:
        generator.set_modulation_backend(backend)
        discriminator.requires_grad_(False)
        generator.zero_grad()
        generator_step(*networks, batch, **options).loss.backward()
        optimizers[0].step()
        discriminator.requires_grad_(True).zero_grad()
        discriminator_step(*networks, batch, **options).loss.backward()
        optimizers[1].step()

    rows = []
    for name, work in (("forward and backward", backward), ("whole iteration", iteration)):
        variants = {backend: lambda _, work=work, backend=backend: work(backend) for backend in BACKENDS}
        seconds = interleave(variants, [batch["label_map"]], rounds=args.rounds + 2)
        rates = {f"{backend}, images/s": BATCH_SIZE / statistics.median(seconds[backend]) for backend in BACKENDS}
        rows.append({"work": name, **rates, "ratio": ratio(seconds["dense"], seconds["sparse"])})
    return rows


def recipe(args: argparse.Namespace, label_maps: list[Tensor]) -> list[Row]:
    """Training with the networks of "landscapes", patch discriminator, batch of 4: bf16 autocast, reused fakes"""
    batch, iteration = _batch(args, label_maps), functools.partial(_landscapes_iteration, args)
    variants = {
        "fp32": iteration(batch),
        "bf16 autocast": iteration(batch, autocast=True),
        "bf16 autocast, reused fakes": iteration(batch, autocast=True, reuse_fakes=True),
    }
    seconds = interleave(variants, [batch["label_map"]], rounds=args.rounds + 2)
    return [
        {
            "type": name,
            "images/s": BATCH_SIZE / statistics.median(seconds[name]),
            "x fp32": ratio(seconds["fp32"], seconds[name]),
        }
        for name in variants
    ]


def _batch(args: argparse.Namespace, label_maps: list[Tensor]) -> dict[str, Tensor]:
    label_map = torch.cat([*itertools.islice(itertools.cycle(label_maps), BATCH_SIZE)])
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(BATCH_SIZE, 3, *label_map.shape[-2:], generator=rng).to(args.device) * 2 - 1
    return {"label_map": label_map, "real_images": images, "seed": torch.arange(BATCH_SIZE)}


def _landscapes_iteration(
    args: argparse.Namespace, batch: dict[str, Tensor], *, autocast: bool = False, reuse_fakes: bool = False
) -> Callable[[Tensor], None]:
    """Return an iteration with the preset's networks; random weights in the perceptual network take the same time."""
    from accelerate.utils import convert_outputs_to_fp32

    from spade_hf.losses import Objective
    from spade_hf.losses.perceptual import PerceptualLoss
    from spade_hf.training import discriminator_step, generator_step
    from spade_hf_cli.train.presets import PRESETS

    preset = PRESETS["landscapes"]
    labels = {"num_labels": args.num_labels, "use_unknown_label": True}
    torch.manual_seed(0)
    networks: list[nn.Module] = [
        SPADEGenerator(
            **labels,
            image_size=args.resolution,
            base_channels=preset["base_channels"],
            channel_mult=preset["channel_mult"],
            latent_dim=preset["latent_dim"],
            spade_hidden_channels=preset["spade_hidden_channels"],
        ),
        SPADEStyleEncoder(
            image_size=preset["style_encoder_image_size"],
            base_channels=preset["style_encoder_base_channels"],
            channel_mult=preset["style_encoder_channel_mult"],
            latent_dim=preset["latent_dim"],
        ),
        MultiscaleDiscriminator(**labels, base_channels=preset["discriminator_base_channels"]),
    ]
    for network in networks:
        network.to(args.device).train()
        if autocast:  # only the networks, as accelerate does
            network.forward = convert_outputs_to_fp32(torch.autocast(args.device, torch.bfloat16)(network.forward))
    generator, encoder, discriminator = networks
    objective = Objective(perceptual_loss=PerceptualLoss(EfficientNetLite0Features()).to(args.device))
    options = {"objective": objective, "latent_dim": preset["latent_dim"]}
    adam = functools.partial(torch.optim.Adam, betas=(0.0, 0.9), fused=True)
    generator_optimizer = adam([*generator.parameters(), *encoder.parameters()], 1e-4)
    discriminator_optimizer = adam(discriminator.parameters(), 4e-4)

    def iteration(_: Tensor) -> None:
        discriminator.requires_grad_(False)
        output = generator_step(*networks, batch, **options)
        _step(output.loss, generator_optimizer)
        discriminator.requires_grad_(True)
        fakes = {"fake_images": output.fake_images} if reuse_fakes else {}
        _step(discriminator_step(*networks, batch, **options, **fakes).loss, discriminator_optimizer)

    return iteration


def _step(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
