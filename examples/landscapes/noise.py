"""Tileable noise textures and fractal noise, the source of all irregular shapes in a landscape."""

from functools import cache

import numpy as np
from backend import dr, mi


TILE_CELLS = 64  # lattice cells per side of the plane's noise tile, so its period is 64 wavelengths
TILE_PIXELS = 1024
CLOUD_PIXELS = 96
NOISE_GAIN = 1.6  # gradient noise rarely leaves [-0.6, 0.6]
LACUNARITY = 2.03  # ratio of two octaves' frequencies; not quite 2, so that their lattices do not coincide


def smoothstep(value: np.ndarray | float, start: np.ndarray | float, end: np.ndarray | float) -> np.ndarray:
    """Compute a smooth ramp from 0 at `start` to 1 at `end`; `start` can be the larger one."""
    t = np.clip((value - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: np.ndarray | float, b: np.ndarray | float, weight: np.ndarray | float) -> np.ndarray:
    """Interpolate from `a` (`weight` 0) to `b` (`weight` 1). Colors `(..., 3)` need a weight `(..., 1)`."""
    return np.asarray(a) * (1 - np.asarray(weight)) + np.asarray(b) * np.asarray(weight)


def gradient_noise_tile(pixels: int, cells: int, seed: int, dim: int) -> np.ndarray:
    """Make periodic gradient noise (Perlin 2002), float32 `(pixels,) * dim`, with `cells` lattice cells per side."""
    gradients = np.random.default_rng(seed).normal(size=(cells,) * dim + (dim,))
    gradients /= np.linalg.norm(gradients, axis=-1, keepdims=True)
    position = np.arange(pixels) * cells / pixels  # in cells, the same along every axis
    cell = np.floor(position).astype(int)
    offset = position - cell
    fade = offset**3 * (offset * (offset * 6 - 15) + 10)
    noise = np.zeros((pixels,) * dim)
    for corner in np.ndindex(*(2,) * dim):
        weight = np.ones(())
        slope = np.zeros(())
        gradient = gradients[np.ix_(*[(cell + step) % cells for step in corner])]
        for axis, step in enumerate(corner):
            shape = [-1 if other == axis else 1 for other in range(dim)]
            weight = weight * (fade if step else 1 - fade).reshape(shape)
            slope = slope + gradient[..., axis] * (offset - step).reshape(shape)
        noise = noise + weight * slope
    return noise.astype(np.float32)


def cellular_noise_tile(pixels: int, cells: int, seed: int) -> np.ndarray:
    """Make periodic cellular noise (Worley 1996), `(pixels,) * 3`: 1 - distance to the nearest point, one per cell."""
    points = np.random.default_rng(seed).random((cells,) * 3 + (3,))
    position = (np.arange(pixels) * cells / pixels).astype(np.float32)  # in cells
    cell = np.floor(position).astype(int)
    nearest = np.full((pixels,) * 3, 9, np.float32)  # squared distance; 9 is farther than any
    for neighbor in np.ndindex(3, 3, 3):
        cells_near = [cell + step - 1 for step in neighbor]
        point = points[np.ix_(*[near % cells for near in cells_near])]
        distance = np.zeros(())
        for axis, near in enumerate(cells_near):
            shape = [-1 if other == axis else 1 for other in range(3)]
            distance = distance + (near.reshape(shape) + point[..., axis] - position.reshape(shape)) ** 2
        nearest = np.minimum(nearest, distance)
    return 1 - np.sqrt(nearest)


def cloud_volume(pixels: int = CLOUD_PIXELS) -> np.ndarray:
    """Make billowing periodic noise for clouds, float32 `(pixels, pixels, pixels, 1)`, with mean 0 and variance 1."""
    wisps = sum(
        gradient_noise_tile(pixels, cells, cells, 3) * weight for cells, weight in ((4, 1), (8, 0.5), (16, 0.25))
    )
    billows = sum(
        cellular_noise_tile(pixels, cells, cells) * weight for cells, weight in ((6, 0.625), (12, 0.25), (24, 0.125))
    )
    volume = 0.45 * (wisps - wisps.min()) / np.ptp(wisps) + 0.55 * (billows - billows.min()) / np.ptp(billows)
    return ((volume - volume.mean()) / volume.std()).astype(np.float32)[..., None]


@cache
def plane_texture() -> mi.Texture2f:
    """Make a texture of gradient noise on the unit square, repeated."""
    tile = gradient_noise_tile(TILE_PIXELS, TILE_CELLS, seed=1, dim=2)
    return mi.Texture2f(mi.TensorXf(tile[..., None]), wrap_mode=dr.WrapMode.Repeat)


@cache
def cloud_texture() -> mi.Texture3f:
    """Make a texture of `cloud_volume` on the unit cube, repeated."""
    return mi.Texture3f(mi.TensorXf(cloud_volume()), wrap_mode=dr.WrapMode.Repeat)


def fractal_noise(
    x: np.ndarray,
    y: np.ndarray,
    wavelength: float,
    octaves: int = 5,
    seed: int = 0,
    gain: float = 0.5,
    ridged: bool = False,
) -> np.ndarray:
    """Sum octaves of gradient noise, each rotated and shifted at random.

    Args:
        x, y: coordinates of the points, any shape, in the unit of `wavelength`.
        wavelength: size of the first octave's features.
        octaves: number of octaves; each has about twice the frequency of the previous one.
        gain: amplitude of an octave divided by that of the previous one.
        ridged: sharp crests instead of round hills (Musgrave's ridged multifractal).

    Returns:
        float32 of the shape of `x`, about in [-1, 1], or in [0, 1] where `ridged`.
    """
    rng = np.random.default_rng(seed + 1000)
    shape = np.shape(x)
    x = mi.Float(np.ravel(x).astype(np.float32))
    y = mi.Float(np.ravel(y).astype(np.float32))
    frequency = 1 / (TILE_CELLS * wavelength)  # in tiles
    amplitude = 1.0
    total_amplitude = 0.0
    total = 0.0
    crest = 1.0
    for _ in range(octaves):
        angle = rng.uniform(0, 6.28)
        # opaque: with literals, Dr.Jit would compile a new kernel for every seed
        cos, sin = (dr.opaque(mi.Float, float(v)) for v in (np.cos(angle) * frequency, np.sin(angle) * frequency))
        shift_x, shift_y = (dr.opaque(mi.Float, float(v)) for v in rng.random(2))
        point = mi.Point2f(cos * x - sin * y + shift_x, sin * x + cos * y + shift_y)
        noise = plane_texture().eval(point)[0] * NOISE_GAIN
        if ridged:
            noise = dr.square(1 - dr.abs(noise)) * crest
            crest = dr.clip(noise * 1.6, 0, 1)
        total = total + amplitude * noise
        total_amplitude += amplitude
        frequency *= LACUNARITY
        amplitude *= gain
    return np.array(total / total_amplitude).reshape(shape)
