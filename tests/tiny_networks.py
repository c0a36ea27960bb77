"""Networks small enough for a test, and masks for them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from spade_hf import (
    ConcatenationGenerator,
    MultiscaleDiscriminator,
    Pix2PixHDGenerator,
    ProjectedDiscriminator,
    SegmentationDiscriminator,
    SPADEGenerator,
    SPADEOutlineModel,
    SPADESegmenter,
    SPADEStyleEncoder,
)


NUM_LABELS = 4
LATENT_DIM = 8


def tiny_generator(seed: int = 0, **changes: Any) -> SPADEGenerator:
    """4 labels, 64x64, latent of 8; in evaluation mode."""
    config = {
        "num_labels": NUM_LABELS,
        "image_size": 64,
        "base_channels": 4,
        "latent_dim": LATENT_DIM,
        "spade_hidden_channels": 8,
    }
    return randomized(SPADEGenerator(**{**config, **changes}), seed)


def tiny_style_encoder(seed: int = 0, **changes: Any) -> SPADEStyleEncoder:
    config = {"image_size": 128, "base_channels": 4, "latent_dim": LATENT_DIM}
    return randomized(SPADEStyleEncoder(**{**config, **changes}), seed)


def tiny_outlines(seed: int = 0, **changes: Any) -> SPADEOutlineModel:
    config = {"num_labels": NUM_LABELS, "block_out_channels": (8, 16, 16), "time_embed_dim": 16}
    return randomized(SPADEOutlineModel(**{**config, **changes}), seed)


def tiny_segmenter(seed: int = 0, **changes: Any) -> SPADESegmenter:
    """As deep as every segmenter, since the body is always the same."""
    return randomized(SPADESegmenter(**{"num_labels": NUM_LABELS, "image_size": 64, "width": 8, **changes}), seed)


@torch.no_grad()
def varied_segmenter(sharpness: float = 4.0, **changes: Any) -> SPADESegmenter:
    """A tiny one that tells several labels of a picture, where random weights tell one; `sharpness` scales logits."""
    segmenter = tiny_segmenter(**changes)
    pictures = nn.functional.interpolate(random_images((8, 8)), (64, 64), mode="bilinear")
    logits = segmenter(pictures).logits  # (N, L, h, w)
    mean, deviation = logits.mean(dim=(0, 2, 3)), logits.std(dim=(0, 2, 3))
    head = segmenter.decoder.classify
    head.weight.mul_((sharpness / deviation).view(-1, 1, 1, 1))
    head.bias.sub_(mean).mul_(sharpness / deviation)
    return segmenter


def tiny_discriminator(seed: int = 0, **changes: Any) -> MultiscaleDiscriminator:
    return randomized(MultiscaleDiscriminator(**{"num_labels": NUM_LABELS, "base_channels": 4, **changes}), seed)


def tiny_concatenation(seed: int = 0, **changes: Any) -> ConcatenationGenerator:
    config = {"num_labels": NUM_LABELS, "image_size": 64, "base_channels": 4, "latent_dim": LATENT_DIM}
    return randomized(ConcatenationGenerator(**{**config, **changes}), seed)


def tiny_pix2pixhd(seed: int = 0, **changes: Any) -> Pix2PixHDGenerator:
    config = {"num_labels": NUM_LABELS, "base_channels": 2, "num_downsampling_layers": 2, "num_blocks": 2}
    return randomized(Pix2PixHDGenerator(**{**config, **changes}), seed)


def tiny_segmentation(seed: int = 0, **changes: Any) -> SegmentationDiscriminator:
    return _beside_frozen(SegmentationDiscriminator, seed, **changes)


def tiny_projected(seed: int = 0, **changes: Any) -> ProjectedDiscriminator:
    return _beside_frozen(ProjectedDiscriminator, seed, **changes)


def _beside_frozen(kind: Any, seed: int, **changes: Any) -> Any:
    """An unchanged frozen part, and random weights elsewhere."""
    network = kind(**{"num_labels": NUM_LABELS, "base_channels": 4, **changes})
    network.prepare_backbone(random_images((64, 96)))
    frozen = {name: buffer.clone() for name, buffer in network.named_buffers() if not name.endswith(("._u", "._v"))}
    randomized(network, seed).load_state_dict(frozen, strict=False)
    return network


@torch.no_grad()
def randomized(network: nn.Module, seed: int) -> nn.Module:
    """Every weight, bias and statistic drawn anew, so large that each one shows in the output; evaluation mode."""
    rng = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point() or name.endswith(("._u", "._v")):
            continue
        tensor.normal_(std=tensor[0].numel() ** -0.5 if tensor.ndim > 1 else 0.3, generator=rng)
        if name.endswith("running_var"):
            tensor.abs_().add_(0.3)
    for module in network.modules():
        if parametrize.is_parametrized(module, "weight"):  # u and v fit the new weight: its singular vectors
            norm = module.parametrizations.weight[0]
            u, _, vh = torch.linalg.svd(module.parametrizations.weight.original.flatten(1), full_matrices=False)
            norm._u.copy_(u[:, 0])
            norm._v.copy_(vh[0])
    return network.eval()


def random_label_map(size: tuple[int, int] = (64, 64), batch_size: int = 2, num_labels: int = NUM_LABELS) -> Tensor:
    """int64 `(N, H, W)` of 8x8 squares."""
    rng = torch.Generator().manual_seed(1)
    squares = torch.randint(num_labels, (batch_size, -(-size[0] // 8), -(-size[1] // 8)), generator=rng)
    return squares.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, : size[0], : size[1]]


def random_latents(batch_size: int = 2, seed: int = 2) -> Tensor:
    return torch.randn(batch_size, LATENT_DIM, generator=torch.Generator().manual_seed(seed))


def random_images(size: tuple[int, int] = (64, 64), batch_size: int = 2, channels: int = 3) -> Tensor:
    """float `(N, channels, H, W)` in [-1, 1]."""
    return torch.rand(batch_size, channels, *size, generator=torch.Generator().manual_seed(3)) * 2 - 1


def one_hot(label_map: Tensor, num_channels: int = NUM_LABELS) -> Tensor:
    """int64 `(N, H, W)` to float `(N, L, H, W)`."""
    return (label_map[:, None] == torch.arange(num_channels).view(-1, 1, 1)).float()


def assert_finite_gradients(network: nn.Module) -> None:
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
        assert parameter.grad.isfinite().all(), f"the gradient of {name} is not finite"


def save_tiny_segmenter(folder: Path, classes: Sequence[str]) -> None:
    """Save a semantic segmentation model of transformers with random weights."""
    torch.manual_seed(0)
    config = SegformerConfig(
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
        id2label=dict(enumerate(classes)),
    )
    SegformerForSemanticSegmentation(config).save_pretrained(folder)
