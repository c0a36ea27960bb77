"""Labels of the pixels of a layout: exact rays into the scene, and clouds in front of the sky."""

from dataclasses import dataclass

import numpy as np
from backend import dr, mi
from clouds import Clouds
from layout import Layout
from PIL import Image, ImageFilter
from scene import build_scene
from vocabulary import CLOUD, LABELS, SKY


RAYS_PER_SIDE = 4  # 4 x 4 exact rays per pixel
CLOUD_STEPS = 48  # samples along a ray through the clouds
CLOUD_THRESHOLD = 108  # of 255: above this opacity, the sky's label is cloud
OPEN_ALPHA = 0.999  # pixels with less land show the sky


@dataclass
class TracedPixels:
    """What the exact rays of each pixel meet."""

    labels: np.ndarray  # uint8 (pixels,), the majority, without clouds
    directions: np.ndarray  # (pixels, 3), unit vectors
    depth: np.ndarray  # (pixels, rays), meters, infinite where the sky is


def grid_detail(size: int) -> float:
    """Return the detail of the grids of a scene that is rendered at `size` pixels per side."""
    return max(0.55, min(1.3, size / 256))


def build_camera(layout: Layout, eye_z: float, size: int) -> dict:
    """Describe the camera to Mitsuba, with a film of `size` pixels per side."""
    pitch = np.radians(layout.pitch)
    target = [0, float(np.cos(pitch)), eye_z + float(np.sin(pitch))]
    return {
        "type": "perspective",
        "fov": layout.field_of_view,
        "near_clip": 0.05,
        "far_clip": 1e5,
        "to_world": mi.ScalarTransform4f().look_at([0, 0, eye_z], target, [0, 0, 1]),
        "film": {
            "type": "hdrfilm",
            "width": size,
            "height": size,
            "pixel_format": "rgba",
            "component_format": "float32",
            "rfilter": {"type": "box"},
        },
    }


def trace_pixels(scene: mi.Scene, face_labels: dict[str, np.ndarray], size: int) -> TracedPixels:
    """Trace exact rays through every pixel; `face_labels` are those of each shape."""
    rays = size * RAYS_PER_SIDE
    position = (np.arange(rays) + 0.5) / rays
    u, v = (grid.ravel().astype(np.float32) for grid in np.meshgrid(position, position))
    ray, _ = scene.sensors()[0].sample_ray(0.0, 0.0, mi.Point2f(u, v), mi.Point2f(0.5))
    hit = scene.ray_intersect_preliminary(ray, coherent=True)
    shape, face = np.array(dr.reinterpret_array(mi.UInt32, hit.shape)), np.array(hit.prim_index)
    depth = np.where(np.array(hit.is_valid()), np.array(hit.t), np.inf)

    directions = _per_pixel(np.array(ray.d).T, size).mean(1)
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)

    labels = np.full(len(shape), SKY, np.uint8)
    shape_ids = np.array(dr.reinterpret_array(mi.UInt32, scene.shapes_dr()))
    for shape_id, scene_shape in zip(shape_ids, scene.shapes(), strict=True):
        seen = shape == shape_id
        labels[seen] = face_labels[scene_shape.id()][face[seen]]
    labels = _per_pixel(labels, size)[..., 0]
    votes = np.stack([(labels == label).sum(1) for label in range(len(LABELS))], -1)
    return TracedPixels(votes.argmax(-1).astype(np.uint8), directions, _per_pixel(depth, size)[..., 0])


def _per_pixel(values: np.ndarray, size: int) -> np.ndarray:
    """Group rays by pixel: `(rays, ...)`, row by row, to `(pixels, rays per pixel, ...)`."""
    k = RAYS_PER_SIDE
    blocks = values.reshape(size, k, size, k, -1).transpose(0, 2, 1, 3, 4)
    return blocks.reshape(size * size, k * k, -1)


def label_clouds(labels: np.ndarray, opacity: np.ndarray, size: int) -> np.ndarray:
    """Compute labels uint8 `(size, size)`, clouds included, with borders smoothed over 3x3 pixels.

    Args:
        labels: those without clouds `(pixels,)`.
        opacity: that of the clouds `(pixels,)`, 0 where no sky is seen.
    """
    image = Image.fromarray((opacity * 255).reshape(size, size).astype(np.uint8))
    blurred = np.array(image.filter(ImageFilter.GaussianBlur(size / 100)))
    is_cloud = (labels.reshape(size, size) == SKY) & (blurred > CLOUD_THRESHOLD)
    labels = np.where(is_cloud, CLOUD, labels.reshape(size, size)).astype(np.uint8)
    return np.array(Image.fromarray(labels).filter(ImageFilter.ModeFilter(3)))


def render_labels(layout: Layout, size: int, samples_per_pixel: int) -> np.ndarray:
    """Compute the label map uint8 `(size, size)` of a layout's first images, without rendering them.

    Args:
        samples_per_pixel: that of the images; it decides which pixels at the skyline ask for clouds.
    """
    parts = build_scene(layout, grid_detail(size), labels_only=True)
    scene = mi.load_dict({"type": "scene", **parts.shapes, "sensor": build_camera(layout, parts.eye_z, size)})
    pixels = trace_pixels(scene, parts.face_labels, size)

    # the same random rays as those of the images: the clouds' jitter depends on the number of open pixels
    film = mi.render(scene, integrator=mi.load_dict({"type": "depth"}), spp=samples_per_pixel, seed=1)
    is_open = np.array(film)[..., 3].reshape(-1) < OPEN_ALPHA
    opacity = np.zeros(size * size)
    dark = np.zeros(3)
    clouds = Clouds(layout, sun_direction=np.array([0.0, 0, 1]), sun_irradiance=dark, ambient=dark)
    opacity[is_open] = clouds.opacity(pixels.directions[is_open], CLOUD_STEPS, seed=0)
    return label_clouds(pixels.labels, opacity, size)
