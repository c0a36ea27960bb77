"""The surface of lake, river or sea: waves as normals, the visible ground below, foam."""

import numpy as np
from backend import mi
from layout import Layout
from meshes import TriangleSoup, polar_grid
from noise import fractal_noise, mix, smoothstep
from terrain import Terrain
from view import View
from vocabulary import SEA, WATER


SURFACE_DISTANCE = 60000  # meters
NORMAL_STEP = 0.15  # meters, for the waves' slopes
SHALLOW_LAND = 0.6  # meters: the surface continues under land up to this height, so that there is no gap
ABSORPTION = [1.6, 0.7, 0.8]  # of red, green and blue per meter of depth
DEEP_SEA, DEEP_LAKE = np.array([0.006, 0.040, 0.058]), np.array([0.010, 0.022, 0.022])
SEA_BED, LAKE_BED = np.array([0.30, 0.26, 0.18]), np.array([0.09, 0.08, 0.055])
FOAM = [0.8, 0.82, 0.84]
REFRACTIVE_INDEX = 1.333


def wave_height(layout: Layout, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Compute the height of the waves in calm wind, in meters."""
    swell = 0.22 if layout.kind == "sea" else 0.06
    ripples = 0.05 * fractal_noise(x, y * 1.3, 1.1, 3, layout.seed + 60)
    gusts = smoothstep(fractal_noise(x, y, 120, 3, layout.seed + 62), -0.5, 0.4)
    return ripples + swell * fractal_noise(x * 0.5, y, 5, 3, layout.seed + 61) * gusts


def wave_normals(layout: Layout, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Compute the normals `(n, 3)` of the waves, flatter far away, where a pixel covers many of them."""
    strength = layout.wind * (1.3 if layout.kind == "sea" else 0.55) / (1 + np.hypot(x, y) / 500)
    height = wave_height(layout, x, y)
    slope_x = (wave_height(layout, x + NORMAL_STEP, y) - height) / NORMAL_STEP
    slope_y = (wave_height(layout, x, y + NORMAL_STEP) - height) / NORMAL_STEP
    return np.stack([-slope_x * strength, -slope_y * strength, np.ones(len(x))], -1)


def water_colors(layout: Layout, x: np.ndarray, y: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Compute linear albedos `(n, 3)`: the bed through the water, and the sea's foam. `ground` is the bed's height."""
    is_sea, seed = layout.kind == "sea", layout.seed
    deep = (DEEP_SEA if is_sea else DEEP_LAKE) * layout.tint
    depth = np.clip(-ground, 0, 30)[:, None]
    colors = mix(deep, SEA_BED if is_sea else LAKE_BED, np.exp(-depth * ABSORPTION) * 0.9)
    if not is_sea:
        return colors
    fronts = np.sin(-ground * 7 + 2 * fractal_noise(x, y, 25, 2, seed))
    surf = smoothstep(fractal_noise(x, y, 7, 4, seed + 63) + 0.5 * fronts, 0.15, 0.55)
    foam = surf * smoothstep(-ground, 0.6, 0.05) * 0.75 + smoothstep(-ground, 0.05, 0) * 0.7
    crests = smoothstep(fractal_noise(x * 0.35, y, 9, 5, seed + 64, gain=0.65), 0.55 - 0.1 * layout.wind, 0.75)
    whitecaps = crests * smoothstep(layout.wind, 0.35, 0.9) * 0.6
    return mix(colors, FOAM, np.clip(foam + whitecaps, 0, 1)[:, None])


def build_water(
    layout: Layout, terrain: Terrain, azimuths: np.ndarray, detail: float, view: View | None = None
) -> tuple[mi.Mesh, np.ndarray]:
    """Build the Mitsuba mesh of the surface at z = 0 where the ground is lower; return it and its faces' labels.

    With a view, only what it shows is built, without waves and colors.
    """
    grid_x, grid_y, faces = polar_grid(azimuths, np.geomspace(1, SURFACE_DISTANCE, int(900 * detail)))
    x, y = grid_x.ravel(), grid_y.ravel()
    ground, _ = terrain.height(x, y)
    faces = faces[(ground[faces] < SHALLOW_LAND).any(1)]
    soup = TriangleSoup()
    soup.add(
        np.stack([x, y, np.zeros(len(x))], -1),
        None if view else wave_normals(layout, x, y),
        None if view else water_colors(layout, x, y, ground),
        faces,
        SEA if layout.kind == "sea" else WATER,
    )
    bsdf = {
        "type": "principled",
        "base_color": {"type": "mesh_attribute", "name": "vertex_color"},
        "roughness": 0.18 + 0.14 * layout.wind,
        "eta": REFRACTIVE_INDEX,
    }
    return soup.build("water", bsdf, view)
