"""Label and color of every point of the ground. Colors are linear albedos."""

from dataclasses import dataclass

import numpy as np
from layout import Layout
from noise import fractal_noise, mix, smoothstep
from terrain import Terrain
from vocabulary import DIRT, FLOWER, GRASS, MOUNTAIN, ROCK, SAND, SNOW, TREE


MOUNTAIN_DISTANCE = 1200  # meters: farther rock is labeled mountain
FAR_FOREST_DISTANCE = 350  # meters: farther forest is only painted on the ground, nearer trees are meshes

GREEN_GRASS, DRY_GRASS = [0.082, 0.110, 0.030], [0.21, 0.17, 0.07]
DARK_ROCK, LIGHT_ROCK = [0.085, 0.08, 0.075], [0.21, 0.19, 0.165]
RED_ROCK = [1.9, 1.15, 0.75]  # factors
DARK_CANOPY, LIGHT_CANOPY = [0.022, 0.042, 0.012], [0.05, 0.075, 0.02]
SNOW_WHITE = np.array([0.80, 0.83, 0.87])
DESERT_SAND = np.array([0.50, 0.33, 0.19])
BEACH_SAND = np.array([0.46, 0.38, 0.27])
MUD = np.array([0.24, 0.20, 0.155])
RUT, VERGE = [0.25, 0.19, 0.13], [0.13, 0.12, 0.045]


@dataclass
class GroundPoints:
    """Points on the ground: arrays `(n,)`, in meters."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    slope: np.ndarray  # rise over run
    shore: np.ndarray  # distance to the shore, negative in the water

    @property
    def distance(self) -> np.ndarray:
        """Distance from the eye along the ground."""
        return np.hypot(self.x, self.y)


@dataclass
class Cover:
    """What lies at points: labels, the noise that decided it, and masks of the covers, arrays `(n,)`."""

    labels: np.ndarray  # uint8
    patches: np.ndarray
    clumps: np.ndarray
    grain: np.ndarray
    rock: np.ndarray
    forest: np.ndarray
    snow: np.ndarray
    bare: np.ndarray
    road: np.ndarray | None
    across_road: np.ndarray | None  # meters from its ragged center line


class GroundCover:
    """Labels, colors and forest density of a layout's ground."""

    def __init__(self, layout: Layout, terrain: Terrain):
        self.layout = layout
        self.terrain = terrain

    def forest_density(self, points: GroundPoints) -> np.ndarray:
        """Compute the probability of trees, 0 to 1: none on steep or high ground, at the water, and on the road."""
        layout = self.layout
        density = fractal_noise(points.x, points.y, 420, 5, layout.seed + 30) * 1.3
        density = density + layout.forest + 0.25 * smoothstep(points.distance, 200, 1200)
        density = density - 2 * smoothstep(points.slope, 0.6, 0.95)
        density = density - 2 * smoothstep(points.z, layout.tree_line, layout.tree_line * 1.3)
        density = density - 3 * (points.z < 0.35) - 3 * (points.shore < 3)
        if layout.kind == "road":
            density = density - 3 * (self.distance_to_path(points) < layout.path_width + 3)
        return smoothstep(density, -0.1, 0.15)

    def distance_to_path(self, points: GroundPoints) -> np.ndarray:
        """Compute the distance to the center line of the river or road, across the view."""
        return np.abs(points.x - self.terrain.path_x(points.y))

    def labels(self, points: GroundPoints) -> np.ndarray:
        """Compute labels uint8 `(n,)`."""
        return self._cover(points).labels

    def classify(self, points: GroundPoints) -> tuple[np.ndarray, np.ndarray]:
        """Compute labels uint8 `(n,)` and colors `(n, 3)`."""
        layout, seed = self.layout, self.layout.seed
        x, y = points.x, points.y
        cover = self._cover(points)
        patches, clumps = cover.patches, cover.clumps
        shading = 1 + 0.35 * clumps + 0.25 * cover.grain + 0.4 * fractal_noise(x, y, 3, 4, seed + 28, gain=0.7)

        dryness = np.clip(layout.dryness + 0.5 * patches + 0.25 * clumps, 0, 1)
        colors = mix(GREEN_GRASS, DRY_GRASS, dryness[:, None]) * layout.tint * shading[:, None]
        colors = np.where(cover.rock[:, None], self._rock_colors(points, clumps), colors)
        canopy = mix(DARK_CANOPY, LIGHT_CANOPY, np.clip(0.5 + clumps * 0.9, 0, 1)[:, None])
        colors = np.where(cover.forest[:, None], canopy * layout.tint, colors)
        colors = np.where(cover.snow[:, None], SNOW_WHITE * (1 + 0.05 * clumps[:, None]), colors)
        colors = np.where(cover.bare[:, None], self._bare_colors(points, patches, clumps), colors)
        if layout.kind == "road":
            verge = np.exp(-((cover.across_road / (0.25 * layout.path_width)) ** 2)) * 0.8
            colors = np.where(cover.road[:, None], mix(RUT, VERGE, verge[:, None]) * shading[:, None], colors)
        return cover.labels, np.clip(colors, 0.004, 0.9)

    def _cover(self, points: GroundPoints) -> Cover:
        """Compute what lies where. Later covers replace earlier ones."""
        layout, seed = self.layout, self.layout.seed
        x, y = points.x, points.y
        patches = fractal_noise(x, y, 350, 6, seed + 20)
        clumps = fractal_noise(x, y, 12, 5, seed + 21, gain=0.65)
        grain = fractal_noise(x, y, 0.9, 3, seed + 22, gain=0.7)
        labels = np.full(len(x), GRASS, np.uint8)

        rock = (points.slope + 0.18 * patches + 0.1 * clumps > 0.62) | (
            points.z > layout.tree_line * 1.5 + 200 * patches
        )
        labels[rock] = np.where(points.distance[rock] > MOUNTAIN_DISTANCE, MOUNTAIN, ROCK)

        forest = (self.forest_density(points) > 0.5) & (points.distance > FAR_FOREST_DISTANCE) & ~rock
        labels[forest] = TREE

        ragged = 0 if layout.kind == "snow" else 220  # meters by which the snow line varies
        snow = (points.z > layout.snow_line + ragged * patches) & (points.slope < 0.85 + 0.3 * clumps) & ~forest
        labels[snow] = SNOW

        if layout.kind == "desert":
            bare = labels == GRASS
        else:
            reach = 28 if layout.kind == "sea" else 1.1 + 1.6 * clumps + 0.5 * grain
            bare = (points.shore < reach) & (points.z < 3) & ~snow
        labels[bare] = SAND if layout.is_sandy else DIRT

        across_road, road = None, None
        if layout.kind == "road":
            across_road = self.distance_to_path(points) + 0.35 * clumps
            road = (across_road < layout.path_width) & (points.distance < 600)
            labels[road] = DIRT

        blooming = fractal_noise(x, y, 30, 4, seed + 25) < layout.flowers
        labels[(labels == GRASS) & (points.distance < 220) & blooming] = FLOWER
        return Cover(labels, patches, clumps, grain, rock, forest, snow, bare, road, across_road)

    def _rock_colors(self, points: GroundPoints, clumps: np.ndarray) -> np.ndarray:
        """Compute the colors of rock in horizontal layers."""
        layout = self.layout
        strata = fractal_noise(points.z * 3, points.x * 0.15 + points.y * 0.1, 60, 4, layout.seed + 23)
        lightness = np.clip(0.5 + 0.7 * strata + 0.5 * clumps, 0, 1)
        return mix(DARK_ROCK, LIGHT_ROCK, lightness[:, None]) * (RED_ROCK if layout.kind == "desert" else layout.tint)

    def _bare_colors(self, points: GroundPoints, patches: np.ndarray, clumps: np.ndarray) -> np.ndarray:
        """Compute the colors of sand or mud, dark where it is wet, with wind ripples."""
        layout, seed = self.layout, self.layout.seed
        x, y = points.x, points.y
        if layout.kind == "desert":
            base = DESERT_SAND
        elif layout.is_sandy:
            base = BEACH_SAND * layout.tint
        else:
            base = MUD
        base = base * (1 + 0.25 * fractal_noise(x, y, 0.16, 4, seed + 27, gain=0.8))[:, None]
        wetness = mix(0.45, 1.0, smoothstep(points.shore, 0.5, 6 if layout.kind == "sea" else 1.2))
        ripples = 1 + 0.22 * fractal_noise(x * 0.3, y, 0.5, 4, seed + 24, gain=0.7) + 0.2 * clumps + 0.15 * patches
        ripples = ripples - 0.3 * smoothstep(fractal_noise(x, y, 2.5, 4, seed + 26, gain=0.75), 0.35, 0.6)
        return base * (wetness * ripples)[:, None]
