"""Simplifies exact label maps to ones as if drawn by hand: round strokes, straight outlines, no small parts.

People draw with a round brush, with polygons or in a few large blobs. A model that was trained only on exact maps
follows these outlines literally: an elliptical cloud stays an ellipse. Training therefore simplifies some of its maps.

Legend: L label channels, H W height and width of the map, h w of the window around a part. Lengths are in pixels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from skimage.draw import polygon2mask
from skimage.measure import approximate_polygon, find_contours, regionprops
from skimage.measure import label as number_parts
from skimage.morphology import skeletonize
from torch import Tensor


# Sizes are shares of the map's shorter side.
BLOCKS = (1 / 32, 1 / 16, 1 / 10)  # sides of the blocks that are averaged
BLURS = (1 / 256, 1 / 24)  # standard deviations of the blur that joins scattered parts, such as leaves
BRUSHES = (1 / 100, 1 / 12)  # radii; a brush is no wider than the part that it draws
CORNERS = (1 / 128, 1 / 20)  # maximum distances of a polygon's sides from the outline
LOST_PARTS = (1 / 64, 1 / 10)  # sides of squares: parts of a smaller area are lost
MAX_STROKE = 1 / 8  # largest radius of a stroke; wider parts are drawn with a brush
WIDE_BRUSHES = (1 / 40, 1 / 12)  # radii of brushes that can be wider than the part that they draw
SCALES = (0.8, 1.25)  # of ellipses and bars, so that they do not have the part's size
BLOCK_SHARE = 0.2  # share of maps made by averaging blocks; the others are drawn region by region


def simplify_label_map(label_map: Tensor, num_labels: int, rng: torch.Generator, *, crude: bool = False) -> Tensor:
    """Redraw an exact map as if by hand, large regions first, each with a brush, a stroke or a polygon.

    Args:
        label_map (`Tensor`): int64 `(H, W)` in `0..num_labels - 1`.
        num_labels (`int`): L.
        rng (`torch.Generator`): Chooses tools and sizes; the same state gives the same map.
        crude (`bool`, defaults to `False`): Whether to draw as people do who have a wide brush and little time: few
            wide strokes, straight bars, ellipses and straight horizons.

    Returns:
        `Tensor`: int64 `(H, W)`.
    """
    draw = np.random.default_rng(int(torch.randint(2**31, (1,), generator=rng)))  # one torch draw seeds all others
    if draw.random() < BLOCK_SHARE:
        return average_blocks(label_map, max(2, round(min(label_map.shape) * draw.choice(BLOCKS))), num_labels)
    return torch.from_numpy(_redraw_regions(label_map.numpy(), draw, CRUDE if crude else CAREFUL))


def average_blocks(label_map: Tensor, block: int, num_labels: int) -> Tensor:
    """Coarsen a map to smooth outlines: average labels over blocks, interpolate, and take the largest share.

    Args:
        label_map (`Tensor`): int64 `(H, W)` in `0..num_labels - 1`.
        block (`int`): Side of a block in pixels; parts smaller than a block disappear.
        num_labels (`int`): L.
    """
    shares = F.one_hot(label_map, num_labels).movedim(-1, 0)[None].float()  # (1, L, H, W)
    shares = F.avg_pool2d(shares, block, ceil_mode=True)  # (1, L, ceil(H / block), ceil(W / block)), sums to 1 over L
    return F.interpolate(shares, label_map.shape, mode="bilinear").argmax(dim=1)[0]  # (H, W)


def _redraw_regions(exact: np.ndarray, draw: np.random.Generator, hand: "Hand") -> np.ndarray:
    """Redraw a map region by region, int64 `(H, W)` to int64 `(H, W)`."""
    side = min(exact.shape)
    lost, blur = (side * _between(draw, *bounds) for bounds in (hand.lost_parts, hand.blurs))
    if hand.gaps is not None:
        exact = _with_gaps_closed(exact, [side * _between(draw, *hand.gaps) for _ in range(draw.integers(3))], draw)
    drawn = np.full(exact.shape, -1)  # (H, W), -1 where no tool has been
    # the margin leaves room for tools, of which a stroke can reach beyond its part by its radius
    for label, window, part in _parts(_blurred(exact, blur), min_area=lost**2, margin=int(side * MAX_STROKE) + 1):
        tool = hand.tools[draw.integers(len(hand.tools))]
        drawn[window][tool(part, side, draw)] = label  # over larger parts, which came before
    if (drawn < 0).all():  # only small parts
        return exact
    # pixels that no tool has reached take the nearest label
    nearest: Any = ndimage.distance_transform_edt(drawn < 0, return_distances=False, return_indices=True)  # (2, H, W)
    return drawn[tuple(nearest)]


def _with_gaps_closed(exact: np.ndarray, radii: list[float], draw: np.random.Generator) -> np.ndarray:
    """Join scattered parts of a label, such as trees or small clouds, to one area: a closing by each radius."""
    closed = exact.copy()
    for radius in radii:
        label = draw.choice(np.unique(exact))
        reached = _within(exact == label, radius)
        closed[_distance(reached) > radius] = label  # dilation by the radius, then erosion by it
    return closed


def _blurred(exact: np.ndarray, sigma: float) -> np.ndarray:
    """Return the most frequent label around each pixel."""
    labels = np.unique(exact)  # only those that occur: a label set can have hundreds
    shares = [ndimage.gaussian_filter((exact == label).astype(np.float32), sigma, truncate=3) for label in labels]
    return labels[np.argmax(shares, axis=0)]  # (H, W)


def _parts(
    label_map: np.ndarray, *, min_area: float, margin: int
) -> Iterator[tuple[np.ndarray, tuple[slice, ...], np.ndarray]]:
    """Yield label, window with a margin, and bool `(h, w)` mask of each large connected part, the largest first."""
    # connectivity 1: pixels that touch at a corner only are different parts; no label is background
    parts = regionprops(number_parts(label_map, connectivity=1, background=-1))
    for part in sorted(parts, key=lambda one: -one.area):
        if part.area < min_area:
            return
        window = tuple(slice(max(0, one.start - margin), one.stop + margin) for one in part.slice)
        inside = np.zeros(label_map.shape, dtype=bool)  # (H, W), of which the window is cut out
        inside[part.slice] = part.image
        yield label_map[tuple(part.coords[0])], window, inside[window]


def _brush(part: np.ndarray, side: int, draw: np.random.Generator) -> np.ndarray:
    """Return the pixels that a round brush reaches without leaving the part: a morphological opening."""
    depth = _depth(part)  # (h, w)
    radius = min(side * _between(draw, *BRUSHES), 0.7 * depth.max())  # below the largest depth, so that it fits
    return _within(depth >= radius, radius)  # erosion by the radius, then dilation by it


def _stroke(part: np.ndarray, side: int, draw: np.random.Generator) -> np.ndarray:
    """Draw a stroke of constant width along the middle of the part, of about the same area."""
    depth = _depth(part)
    middle = skeletonize(part)  # bool (h, w), lines of one pixel
    if not middle.any():
        return part
    radius = depth[middle].mean()  # half of the mean width
    if radius > side * MAX_STROKE:
        return _brush(part, side, draw)
    return _within(middle & (depth >= 0.5 * radius), radius)  # without the skeleton's twigs, which end in thin places


def _polygon(part: np.ndarray, side: int, draw: np.random.Generator) -> np.ndarray:
    """Approximate the part by polygons."""
    tolerance = side * _between(draw, *CORNERS)
    filled = np.zeros(part.shape, dtype=bool)
    # padded, so that the contour of a part that touches the image's edge is closed
    for contour in find_contours(np.pad(part, 1).astype(np.float32), 0.5):  # (corners, 2) of row, column
        filled ^= polygon2mask(part.shape, approximate_polygon(contour - 1, tolerance))  # a hole is also a contour
    return filled


def _wide_stroke(part: np.ndarray, side: int, draw: np.random.Generator) -> np.ndarray:
    """Draw a stroke along the middle of the part that is wider than the part, as by a brush that is too large."""
    middle = skeletonize(part)  # bool (h, w), lines of one pixel
    if not middle.any():
        return part
    depth = _depth(part)
    mean = depth[middle].mean()
    if mean > side * MAX_STROKE:
        return _polygon(part, side, draw)
    return _within(middle & (depth >= 0.7 * mean), max(mean, side * _between(draw, *WIDE_BRUSHES)))


def _ellipse(part: np.ndarray, side: int, draw: np.random.Generator) -> np.ndarray:
    """Draw the ellipse with the part's center, directions and spreads."""
    offsets, axes, spreads = _principal_axes(part)
    # of an ellipse with half axis a, the variance along it is a^2 / 4
    half_axes = 2 * spreads * _between(draw, *SCALES)
    return (((offsets @ axes) / half_axes) ** 2).sum(axis=-1) <= 1  # (h, w)


def _bar(part: np.ndarray, side: int, draw: np.random.Generator) -> np.ndarray:
    """Draw one straight stroke with round ends along the part's longer direction, of about its width."""
    offsets, axes, spreads = _principal_axes(part)
    width, length = np.sqrt(3) * spreads  # half of each: the variance of a uniform distribution is length^2 / 3
    radius = max(width * _between(draw, *SCALES), side * BRUSHES[0])
    if radius > side * MAX_STROKE:
        return _polygon(part, side, draw)
    across, along = np.moveaxis(offsets @ axes, -1, 0)  # (h, w) each
    beyond = np.maximum(np.abs(along) - max(length - radius, 0), 0)  # distance past the end of the middle line
    return across**2 + beyond**2 <= radius**2


def _horizon(part: np.ndarray, side: int, draw: np.random.Generator) -> np.ndarray:
    """Fill between two straight lines, along the part's upper and lower border, if the part is wide."""
    filled = part.any(axis=0)  # (w,)
    columns = np.flatnonzero(filled)
    if len(columns) < side / 2:
        return _polygon(part, side, draw)
    tops, bottoms = part.argmax(axis=0), part.shape[0] - 1 - part[::-1].argmax(axis=0)  # (w,) rows
    top, bottom = (np.polyval(np.polyfit(columns, line[columns], 1), np.arange(len(line))) for line in (tops, bottoms))
    rows = np.arange(part.shape[0])[:, None]
    return filled & (rows >= np.round(top)) & (rows <= np.round(bottom))


@dataclass(frozen=True)
class Hand:
    """How regions are redrawn: tools, each chosen as often, and sizes of what is closed, blurred and lost before."""

    tools: tuple[Callable[[np.ndarray, int, np.random.Generator], np.ndarray], ...]
    lost_parts: tuple[float, float]
    blurs: tuple[float, float]
    gaps: tuple[float, float] | None = None  # half widths of gaps that are painted over, for some labels of a map


CAREFUL = Hand((_brush, _stroke, _polygon), LOST_PARTS, BLURS)
CRUDE = Hand(
    (_brush, _stroke, _polygon, _wide_stroke, _ellipse, _bar, _horizon, _horizon),
    lost_parts=(1 / 32, 1 / 8),
    blurs=(1 / 64, 1 / 14),
    gaps=(1 / 40, 1 / 10),
)


def _principal_axes(part: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return offsets from the center `(h, w, 2)`, axes `(2, 2)` as columns, and spreads `(2,)` along them, rising."""
    places = np.argwhere(part)
    center = places.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(places.T, bias=True) + np.eye(2) / 12)  # 1/12: a pixel is a square
    offsets = np.moveaxis(np.indices(part.shape), 0, -1) - center
    return offsets, axes, np.sqrt(variances)


def _depth(part: np.ndarray) -> np.ndarray:
    """Return each pixel's distance from the part's border; the image edge is not a border."""
    return _distance(part) if not part.all() else np.full(part.shape, float(max(part.shape)))


def _within(centers: np.ndarray, radius: float) -> np.ndarray:
    """Select the pixels at most `radius` from a center."""
    return _distance(~centers) <= radius


def _distance(inside: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel inside to the nearest pixel outside."""
    return np.asarray(ndimage.distance_transform_edt(inside))


def _between(draw: np.random.Generator, low: float, high: float) -> float:
    """Draw a size, log-uniform."""
    return low * (high / low) ** draw.random()
