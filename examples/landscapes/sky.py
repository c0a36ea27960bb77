"""Sun, clear sky and clouds of one layout in one style: radiance for any direction."""

import numpy as np
from backend import dr, mi
from clouds import Clouds
from layout import Layout
from noise import fractal_noise, mix, smoothstep
from vocabulary import STYLES


SUN_DIAMETER = 0.5358  # degrees
LUMINANCE = [0.2, 0.7, 0.1]
LOW_SUN = (14, 2)  # degrees: the sun's height where its colors begin, and where they reach full strength
LOW_SUN_SKY, LOW_SUN_DISK = [1.12, 0.86, 1.12], [1.1, 0.78, 0.9]  # the sky model lacks the pinks of a low sun
DUSK_SKY, DUSK_GLOW = [0.62, 0.66, 1.15], np.array([0.3, 0.45, 1.0])
SUN_STRENGTH = dict(dusk=0.12, golden=1.4, sunset=1.3)  # factors of styles
VEIL_COLOR = np.array([0.97, 1.0, 1.05])
HORIZON = 0.004  # smallest sine of the elevation; the sky model is not defined below the horizon
AIR_LIGHT_DISTANCE = 26000  # meters after which 1 / e of a cloud's radiance is left, and the rest is air light


def environment_directions(width: int, height: int) -> np.ndarray:
    """Compute the directions `(height * width, 3)` of an equirectangular map's pixels; its upper half is the sky."""
    azimuth, inclination = np.meshgrid(
        (np.arange(width) + 0.5) / width * 2 * np.pi, (np.arange(height) + 0.5) / height * np.pi
    )
    direction = [np.sin(inclination) * np.sin(azimuth), np.sin(inclination) * np.cos(azimuth), np.cos(inclination)]
    return np.stack(direction, -1).reshape(-1, 3)


def evaluate_emitter(emitter: mi.Emitter, directions: np.ndarray) -> np.ndarray:
    """Compute the radiance float32 `(n, 3)` of a distant emitter in `directions` `(n, 3)` of any length."""
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    directions = np.stack([directions[:, 0], directions[:, 1], np.maximum(directions[:, 2], HORIZON)], 1)
    interaction = dr.zeros(mi.SurfaceInteraction3f, len(directions))
    interaction.wi = -dr.normalize(mi.Vector3f(directions.T.astype(np.float32)))
    return np.maximum(np.array(emitter.eval(interaction)).T, 0)


class Sky:
    """Light of one style, drawn from its ranges. Directions are unit vectors `(n, 3)`, radiances `(n, 3)`, linear."""

    def __init__(self, layout: Layout, style: str, rng: np.random.Generator):
        ranges = STYLES[style]
        self.layout = layout
        self.style = style
        self.elevation = float(rng.uniform(*ranges.sun_elevation))  # degrees
        turbidity = float(rng.uniform(*ranges.turbidity))
        self.overcast = float(rng.uniform(*ranges.overcast))
        self.haze = float(rng.uniform(*ranges.haze))  # per kilometer
        self.exposure = float(rng.uniform(*ranges.exposure))

        side = rng.choice([-1, 1])
        if style in ("sunset", "dusk"):
            azimuth = rng.uniform(3, 60)
        else:
            azimuth = rng.uniform(20, 105 if style == "golden" else 150)
        azimuth, elevation = np.radians(float(side * azimuth)), np.radians(self.elevation)
        self.sun_direction = np.array(
            [np.sin(azimuth) * np.cos(elevation), np.cos(azimuth) * np.cos(elevation), np.sin(elevation)]
        )
        sky_model = dict(type="sunsky", sun_direction=self.sun_direction.tolist(), turbidity=turbidity, albedo=0.2)
        self._dome = mi.load_dict({**sky_model, "sun_scale": 0.0})
        disk = mi.load_dict({**sky_model, "sky_scale": 0.0})

        # irradiance: the disk's radiance times its solid angle
        sun_radiance = evaluate_emitter(disk, self.sun_direction[None])[0]
        sun = np.maximum(sun_radiance, 0) * 2 * np.pi * (1 - np.cos(np.radians(SUN_DIAMETER / 2)))
        self.sun_irradiance = sun * (1 - self.overcast) ** 1.5 * SUN_STRENGTH.get(style, 1)  # (3,)

        near_zenith = evaluate_emitter(self._dome, np.array([[0, 0.2, 0.98]]))[0]
        sample = np.random.default_rng(0).normal(size=(400, 3)) * [1, 1, 0.5] + [0, 0, 0.8]
        luminance = float((evaluate_emitter(self._dome, sample) @ LUMINANCE).mean())
        self._veil = luminance * VEIL_COLOR * (1.5 if self.elevation > 6 else 1.0)
        self.ambient = mix(near_zenith * 0.8 + luminance * 0.35, self._veil, self.overcast)  # (3,), lights the clouds
        self._clouds = Clouds(layout, self.sun_direction, self.sun_irradiance, self.ambient)

    @property
    def low_sun(self) -> float:
        """1 if the sun is at the horizon, 0 if it is high."""
        return smoothstep(self.elevation, *LOW_SUN)

    def clear(self, directions: np.ndarray) -> np.ndarray:
        """Compute the sky without clouds and sun: the Hosek-Wilkie dome, blended with an overcast veil."""
        radiance = evaluate_emitter(self._dome, directions)
        radiance = radiance * mix([1.0, 1, 1], LOW_SUN_SKY, self.low_sun * 0.55)
        if self.style == "dusk":
            radiance = radiance * DUSK_SKY + 0.012 * DUSK_GLOW
        if self.overcast <= 0.02:
            return radiance
        up = np.clip(directions[:, 2:], 0, 1)
        to_layer = 1 / np.maximum(up[:, 0], 0.03)  # the veil is a plane, at a height of 1
        x, y = directions[:, 0] * to_layer, directions[:, 1] * to_layer
        blotches = (1 + 0.16 * fractal_noise(x, y, 2.2, 5, self.layout.seed + 70))[:, None]
        return mix(radiance, self._veil * (0.55 + 0.6 * up) * blotches, self.overcast)

    def cloud_layer(self, directions: np.ndarray, steps: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Compute the clouds' radiance times their opacity `(n, 3)`, and their opacity `(n,)` in [0, 1].

        `steps` samples are taken along each ray; `seed` jitters them.
        """
        radiance, opacity, distance = self._clouds.march(directions, steps, seed)
        visible = np.exp(-distance / AIR_LIGHT_DISTANCE)[:, None]
        return radiance * visible + opacity[:, None] * (1 - visible) * self.clear(directions), opacity

    def radiance(
        self, directions: np.ndarray, steps: int, with_sun: bool = True, seed: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute the whole sky, with or without the sun and its glow, and the opacity `(n,)` of the clouds."""
        clear = self.clear(directions)
        clouds, opacity = self.cloud_layer(directions, steps, seed)
        if with_sun:
            clear = clear + self._sun_disk(directions)
        return clear * (1 - opacity[:, None]) + clouds, opacity

    def _sun_disk(self, directions: np.ndarray) -> np.ndarray:
        """Compute the sun, a bright ring around it, and a wide glow."""
        angle = np.degrees(np.arccos(np.clip(directions @ self.sun_direction, -1, 1)))[:, None]
        tint = mix([1.0, 1, 1], LOW_SUN_DISK, self.low_sun)
        disk = 60 * smoothstep(angle, 0.5, 0.3)
        ring = 1.2 * np.exp(-angle / 1.1)
        glow = mix(0.2, 0.08, self.low_sun) * np.exp(-angle / 7)
        return self.sun_irradiance * tint * (disk + ring + glow)
