"""Rendering of a layout in any style: path-traced land and water, denoised, with the sky behind and haze in front."""

from dataclasses import dataclass

import numpy as np
from backend import dr, mi, oidn
from grading import grade
from label_tracing import (
    CLOUD_STEPS,
    OPEN_ALPHA,
    TracedPixels,
    build_camera,
    grid_detail,
    label_clouds,
    trace_pixels,
)
from layout import Layout
from PIL import Image
from scene import build_scene
from sky import Sky, environment_directions
from vocabulary import SEA, STYLES, WATER


PATH_DEPTH = 4
ENVIRONMENT_STEPS, SUN_STEPS = 20, 40  # samples along a ray through the clouds
HAZE_COLOR = np.array([0.75, 1.0, 1.45])  # extinction of red, green and blue divided by that of green
SKY_HAZE_HEIGHT = 1200  # meters of haze in front of the zenith
FARTHEST_REFLECTION = 2e4  # meters
REFLECTION_SIZE = 256  # pixels per side of the map of reflections: at another size, rays miss other parts of the water
RIPPLE_BLUR = 4  # in 1/128 of the image's side, in each direction


@dataclass
class Rendering:
    """A rendered image with its labels."""

    image: np.ndarray  # uint8 (size, size, 3), sRGB
    labels: np.ndarray  # uint8 (size, size)
    sun_elevation: float  # degrees


class Renderer:
    """Renderer of a layout, which is built once and rendered in any number of styles.

    Args:
        size: pixels per side. The same layout at another size is the same scene.
        samples_per_pixel: paths per pixel, before denoising.
    """

    def __init__(self, layout: Layout, size: int = 256, samples_per_pixel: int = 16):
        self.layout = layout
        self.size = size
        self.samples_per_pixel = samples_per_pixel
        self.environment_size = (2 * size, size)  # width, height
        scene = build_scene(layout, grid_detail(size))
        self.eye_z = scene.eye_z
        self.scene = self._load_scene(scene.shapes)
        aovs = {"type": "aov", "aovs": "albedo:albedo,normal:sh_normal"}
        self.integrator = mi.load_dict(
            {**aovs, "image": {"type": "path", "max_depth": PATH_DEPTH, "hide_emitters": True}}
        )
        pixels = trace_pixels(self.scene, scene.face_labels, size)
        self.labels, self.directions, self.depth = pixels.labels, pixels.directions, pixels.depth
        self._trace_reflections(
            pixels if size == REFLECTION_SIZE else trace_pixels(self.scene, scene.face_labels, REFLECTION_SIZE)
        )

    def _load_scene(self, shapes: dict[str, mi.Mesh]) -> mi.Scene:
        """Load shapes, camera, and a sky and a sun that each style replaces."""
        width, height = self.environment_size
        sky = {
            "type": "envmap",
            "bitmap": mi.Bitmap(np.ones((height, width, 3), np.float32)),
            "to_world": mi.ScalarTransform4f().rotate([1, 0, 0], 90),  # from y up to z up
        }
        sun = {"type": "directional", "direction": [0, 0, -1], "irradiance": {"type": "rgb", "value": [1.0, 1.0, 1.0]}}
        camera = build_camera(self.layout, self.eye_z, self.size)
        return mi.load_dict({"type": "scene", **shapes, "sensor": camera, "sky": sky, "sun": sun})

    def _trace_reflections(self, pixels: TracedPixels) -> None:
        """Compute the distance of each pixel's reflection in the water, and the part of the light it reflects.

        The distances are those of `pixels`, which are `REFLECTION_SIZE` per side, resized to the image.
        """
        mirrored, wet = mirror_in_water(pixels.directions, pixels.labels)
        depth = np.nan_to_num(np.where(np.isfinite(pixels.depth), pixels.depth, np.nan)[:, :1])
        surface = pixels.directions * depth + [0, 0, self.eye_z + 0.05]
        ray = mi.Ray3f(
            mi.Point3f(surface.T.astype(np.float32)), dr.normalize(mi.Vector3f(mirrored.T.astype(np.float32)))
        )
        hit = self.scene.ray_intersect(ray)
        distance = np.where(
            wet & np.array(hit.is_valid()), np.minimum(np.array(hit.t), FARTHEST_REFLECTION), 0
        ).reshape(REFLECTION_SIZE, REFLECTION_SIZE)
        offsets = range(-RIPPLE_BLUR, RIPPLE_BLUR + 1)
        for axis in (0, 1):
            steps = (offset * REFLECTION_SIZE // 128 for offset in offsets)
            distance = sum(np.roll(distance, step, axis) for step in steps) / len(offsets)
        distance = np.array(Image.fromarray(distance).resize((self.size, self.size), Image.Resampling.BILINEAR))

        mirrored, wet = mirror_in_water(self.directions, self.labels)
        self.reflection_distance = distance.reshape(-1, 1) * wet[:, None]  # (pixels, 1), meters
        # Schlick's approximation, for water with waves
        self.fresnel = 0.02 + 0.98 * (1 - np.clip(mirrored[:, 2:] + 0.08, 0, 1)) ** 5  # (pixels, 1)

    def render(self, style: str, variant: int = 0) -> Rendering:
        """Render one style; its variants differ in the sun's height, the haze and similar parameters."""
        size = self.size
        seed = (self.layout.seed, variant, list(STYLES).index(style))
        sky = Sky(self.layout, style, np.random.default_rng(seed))
        self._set_light(sky)
        land, alpha = self._render_land(variant)

        is_open = alpha < OPEN_ALPHA
        sky_radiance, opacity = np.zeros((size * size, 3)), np.zeros(size * size)
        sky_radiance[is_open], opacity[is_open] = sky.radiance(self.directions[is_open], CLOUD_STEPS, seed=variant)

        radiance, land_visibility = self._add_haze(sky, land, alpha, sky_radiance)
        image = grade(radiance, alpha * land_visibility, sky)
        image = (image.reshape(size, size, 3) * 255 + 0.5).astype(np.uint8)
        return Rendering(image, label_clouds(self.labels, opacity, size), round(sky.elevation, 2))

    def _set_light(self, sky: Sky) -> None:
        """Give the scene the sky's light. The lower half of the environment repeats the horizon."""
        width, height = self.environment_size
        directions = environment_directions(width, height)
        radiance = np.empty((len(directions), 3), np.float32)
        upper = directions[:, 2] > 0
        radiance[upper], _ = sky.radiance(directions[upper], ENVIRONMENT_STEPS, with_sun=False)
        radiance[~upper] = np.tile(radiance[upper][-width:].reshape(width, 3), (height // 2, 1))
        radiance = radiance.reshape(height, width, 3)
        _, opacity = sky.cloud_layer(sky.sun_direction[None], SUN_STEPS)
        sunlight = 1 - 0.6 * float(opacity[0])  # a cloud in front of the sun dims it

        parameters = mi.traverse(self.scene)
        # Mitsuba expects the outer columns to be a border that repeats the opposite side. Ours do not, which stretches
        # the sky's light by two columns; a fix would change the data set.
        parameters["sky.data"] = mi.TensorXf(radiance)
        direction = (-sky.sun_direction).tolist()
        parameters["sun.to_world"] = mi.Transform4f(mi.ScalarTransform4f().look_at([0, 0, 0], direction, [0, 0, 1]))
        parameters["sun.irradiance.value"] = mi.Color3f(*[float(value) * sunlight for value in sky.sun_irradiance])
        parameters.update()

    def _render_land(self, variant: int) -> tuple[np.ndarray, np.ndarray]:
        """Render the denoised radiance `(pixels, 3)` of land and water times their coverage, and the coverage."""
        output = mi.render(self.scene, integrator=self.integrator, spp=self.samples_per_pixel, seed=variant + 1)
        output = np.array(output)  # (size, size, 10): RGBA, albedo, normal
        color, alpha = np.nan_to_num(output[..., :3]), np.clip(output[..., 3], 0, 1)
        brightest = min(6.0, 30 * float(np.median(color)) + 1)  # brighter single samples are noise
        color = oidn.denoise(
            np.ascontiguousarray(np.minimum(color, brightest).astype(np.float32)),
            np.ascontiguousarray(np.clip(output[..., 4:7], 0, 1).astype(np.float32)),
            np.ascontiguousarray(output[..., 7:10].astype(np.float32)),
            hdr=True,
            clean_aux=True,
        )
        return color.reshape(-1, 3), alpha.reshape(-1)

    def _add_haze(
        self, sky: Sky, land: np.ndarray, alpha: np.ndarray, sky_radiance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute the radiance `(pixels, 3)` of land and sky behind haze, and the land's visibility `(pixels,)`."""
        extinction = sky.haze * 1e-3 * HAZE_COLOR  # per meter
        hit = np.isfinite(self.depth)
        depth = np.where(hit, self.depth, 0)
        transmittance = np.stack([np.where(hit, np.exp(-rate * depth), 0).sum(1) for rate in extinction], -1)
        transmittance = transmittance / np.maximum(hit.sum(1), 1)[:, None]

        x, y, z = self.directions.T
        air = sky.clear(np.stack([x, y, np.maximum(z, 0.03)], -1))
        toward_sun = np.clip(self.directions @ sky.sun_direction, 0, 1)[:, None]
        air = air * 0.92 + sky.sun_irradiance * 0.03 * toward_sun**8

        # the path tracer has no haze, so its reflections of far mountains lack it
        mirrored = np.exp(-extinction * self.reflection_distance)
        reflected = 0.55 * self.fresnel
        land = land * (1 - (1 - mirrored) * reflected / (reflected + 0.06)) + reflected * (1 - mirrored) * air

        through = np.exp(-extinction * SKY_HAZE_HEIGHT / np.maximum(z[:, None], 0.015))
        sky_radiance = sky_radiance * through + air * (1 - through)
        alpha = alpha[:, None]
        radiance = land * transmittance + air * alpha * (1 - transmittance) + sky_radiance * (1 - alpha)
        return radiance, transmittance[:, 1]


def mirror_in_water(directions: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mirror `directions` `(pixels, 3)` in a flat surface; also return which `labels` `(pixels,)` are of water."""
    mirrored = directions * [1, 1, -1]
    wet = np.isin(labels, (WATER, SEA)) & (mirrored[:, 2] > 0.003)
    mirrored[:, 2] = np.maximum(mirrored[:, 2], 0.02)
    return mirrored, wet
