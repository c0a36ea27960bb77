"""The suite of benchmark.py that compares images and gradients of dense and sparse modulation."""

import argparse
import itertools
import statistics

import torch
from benchmark_tools import BACKENDS, Row, build_generator, painter
from torch import Tensor

from spade_hf import SPADEGenerator
from spade_hf.layers.initialization import LEAKY_SLOPE


Outcome = tuple[Tensor, dict[str, Tensor]]


def equality(args: argparse.Namespace, label_maps: list[Tensor]) -> list[Row]:
    """Distance of images (largest) and of a training step's gradients (of the worst parameter, relative, L2 norm)

    LeakyReLU's derivative jumps at zero. Activations that rounding moves across zero get the other slope, which is the
    largest cause of differences between float32 gradients. Therefore they are compared again with every activation on
    the side of its kink where the float64 network has it; then all networks compute one continuous function.
    """
    label_map = torch.cat([*itertools.islice(itertools.cycle(label_maps), 4)])
    direction = torch.randn(4, 3, *label_map.shape[-2:], generator=torch.Generator().manual_seed(0)).to(args.device)
    sides: dict[str, Tensor] = {}

    def images_and_gradients(backend: str, dtype: torch.dtype, *, hold_sides: bool = False) -> Outcome:
        network = build_generator(args).to(dtype)
        paint = painter(network, backend)
        with torch.inference_mode():
            images = paint(label_map)
        network.train()
        if hold_sides:
            hold_sides_of_kinks(network, sides)
        (paint(label_map) * direction.to(dtype)).mean().backward()
        return images.double(), {name: parameter.grad.double() for name, parameter in network.named_parameters()}

    dense = images_and_gradients("dense", torch.float64, hold_sides=True)  # records the sides, result unchanged
    sparse = images_and_gradients("sparse", torch.float64)
    dense32, sparse32 = (images_and_gradients(backend, torch.float32) for backend in BACKENDS)
    dense_held, sparse_held = (images_and_gradients(backend, torch.float32, hold_sides=True) for backend in BACKENDS)
    exact = dense[1]
    largest = max(gradient.norm() for gradient in exact.values())
    # batch norm subtracts the mean, so the gradient of a bias before it is only rounding error
    names = [name for name, gradient in exact.items() if gradient.norm() > 1e-12 * largest]
    rows = []
    for pair, (images, gradients), (other_images, other_gradients) in (
        ("dense float64, sparse float64", dense, sparse),
        ("dense float32, sparse float32", dense32, sparse32),
        ("dense float64, dense float32", dense, dense32),
        ("dense float64, sparse float32", dense, sparse32),
        ("dense float32, sparse float32, on the same side of every kink", dense_held, sparse_held),
        ("dense float64, sparse float32, on the same side of every kink", dense, sparse_held),
    ):
        distances = [((gradients[name] - other_gradients[name]).norm() / exact[name].norm()).item() for name in names]
        row = {"pair": pair, "images": (images - other_images).abs().max().item()}
        rows.append({**row, "gradients": max(distances), "median parameter": statistics.median(distances)})
    return rows


def hold_sides_of_kinks(generator: SPADEGenerator, sides: dict[str, Tensor]) -> None:
    """Take LeakyReLU's slopes from `sides` instead of the signs; sides that are missing are recorded from the signs.

    Args:
        generator (`SPADEGenerator`): Gets a hook at every LeakyReLU.
        sides (`dict[str, Tensor]`): By module, where its activation is positive.
    """

    def held(name: str, activation: Tensor) -> Tensor:
        is_positive = activation.detach() > 0
        is_wanted = sides.setdefault(name, is_positive)
        slopes = torch.where(is_positive, 1, LEAKY_SLOPE), torch.where(is_wanted, 1, LEAKY_SLOPE)
        return activation * (slopes[1] / slopes[0]).to(activation.dtype)

    for number, block in enumerate(generator.blocks):
        for norm in ("norm1", "norm2"):
            name = f"blocks.{number}.{norm}"
            getattr(block, norm).register_forward_hook(lambda _, inputs, output, name=name: held(name, output))
    generator.conv_out.register_forward_pre_hook(lambda _, inputs: held("conv_out", inputs[0]))
