"""The meshes of a layout: ground with plants and boulders, and water."""

from dataclasses import dataclass

import numpy as np
from backend import mi
from ground_cover import GroundCover, GroundPoints
from layout import Layout
from meshes import TriangleSoup, grid_normals, polar_grid
from noise import fractal_noise, smoothstep
from terrain import Terrain
from vegetation import Vegetation
from view import View
from vocabulary import MOUNTAIN, ROCK, SNOW, TREE
from water import build_water


GROUND_NEAR, GROUND_MIDDLE, GROUND_FAR = 1.2, 150, 22000  # meters: the grid is finer before the middle


@dataclass
class Scene:
    """Meshes and labels of a layout, still without light."""

    layout: Layout
    eye_z: float  # meters
    shapes: dict[str, mi.Mesh]
    face_labels: dict[str, np.ndarray]  # (f,) of each shape


def build_scene(layout: Layout, detail: float = 1.0, labels_only: bool = False) -> Scene:
    """Build a layout's meshes.

    Args:
        detail: factor on the resolution of the ground's and the water's grids.
        labels_only: leave out colors, normals and all that is outside the camera's view.
    """
    terrain = Terrain(layout)
    cover = GroundCover(layout, terrain)
    half_angle = np.radians(layout.field_of_view / 2) * 1.25 + 0.12  # beyond the image, for shadows and reflections
    azimuths = np.linspace(-half_angle, half_angle, int(560 * detail))
    view = View(layout, terrain.eye_z) if labels_only else None
    if view:
        azimuths = view.crop(azimuths)
    distances = np.concatenate(
        [
            np.geomspace(GROUND_NEAR, GROUND_MIDDLE, int(400 * detail), endpoint=False),
            np.geomspace(GROUND_MIDDLE, GROUND_FAR, int(900 * detail)),
        ]
    )
    soup = TriangleSoup()
    ground_z = add_ground(soup, layout, terrain, cover, azimuths, distances, view)
    Vegetation(layout, terrain, cover, soup, half_angle).add_all()

    color = {"type": "mesh_attribute", "name": "vertex_color"}
    bsdf = {"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": color}}
    land, land_labels = soup.build("land", bsdf, view)
    shapes, face_labels = {"land": land}, {"land": land_labels}
    if (ground_z < 0).any():
        shapes["water"], face_labels["water"] = build_water(layout, terrain, azimuths, detail, view)
    return Scene(layout, terrain.eye_z, shapes, face_labels)


def add_ground(
    soup: TriangleSoup,
    layout: Layout,
    terrain: Terrain,
    cover: GroundCover,
    azimuths: np.ndarray,
    distances: np.ndarray,
    view: View | None,
) -> np.ndarray:
    """Add the ground as a grid around the eye; return its heights `(distances * azimuths,)` without relief.

    With a `view`, it has no normals and colors.
    """
    grid_x, grid_y, faces = polar_grid(azimuths, distances)
    x, y = grid_x.ravel(), grid_y.ravel()
    z, shore = terrain.height(x, y)
    vertices = np.stack([grid_x, grid_y, z.reshape(grid_x.shape)], -1)  # (distances, azimuths, 3)
    upward = grid_normals(vertices)[..., 2].ravel()
    slope = np.sqrt(1 - np.clip(upward, 0, 1) ** 2) / np.clip(upward, 0.05, 1)
    points = GroundPoints(x, y, z, slope, shore)
    labels, colors = (cover.labels(points), None) if view else cover.classify(points)
    vertices[..., 2] += relief(layout, x, y, labels).reshape(grid_x.shape)
    normals = None if view else grid_normals(vertices).reshape(-1, 3)
    soup.add(vertices.reshape(-1, 3), normals, colors, faces, labels[faces[:, 0]])
    return z


def relief(layout: Layout, x: np.ndarray, y: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Compute the height that a label adds to the ground, meters `(n,)`: treetops of far forest, crags, snowdrifts."""
    distance, seed = np.hypot(x, y), layout.seed
    treetops = (6 + 7 * fractal_noise(x, y, 14, 3, seed + 40)) * smoothstep(distance, 350, 600)
    crag_height = 0.02 * np.minimum(distance, 3000) * 0.35
    crags = crag_height * fractal_noise(x, y, 60, 5, seed + 41, ridged=True)
    drifts = 0.25 * fractal_noise(x, y * 2, 4, 5, seed + 42) + 0.6 * fractal_noise(x, y, 25, 4, seed + 43, ridged=True)
    return (
        (labels == TREE) * treetops
        + np.isin(labels, (MOUNTAIN, ROCK)) * crags
        + (labels == SNOW) * smoothstep(distance, 4000, 50) * drifts
    )
