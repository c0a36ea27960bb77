"""Random augmentation of the discriminator's inputs, so that it cannot memorize a small data set.

Source: Zhao et al. 2020 (arXiv 2006.10738). Real and fake images of a sample get the same changes, and its maps are
shifted with them. All changes are differentiable.

Legend: N batch, I image channels, H W height and width.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from ..batch import Batch
from ..seeding import Stream, generators


# Images are in [-1, 1]: brightness adds -0.5..0.5, saturation is multiplied by 0..2, contrast by 0.5..1.5.
BRIGHTNESS, MAX_SATURATION, CONTRAST = 0.5, 2.0, 0.5
MAX_SHIFT = 1 / 8  # of the side
CUTOUT = 1 / 5  # of the shorter side
# of a batch, (N, H, W) or (N, C, H, W) each: they move with the images
MAPS = ("label_map", "instance_edges", "condition", "agreement")


class DiscriminatorAugmentation:
    """Differentiable random augmentation of images and their maps.

    Args:
        kinds (`Sequence[str]`): "color" (brightness, saturation, contrast), "translation" (by up to an eighth of
            the side, with border pixels repeated) and "cutout" (a gray square).
    """

    KINDS = ("color", "translation", "cutout")

    def __init__(self, kinds: Sequence[str]) -> None:
        if unknown := set(kinds) - set(self.KINDS):
            raise ValueError(f"`kinds` has {', '.join(sorted(unknown))}; allowed are {', '.join(self.KINDS)}.")
        self.kinds = frozenset(kinds)

    def __call__(self, batch: Batch, phase: int, *images: Tensor) -> tuple[Batch, list[Tensor]]:
        """Augment images `(N, I, H, W)`, and shift the batch's maps with them.

        Random numbers depend only on the batch's seeds and the phase. With "cutout" the batch gets `visible`,
        which is False in the square.
        """
        rngs = generators(batch["seed"], Stream.AUGMENTATION, phase)
        # All numbers at once, whatever the kinds: 3 for color, 2 for translation, 2 for cutout
        draws = torch.stack([torch.rand(7, generator=rng) for rng in rngs])
        draws = draws.to(images[0].device)  # (N, 7) in [0, 1)
        changed, maps = list(images), cast(dict[str, Tensor], batch.copy())
        if "color" in self.kinds:
            changed = [_recolor(one, draws[:, :3]) for one in changed]
        if "translation" in self.kinds:
            changed = [_shift(one, draws[:, 3:5]) for one in changed]
            maps |= {name: _shift(maps[name], draws[:, 3:5]) for name in MAPS if name in maps}
        if "cutout" in self.kinds:
            visible = _outside_of_square(images[0], draws[:, 5:])
            changed = [one * visible[:, None] for one in changed]  # 0 is medium gray
            maps["visible"] = visible
        return cast(Batch, maps), changed


def crop(batch: Batch, phase: int, size: int, images: Tensor) -> tuple[Batch, Tensor]:
    """Cut a random square of each sample's images `(N, I, H, W)`, of its real image and of its maps.

    Its place depends only on the sample's seed and the phase.

    Args:
        size (`int`): Side of the square in pixels, at most H and W.
    """
    height, width = images.shape[-2:]
    rngs = generators(batch["seed"], Stream.CROP, phase)
    tops = [int(torch.randint(height - size + 1, (), generator=rng)) for rng in rngs]
    lefts = [int(torch.randint(width - size + 1, (), generator=rng)) for rng in rngs]

    def cut(maps: Tensor) -> Tensor:
        squares = (one[..., y : y + size, x : x + size] for one, y, x in zip(maps, tops, lefts, strict=True))
        return torch.stack([*squares])  # (N, ..., size, size)

    tensors = cast(dict[str, Tensor], batch)
    cropped = {name: cut(value) if name in ("real_images", *MAPS) else value for name, value in tensors.items()}
    return cast(Batch, cropped), cut(images)


def _recolor(images: Tensor, draws: Tensor) -> Tensor:
    """Change brightness, saturation and contrast by draws `(N, 3)` in 0..1."""
    brightness, saturation, contrast = draws.to(images.dtype)[:, :, None, None, None].unbind(dim=1)  # (N, 1, 1, 1)
    images = images + (2 * brightness - 1) * BRIGHTNESS
    gray = images.mean(dim=1, keepdim=True)  # (N, 1, H, W)
    images = gray + (images - gray) * saturation * MAX_SATURATION
    mean = images.mean(dim=(1, 2, 3), keepdim=True)  # (N, 1, 1, 1)
    return mean + (images - mean) * (1 + (2 * contrast - 1) * CONTRAST)


def _shift(maps: Tensor, draws: Tensor) -> Tensor:
    """Shift maps `(N, C, H, W)` or `(N, H, W)` by draws `(N, 2)` in 0..1."""
    if maps.ndim == 3:  # as images of one channel
        return _shift(maps[:, None], draws)[:, 0]

    def sources(side: int, draw: Tensor) -> Tensor:
        """Return the row (or column) that each one of the shifted map shows, `(N, side)`."""
        shift = ((2 * draw - 1) * MAX_SHIFT * side).round().long()  # (N,), in whole pixels, so that labels stay labels
        return (torch.arange(side, device=maps.device) - shift[:, None]).clamp(0, side - 1)  # repeats the border

    rows, columns = (sources(side, draw) for side, draw in zip(maps.shape[-2:], draws.unbind(dim=1), strict=True))
    samples = torch.arange(len(maps), device=maps.device)[:, None, None]
    # (N, H, W, C), indexed by (N, 1, 1), (N, H, 1) and (N, 1, W)
    return maps.movedim(1, -1)[samples, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def _outside_of_square(images: Tensor, draws: Tensor) -> Tensor:
    """Return a bool mask `(N, H, W)`: False in a square placed by draws `(N, 2)` in 0..1."""
    height, width = images.shape[-2:]
    side = max(1, round(min(height, width) * CUTOUT))
    # all positions inside of the image are equally likely
    top, left = (draws * torch.tensor([height - side + 1, width - side + 1], device=draws.device)).long().unbind(dim=1)
    rows, columns = torch.arange(height, device=draws.device), torch.arange(width, device=draws.device)
    in_rows = (rows >= top[:, None]) & (rows < top[:, None] + side)  # (N, H)
    in_columns = (columns >= left[:, None]) & (columns < left[:, None] + side)  # (N, W)
    return ~(in_rows[:, :, None] & in_columns[:, None, :])
