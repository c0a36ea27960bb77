"""A network from painted label maps to natural ones: few-step diffusion over labels.

The natural outline cannot be told from a painted one: there are many. A network trained to predict the most likely map
would answer with their mean, which is smooth again. This one therefore learns the distribution: it denoises a map with
Gaussian noise on its one-hot labels, with the painted map as condition, by cross-entropy (continuous diffusion for
categorical data, Dieleman et al. 2022, https://arxiv.org/abs/2211.15089). Sampling is in `pipelines/refinement.py`.

The U-Net works at half of the map's size; each position holds 2x2 pixels, as the patches of a vision transformer do,
and the last layer gives each of the four its own logits.

Legend: N maps, L labels, C channels, H W height and width of the map, h w of an activation, T time embedding.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput
from torch import Tensor, nn

from .modeling_utils import SPADEModelMixin


PATCH = 2  # side of the square of pixels that one position of the U-Net stands for
NUM_FREQUENCIES = 16  # of the noise level's embedding
GROUPS = 8  # of each group norm


@dataclass
class SPADEOutlineModelOutput(BaseOutput):
    """Output of [`SPADEOutlineModel`].

    Args:
        logits (`Tensor`): `(N, L, H, W)`, unnormalized log-probabilities of each pixel's label in the natural map.
    """

    logits: Tensor


class SPADEOutlineModel(SPADEModelMixin):
    """A denoiser of label maps, conditioned on a painted map.

    Args:
        num_labels (`int`): L.
        labels (`tuple[str, ...]`, *optional*): The labels' names, which a pipeline compares with its own; `None`: it
            does not.
        block_out_channels (`tuple[int, ...]`, defaults to `(32, 64, 96, 96)`): Widths of the levels, at 1/2, 1/4, ...
            of the map's size; multiples of 8. The coarsest level has self-attention over the whole map.
        num_attention_heads (`int`, defaults to 4): A divisor of the last width.
        time_embed_dim (`int`, defaults to 64): T, width of the noise level's embedding.
        min_log_snr, max_log_snr (`float`, defaults to -12 and 4): Noise levels of training, as logarithms of the
            signal-to-noise ratio; sampling begins at the first or later, and ends before the second.
    """

    _no_split_modules = ["OutlineBlock"]

    @register_to_config
    def __init__(
        self,
        *,
        num_labels: int,
        labels: tuple[str, ...] | None = None,
        block_out_channels: tuple[int, ...] = (32, 64, 96, 96),
        num_attention_heads: int = 4,
        time_embed_dim: int = 64,
        min_log_snr: float = -12.0,
        max_log_snr: float = 4.0,
    ) -> None:
        super().__init__()
        if num_labels < 1:
            raise ValueError(f"`num_labels` is {num_labels}; a model needs at least one label.")
        if labels is not None and len(labels) != num_labels:
            raise ValueError(
                f"`labels` has {len(labels)} names; `num_labels` is {num_labels}. Give one name per label."
            )
        if not block_out_channels or any(width < GROUPS or width % GROUPS for width in block_out_channels):
            raise ValueError(
                f"`block_out_channels` is {tuple(block_out_channels)}; give a width for each level, multiples of "
                f"{GROUPS}."
            )
        if not min_log_snr < max_log_snr:
            raise ValueError(f"`min_log_snr` is {min_log_snr}; it must be below `max_log_snr`, {max_log_snr}.")
        first, *_, last = widths = [block_out_channels[0], *block_out_channels]
        if num_attention_heads < 1 or last % num_attention_heads:
            raise ValueError(
                f"`num_attention_heads` is {num_attention_heads}; it must divide the last of `block_out_channels`, "
                f"{last}."
            )
        num_inputs = num_labels + num_labels + 1  # the noisy map; the painted one, with "not painted"
        self.time_embedding = nn.Sequential(
            nn.Linear(2 * NUM_FREQUENCIES, time_embed_dim), nn.SiLU(), nn.Linear(time_embed_dim, time_embed_dim)
        )
        self.conv_in = nn.Conv2d(num_inputs + 1, first, PATCH, stride=PATCH)  # and the height in the map
        self.down_blocks = nn.ModuleList(
            OutlineBlock(i, o, time_embed_dim) for i, o in zip(widths[:-1], widths[1:], strict=True)
        )
        self.mid_blocks = nn.ModuleList(OutlineBlock(last, last, time_embed_dim) for _ in range(2))
        self.attention = OutlineAttention(last, num_attention_heads)
        ups = [last, *reversed(block_out_channels)]
        self.up_convs = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in zip(ups[:-1], ups[1:], strict=True))
        self.up_blocks = nn.ModuleList(OutlineBlock(o, o, time_embed_dim) for o in ups[1:])
        self.norm_out = nn.GroupNorm(GROUPS, first)
        self.conv_out = nn.Conv2d(first, num_labels * PATCH**2, 3, padding=1)
        self.copy_out = nn.Conv2d(num_inputs, num_labels, 1)

    @property
    def size_divisor(self) -> int:
        """Return the number of which the sides of the U-Net's input are multiples; other maps are padded to it."""
        return PATCH * 2 ** (len(self.config.block_out_channels) - 1)

    def forward(
        self, noisy_map: Tensor, label_map: Tensor, log_snr: Tensor, *, return_dict: bool = True
    ) -> SPADEOutlineModelOutput | tuple[Tensor]:
        """Predict the natural map.

        Args:
            noisy_map (`Tensor`): `(N, L, H, W)`: the natural map as one-hot in {-1, 1}, scaled, with Gaussian noise;
                see [`add_noise`].
            label_map (`Tensor`): int64 `(N, H, W)` in 0..L, the painted map; L is "not painted".
            log_snr (`Tensor`): `(N,)`, the logarithm of each map's signal-to-noise ratio.
            return_dict (`bool`, defaults to `True`): Whether to return a [`SPADEOutlineModelOutput`] or the tuple
                (logits,).

        Raises:
            ValueError: If the maps do not fit the model or each other.
        """
        num_labels = self.config.num_labels
        if noisy_map.ndim != 4 or noisy_map.shape[1] != num_labels:
            raise ValueError(
                f"`noisy_map` has shape {tuple(noisy_map.shape)}; this model reads (N, {num_labels}, H, W)."
            )
        n, _, height, width = noisy_map.shape
        if label_map.shape != (n, height, width):
            raise ValueError(
                f"`label_map` has shape {tuple(label_map.shape)}; it must be (N, H, W) as in `noisy_map`, "
                f"{(n, height, width)}."
            )

        # Inputs: both maps as one-hot, and how high in the map a pixel is, padded to whole patches of every level
        channels = torch.arange(num_labels + 1, device=label_map.device)[:, None, None]
        painted = (label_map[:, None] == channels).to(noisy_map.dtype)  # (N, L + 1, H, W)
        maps = torch.cat([noisy_map, painted], dim=1)  # (N, 2 L + 1, H, W)
        rows = torch.arange(height, device=maps.device, dtype=maps.dtype) * (2 / height) - 1  # (H,) in [-1, 1)
        x = torch.cat([maps, rows[:, None].expand(n, 1, height, width)], dim=1)  # (N, 2 L + 2, H, W)
        x = F.pad(x, (0, -width % self.size_divisor, 0, -height % self.size_divisor), mode="replicate")
        embedding = self.time_embedding(_frequencies(log_snr.to(maps.dtype)))  # (N, T)

        # U-Net: down, halving the size after each level but the last
        x = self.conv_in(x)  # (N, C, H / 2, W / 2)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down_blocks):
            x = block(F.avg_pool2d(x, 2) if level else x, embedding)  # (N, C, h, w)
            skips.append(x)
        # The coarsest level sees the whole map
        before, after = self.mid_blocks
        x = after(self.attention(before(x, embedding)), embedding)
        # Up again; the skips are added
        for level, (conv, block) in enumerate(zip(self.up_convs, self.up_blocks, strict=True)):
            x = conv(x)
            x = (F.interpolate(x, scale_factor=2.0, mode="nearest") if level else x) + skips.pop()
            x = block(x, embedding)

        # Logits: those of the four pixels of a position, and a copy of what the maps say at each pixel
        x = F.pixel_shuffle(self.conv_out(F.silu(self.norm_out(x))), PATCH)[..., :height, :width]  # (N, L, H, W)
        logits = x + self.copy_out(maps)
        return SPADEOutlineModelOutput(logits=logits) if return_dict else (logits,)


class OutlineBlock(nn.Module):
    """Two convolutions with a skip; the noise level scales and shifts in between (FiLM).

    Args:
        in_channels, out_channels (`int`): C of input and output.
        time_embed_dim (`int`): T.
    """

    def __init__(self, in_channels: int, out_channels: int, time_embed_dim: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time_projection = nn.Linear(time_embed_dim, 2 * out_channels)
        self.norm2 = nn.GroupNorm(GROUPS, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()
        nn.init.zeros_(self.conv2.weight)  # the block begins as its skip

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Map `(N, C, h, w)` and the noise level `(N, T)` to `(N, C', h, w)`."""
        scale, shift = self.time_projection(embedding)[:, :, None, None].chunk(2, dim=1)  # (N, C', 1, 1) each
        y = self.conv1(F.silu(self.norm1(x)))  # (N, C', h, w)
        y = self.conv2(F.silu(self.norm2(y) * (1 + scale) + shift))
        return self.shortcut(x) + y


class OutlineAttention(nn.Module):
    """Self-attention between all positions, with a skip (Vaswani et al. 2017).

    Args:
        channels (`int`): C.
        num_heads (`int`): A divisor of C.
    """

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.to_out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.to_out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, h, w)` to the same shape."""
        n, c, h, w = x.shape
        qkv = self.to_qkv(self.norm(x)).reshape(n, 3, self.num_heads, c // self.num_heads, h * w)
        query, key, value = qkv.transpose(-1, -2).unbind(dim=1)  # (N, heads, h w, C / heads) each
        y = F.scaled_dot_product_attention(query, key, value)
        return x + self.to_out(y.transpose(-1, -2).reshape(n, c, h, w))


def add_noise(label_map: Tensor, noise: Tensor, log_snr: Tensor) -> Tensor:
    """Return a noisy map: `alpha * x + sigma * noise`, with x the one-hot map in {-1, 1} and alpha^2 + sigma^2 = 1.

    Args:
        label_map (`Tensor`): int64 `(N, H, W)` in 0..L - 1. At other values, x is -1 in all channels.
        noise (`Tensor`): `(N, L, H, W)`, standard normal.
        log_snr (`Tensor`): `(N,)`, log(alpha^2 / sigma^2).
    """
    alpha, sigma = (part[:, None, None, None] for part in signal_and_noise(log_snr))
    return alpha * signed_one_hot(label_map, noise.shape[1], noise.dtype) + sigma * noise


def signal_and_noise(log_snr: Tensor) -> tuple[Tensor, Tensor]:
    """Return alpha and sigma, `(N,)` each, of a variance-preserving process."""
    return torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt()


def signed_one_hot(label_map: Tensor, num_labels: int, dtype: torch.dtype) -> Tensor:
    """Return `(N, L, H, W)` with 1 in each pixel's label and -1 elsewhere."""
    channels = torch.arange(num_labels, device=label_map.device)[:, None, None]
    return (label_map[:, None] == channels).to(dtype) * 2 - 1


def _frequencies(log_snr: Tensor) -> Tensor:
    """Return sines and cosines `(N, 2 frequencies)` of the noise level `(N,)`."""
    rates = torch.linspace(math.log(0.1), math.log(20), NUM_FREQUENCIES, device=log_snr.device).exp().to(log_snr.dtype)
    angles = log_snr[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
