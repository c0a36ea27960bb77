"""Modules for export: networks whose inputs and outputs need no code of this library.

Legend: N batch, L semantic channels, P condition channels, C activation channels (I in, O out), D hidden channels,
H W height and width, Z latent, K label codes, T taps of a kernel, A distinct patches, B distinct neighborhoods.
"""

from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..execution.plain_layers import has_hooks, is_plain_conv
from ..labels.label_set import LabelSet
from ..layers import SPADE, SPADEResnetBlock
from ..layers.initialization import LEAKY_SLOPE
from ..layers.resnet import upsample


class ImagesOfLabelIds(nn.Module):
    """A generator that reads a data set's label ids, a condition, or both.

    Args:
        generator (`nn.Module`): A pipeline's generator, in evaluation mode.
        label_set (`LabelSet` or `None`): Its labels, if it has any.
    """

    ids: Tensor

    def __init__(self, generator: Any, label_set: LabelSet | None) -> None:
        super().__init__()
        self.generator = generator
        self.has_edges = generator.config.use_instance_edges
        ids = () if label_set is None else label_set.ids
        self.register_buffer("ids", torch.tensor(ids)[:, None, None], persistent=False)

    def forward(
        self,
        label_ids: Tensor | None = None,
        latents: Tensor | None = None,
        instance_edges: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Tensor:
        """Generate images from masks.

        Args:
            label_ids (`Tensor`, *optional*): int64 `(N, H, W)`, for a model with labels. A pixel whose id is not in
                the label set has no label.
            latents (`Tensor`, *optional*): `(N, Z)`, for a model with latents.
            instance_edges (`Tensor`, *optional*): bool `(N, H, W)`, for a model with edges.
            condition (`Tensor`, *optional*): `(N, P, H, W)` in [-1, 1], for a model that reads one.

        Returns:
            `Tensor`: `(N, image_channels, H, W)` in [-1, 1].
        """
        more = {} if condition is None else {"condition": condition}
        if label_ids is None:
            return self.generator(None, latents, **more).images
        segmap = label_ids[:, None] == self.ids  # (N, L - P, H, W)
        if self.has_edges:
            assert instance_edges is not None
            segmap = torch.cat([segmap, instance_edges[:, None]], dim=1)
        return self.generator(segmap.float(), latents, **more).images


@dataclass(frozen=True)
class Neighborhoods:
    """The distinct neighborhoods of a mask at one resolution, see [`neighborhood_inputs`].

    Args:
        patches (`Tensor`): int32 `(A, T)`.
        neighborhoods (`Tensor`): int32 `(B, T)`.
        positions (`Tensor`): int32 `(H, W)`.
    """

    patches: Tensor
    neighborhoods: Tensor
    positions: Tensor

    def codes(self) -> Tensor:
        """Return the label code of each position, `(H, W)`."""
        center = self.patches.shape[1] // 2
        codes = self.patches[:, center].index_select(0, self.neighborhoods[:, center])  # (B,)
        return codes.index_select(0, self.positions.flatten()).unflatten(0, self.positions.shape)


class SparseModulation(nn.Module):
    """A SPADE layer that reads distinct neighborhoods, in operations that ONNX has: the same results, less work.

    Args:
        spade (`SPADE`): In evaluation mode.
        num_label_channels (`int`): L without the edge channel.
        has_edges (`bool`): Whether the last semantic channel holds instance edges.
    """

    table: Tensor
    weight: Tensor
    taps: Tensor

    def __init__(self, spade: SPADE, num_label_channels: int, has_edges: bool) -> None:
        super().__init__()
        self.norm: Any = spade.param_free_norm
        # The first convolution as a table: a row per label code and tap, summed over the T taps of a patch.
        weight = spade.conv_mask.weight.detach().permute(1, 2, 3, 0).flatten(1, 2)  # (L, T, D)
        table = weight[:num_label_channels]
        if has_edges:
            table = torch.cat([table, table + weight[-1:]])  # on an edge, the edge channel is 1 as well
        self.num_codes, self.num_taps = table.shape[:2]  # K, T
        table = F.pad(table, (0, 0, 0, 0, 0, 1))  # zeros for outside the image
        assert spade.conv_mask.bias is not None and spade.conv_gamma_beta.bias is not None
        # The second convolution as one product of a neighborhood's T patches.
        self.hidden_bias = nn.Parameter(spade.conv_mask.bias.detach())
        self.bias = nn.Parameter(spade.conv_gamma_beta.bias.detach())
        self.register_buffer("table", table.flatten(0, 1).contiguous())  # ((K + 1) * T, D)
        weight = spade.conv_gamma_beta.weight.detach().permute(2, 3, 1, 0)  # (k, k, D, 2C)
        self.register_buffer("weight", weight.flatten(0, 2).contiguous())  # (T * D, 2C)
        self.register_buffer("taps", torch.arange(self.num_taps, dtype=torch.int32))

    def forward(self, x: Tensor, mask: Neighborhoods) -> Tensor:
        """Modulate `(N, C, H, W)`, images of one mask; the shape stays the same."""
        # Gamma and beta of every distinct neighborhood: figure 2 without repetitions.
        rows = mask.patches * self.num_taps + self.taps  # (A, T)
        hidden = F.relu(F.embedding(rows, self.table).sum(dim=1) + self.hidden_bias)  # (A, D)
        is_inside = mask.patches[:, self.num_taps // 2, None] < self.num_codes  # (A, 1)
        hidden = hidden * is_inside.to(hidden.dtype)  # the second convolution pads with zeros
        gamma_beta = F.embedding(mask.neighborhoods, hidden).flatten(1) @ self.weight + self.bias  # (B, 2C)
        gamma, beta = gamma_beta.chunk(2, dim=1)  # (B, C) each
        # Equation 1, as one scale and shift per neighborhood.
        if isinstance(self.norm, nn.InstanceNorm2d):
            x, scale, shift = self.norm(x), 1 + gamma, beta
        else:  # fixed statistics, folded into the small tables
            inverse_std = torch.rsqrt(self.norm.running_var + self.norm.eps)
            scale = (1 + gamma) * inverse_std
            shift = beta - self.norm.running_mean * scale
        # Gather rows, then transpose: onnxruntime gathers columns element by element, slower than the dense path
        positions = mask.positions.flatten()  # (H * W,)
        scale, shift = (F.embedding(positions, table).T.unflatten(1, mask.positions.shape) for table in (scale, shift))
        return x * scale + shift


class ImagesOfNeighborhoods(nn.Module):
    """A SPADE generator that reads distinct neighborhoods of one mask.

    Args:
        generator (`SPADEGenerator`): In evaluation mode; its norms are replaced.
        num_label_channels (`int`): L without the edge channel.

    Raises:
        ValueError: If its blocks or norms are not SPADE's, or their layers are hooked or replaced.
    """

    def __init__(self, generator: Any, num_label_channels: int) -> None:
        super().__init__()
        if not is_plain(generator):
            raise ValueError(
                f"`modulation` is 'sparse', but {type(generator).__name__} is not made of SPADE layers, or some have "
                "hooks or were replaced. Pass 'dense'."
            )
        if generator.config.condition_channels:
            raise ValueError(
                "`modulation` is 'sparse', but this model reads a condition, whose real numbers have no distinct "
                "neighborhoods. Pass 'dense'."
            )
        self.generator = generator
        self.num_label_channels, self.has_edges = num_label_channels, generator.config.use_instance_edges
        self.divisors = divisors_of(generator)
        for block in generator.blocks:
            for name in norm_names(block):
                setattr(block, name, SparseModulation(getattr(block, name), num_label_channels, self.has_edges))

    def forward(self, neighborhoods: dict[str, Tensor], latents: Tensor | None = None) -> Tensor:
        """Generate images from one mask.

        Args:
            neighborhoods (`dict[str, Tensor]`): The result of [`neighborhood_inputs`], as tensors.
            latents (`Tensor`, *optional*): `(N, Z)`, one per image, for a model with latents.

        Returns:
            `Tensor`: `(N, image_channels, H, W)` in [-1, 1].
        """
        names = [field.name for field in fields(Neighborhoods)]
        masks = [Neighborhoods(*(neighborhoods[f"{name}_{divisor}"] for name in names)) for divisor in self.divisors]
        # `SPADEGenerator.synthesize`, with the mask of each resolution computed by the caller.
        x = self._start(masks[0], latents)  # (N, C, h, w)
        for mask, scale, block in zip(masks, self.generator.upsampling, self.generator.blocks, strict=True):
            x = modulated_block(block, upsample(x, scale), mask)  # (N, C', scale * h, scale * w)
        return self.generator.to_image(x)  # (N, image_channels, H, W)

    def _start(self, mask: Neighborhoods, latents: Tensor | None) -> Tensor:
        """Compute the first activation, `(N, C, h, w)`."""
        if latents is not None:
            x = self.generator.linear_in(latents).unflatten(1, (-1, *self.generator.start_size))  # (N, C, *start_size)
            return F.interpolate(x, mask.positions.shape, mode="bilinear", align_corners=False)
        codes = mask.codes()[None, None]  # (1, 1, h, w)
        channels = torch.arange(self.num_label_channels, device=codes.device)[:, None, None]
        segmap = codes % self.num_label_channels == channels  # (1, L, h, w)
        if self.has_edges:
            segmap = torch.cat([segmap, codes >= self.num_label_channels], dim=1)  # (1, L + 1, h, w)
        return self.generator.conv_in(segmap.float())


def modulated_block(block: SPADEResnetBlock, x: Tensor, mask: Neighborhoods) -> Tensor:
    """Run a [`SPADEResnetBlock`] whose norms are replaced by [`SparseModulation`]."""
    shortcut = block.conv_shortcut(block.norm_shortcut(x, mask)) if block.has_learned_shortcut else x  # (N, O, H, W)
    x = block.conv1(F.leaky_relu(block.norm1(x, mask), LEAKY_SLOPE))  # (N, min(I, O), H, W)
    return shortcut + block.conv2(F.leaky_relu(block.norm2(x, mask), LEAKY_SLOPE))  # (N, O, H, W)


def is_plain(generator: Any) -> bool:
    """Return whether all blocks of a generator are the library's own, with SPADE layers, and none is hooked."""
    blocks = getattr(generator, "blocks", [])
    return bool(blocks) and all(
        type(block) is SPADEResnetBlock
        and not any(map(has_hooks, block.modules()))
        and all(_is_plain_norm(getattr(block, name)) for name in norm_names(block))
        for block in blocks
    )


def _is_plain_norm(norm: nn.Module) -> bool:
    """Return whether [`SparseModulation`] computes the same as `norm`, from its weights."""
    return type(norm) is SPADE and is_plain_conv(norm.conv_mask) and is_plain_conv(norm.conv_gamma_beta)


def norm_names(block: SPADEResnetBlock) -> tuple[str, ...]:
    """Return the names of a block's layers that read the mask."""
    return ("norm1", "norm2", "norm_shortcut") if block.has_learned_shortcut else ("norm1", "norm2")


def divisors_of(generator: Any) -> tuple[int, ...]:
    """Return the factor by which the mask is downsampled for each block."""
    divisor, divisors = generator.size_divisor, []
    for scale in generator.upsampling:
        divisor //= scale
        divisors.append(divisor)
    return tuple(divisors)


class LatentsOfImages(nn.Module):
    """A style encoder with plain outputs.

    Args:
        encoder (`nn.Module`): A pipeline's style encoder, in evaluation mode.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:  # the name of the input in exported files
        """Map images `(N, image_channels, H, W)` in [-1, 1] to mean and logarithm of the variance, each `(N, Z)`."""
        return self.encoder(pictures, return_dict=False)


class ProbabilitiesOfImages(nn.Module):
    """A segmenter with a plain output.

    Args:
        segmenter (`nn.Module`): A pipeline's segmenter, in evaluation mode.
    """

    def __init__(self, segmenter: nn.Module) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(N, 3, H, W)` in [-1, 1] to probabilities of the labels, `(N, L, H / 4, W / 4)`."""
        return self.segmenter(images, return_dict=False)[0].softmax(dim=1)


class LogitsOfLabelMaps(nn.Module):
    """An outline model with a plain output.

    Args:
        outline_model (`nn.Module`): A pipeline's outline model, in evaluation mode.
    """

    def __init__(self, outline_model: nn.Module) -> None:
        super().__init__()
        self.outline_model = outline_model

    def forward(self, noisy_map: Tensor, label_map: Tensor, log_snr: Tensor) -> Tensor:
        """Return the logits `(N, L, H, W)` of the arguments of [`SPADEOutlineModel`]."""
        return self.outline_model(noisy_map, label_map, log_snr).logits
