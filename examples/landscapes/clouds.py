"""Clouds over a layout: ray-marched cumulus, and thin cirrus as a plane above them."""

from collections.abc import Callable

import numpy as np
from backend import dr, mi
from layout import Layout
from noise import cloud_texture, fractal_noise, plane_texture, smoothstep


CLOUD_BASE, CLOUD_THICKNESS = 1300, 1100  # meters
LONGEST_RAY = 9000  # meters inside the layer
LOWEST_RAY = 0.015  # z of directions that meet clouds
EXTINCTION = 0.020  # per meter, at density 1
STEP_LIMIT = 220  # meters: a longer step counts as this long for its opacity
# Samples of the density toward the sun, in meters: length that a sample stands for, and its distance.
SHADOW_SAMPLES = ((60, 30), (120, 120), (260, 310), (500, 690))  # (length, distance)
BILLOW_SIZE, DETAIL_SIZE, WEATHER_SIZE = 5600, 1250, 600000  # meters: periods of the noise


def opaque(value: float) -> mi.Float:
    """Make a number that Dr.Jit does not compile into its kernels, so that they serve every scene."""
    return dr.opaque(mi.Float, float(value))


class Clouds:
    """Clouds in the light of a sun: directions are unit vectors `(n, 3)`, radiances linear RGB."""

    def __init__(self, layout: Layout, sun_direction: np.ndarray, sun_irradiance: np.ndarray, ambient: np.ndarray):
        self.layout = layout
        self.sun_direction = sun_direction
        self.sun_irradiance = sun_irradiance
        self.ambient = ambient

    def march(self, directions: np.ndarray, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return radiance times opacity `(n, 3)`, opacity `(n,)`, and meters to the cumulus layer `(n,)`."""
        cumulus = self._march_cumulus(directions, steps, seed)
        transmittance, direct, indirect, distance, phase = (np.array(value) for value in cumulus)
        radiance = direct[:, None] * self.sun_irradiance * 1.05 + indirect[:, None] * self.ambient * 0.85
        cirrus = self._cirrus(directions)
        cirrus_light = self.sun_irradiance * 0.22 * phase[:, None] + self.ambient * 0.75
        radiance = radiance + (transmittance * cirrus)[:, None] * cirrus_light
        return radiance, 1 - transmittance * (1 - cirrus), distance

    def opacity(self, directions: np.ndarray, steps: int, seed: int) -> np.ndarray:
        """Return the opacity `(n,)` alone, the same numbers as those of `march`, several times faster.

        Dr.Jit computes only what is asked for: the light is left out of its loop.
        """
        transmittance = np.array(self._march_cumulus(directions, steps, seed)[0])
        return 1 - transmittance * (1 - self._cirrus(directions))

    def _density(self) -> Callable[[mi.Point3f, bool], mi.Float]:
        """Return a function: density of the cumulus in [0, 1] at points in meters, with or without fine detail."""
        base, thickness = opaque(CLOUD_BASE), opaque(CLOUD_THICKNESS)
        cover, shift = opaque(self.layout.cloud_cover), opaque(self.layout.seed * 0.013 % 1)
        billows, weather = cloud_texture(), plane_texture()

        def density(p: mi.Point3f, is_fine: bool) -> mi.Float:
            height = (p.z - base) / thickness
            noise = billows.eval(mi.Point3f(p.x / BILLOW_SIZE + shift, p.y / BILLOW_SIZE, p.z / BILLOW_SIZE))[0]
            noise = noise + 5.5 * weather.eval(mi.Point2f(p.x / WEATHER_SIZE + shift, p.y / WEATHER_SIZE))[0]
            value = 0.5 * noise + cover - 0.75 - 1.1 * dr.square(dr.maximum(height - 0.12, 0)) * 1.4  # round tops
            value -= dr.select(height < 0.1, (0.1 - height) * 9, 0)  # flat bottoms
            if is_fine:
                detail = mi.Point3f(p.x / DETAIL_SIZE, p.y / DETAIL_SIZE + shift, p.z / DETAIL_SIZE)
                value -= 0.16 * (1 - billows.eval(detail)[0])
            return dr.clip(value * 1.6, 0, 1) * ((height > 0) & (height < 1))

        return density

    def _march_cumulus(self, directions: np.ndarray, steps: int, seed: int) -> tuple[mi.Float, ...]:
        """Compute transmittance, direct and ambient light, distance and phase function of each ray, `(n,)` each."""
        density = self._density()
        base, thickness, extinction = opaque(CLOUD_BASE), opaque(CLOUD_THICKNESS), opaque(EXTINCTION)
        direction = mi.Vector3f(directions.T.astype(np.float32))
        sun = mi.Vector3f(*[opaque(value) for value in self.sun_direction])
        is_upward = direction.z > LOWEST_RAY
        rise = dr.maximum(direction.z, LOWEST_RAY)
        start = base / rise
        step = dr.minimum(thickness / rise, LONGEST_RAY) / steps
        jitter = mi.Float(np.random.default_rng(seed).random(len(directions)).astype(np.float32))

        cos_angle = dr.dot(direction, sun)

        def henyey_greenstein(g: float) -> mi.Float:
            return (1 - g * g) / (1 + g * g - 2 * g * cos_angle) ** 1.5

        phase = 0.55 + 0.10 * henyey_greenstein(0.75) + 0.25 * henyey_greenstein(0.2)

        def advance(
            index: mi.UInt32, transmittance: mi.Float, direct: mi.Float, ambient: mi.Float
        ) -> tuple[mi.UInt32, mi.Float, mi.Float, mi.Float]:
            point = mi.Point3f(direction * (start + step * (index + jitter)))
            rho = density(point, True)
            depth = mi.Float(0)  # optical depth toward the sun
            for length, distance in SHADOW_SAMPLES:
                depth += density(point + sun * distance, False) * length
            depth *= extinction
            height = (point.z - base) / thickness
            # the first term approximates multiply scattered light, which reaches deeper
            scattered = 0.30 * dr.exp(-0.22 * depth) + 0.16 * dr.exp(-depth) * phase
            lit = scattered * (1 - 0.45 * dr.exp(-rho * 9))
            opacity = 1 - dr.exp(-rho * extinction * dr.minimum(step, STEP_LIMIT))
            weight = transmittance * opacity
            return (
                index + 1,
                transmittance * (1 - opacity),
                direct + weight * lit,
                ambient + weight * (0.38 + 0.62 * height),
            )

        def goes_on(index: mi.UInt32, transmittance: mi.Float, direct: mi.Float, ambient: mi.Float) -> mi.Bool:
            return (index < steps) & is_upward & (transmittance > 0.01)

        zero = 0 * jitter
        first = mi.UInt32(0) + dr.zeros(mi.UInt32, len(directions))
        state = dr.while_loop((first, mi.Float(1) + zero, zero, zero), goes_on, advance)
        _, transmittance, direct, ambient = state
        return transmittance, direct, ambient, start, phase + zero

    def _cirrus(self, directions: np.ndarray) -> np.ndarray:
        """Compute the opacity `(n,)` of streaks on a plane at height 1."""
        layout, seed = self.layout, self.layout.seed
        to_layer = 1 / np.maximum(directions[:, 2], 0.03)
        x, y = directions[:, 0] * to_layer, directions[:, 1] * to_layer
        cos, sin = np.cos(layout.shore_angle * 2), np.sin(layout.shore_angle * 2)
        along, across = (x * cos + y * sin) * 0.3, (y * cos - x * sin) + 0.3 * fractal_noise(x, y, 2, 3, seed + 72)
        streaks = fractal_noise(along, across, 1.1, 7, seed + 71, gain=0.62)
        opacity = smoothstep(streaks, 0.25 - 0.5 * layout.cirrus, 0.95 - 0.4 * layout.cirrus) * 0.75
        return opacity * smoothstep(directions[:, 2], 0.0, 0.1)
