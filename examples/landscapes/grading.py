"""From radiance to a photograph: a graduated filter, exposure, white balance and a film's curve."""

import numpy as np
from noise import mix, smoothstep
from sky import Sky


LUMINANCE = [0.2126, 0.7152, 0.0722]
SATURATION = 1.06


def grade(radiance: np.ndarray, land: np.ndarray, sky: Sky) -> np.ndarray:
    """Convert linear radiance `(n, 3)` to sRGB in [0, 1] `(n, 3)`.

    Args:
        land: part of each pixel `(n,)` that is land, in [0, 1]; the rest is sky or haze.
        sky: gives exposure and color of the light.
    """
    image = filter_sky(radiance, land)
    image = expose(image, sky.exposure)
    light = 1 / np.maximum(sky.sun_irradiance + sky.ambient, 1e-3)
    strength = mix(0.08, 0.25, smoothstep(sky.elevation, 12, 25))  # a low sun stays warm
    balance = (light / light[1]) ** strength
    image = filmic(image * np.clip(balance, 0.8, 1.3) * 0.8)
    gray = (image @ LUMINANCE)[:, None]
    return np.clip(gray + (image - gray) * SATURATION, 0, 1)


def filter_sky(radiance: np.ndarray, land: np.ndarray) -> np.ndarray:
    """Reduce the contrast between land and sky, as a graduated filter on the lens does."""
    log_luminance = np.log(radiance @ LUMINANCE + 1e-4)
    land_weight, sky_weight = land + 1e-3, 1 - land + 1e-3
    land_level = (log_luminance * land_weight).sum() / land_weight.sum()
    sky_level = (log_luminance * sky_weight).sum() / sky_weight.sum()
    gap = np.clip(sky_level - land_level, 0, 6)
    return radiance * np.exp(land * gap * 0.38 - (1 - land) * gap * 0.12)[:, None]


def expose(radiance: np.ndarray, exposure: float) -> np.ndarray:
    """Scale middle gray to 0.22, or lower if highlights would clip, but never below 0.13."""
    luminance = radiance @ LUMINANCE
    middle = np.exp(np.log(luminance + 1e-4).mean())
    highlights = np.percentile(luminance, 97)
    return radiance * exposure * max(min(0.22 / middle, 0.95 / highlights), 0.13 / middle)


def filmic(x: np.ndarray) -> np.ndarray:
    """Apply Narkowicz's fit of the ACES curve, then the sRGB transfer function."""
    x = np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0, 1)
    return np.where(x < 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-6) ** (1 / 2.4) - 0.055)
