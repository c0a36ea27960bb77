"""Trees, bushes, boulders, grass and flowers on the ground. The order of all draws is part of the data set."""

from dataclasses import dataclass

import numpy as np
from ground_cover import GroundCover, GroundPoints
from layout import Layout
from meshes import TriangleSoup, separate_faces
from noise import fractal_noise, mix
from plants import boulder, broadleaf, conifer, trunk
from terrain import Terrain
from vocabulary import FLOWER, GRASS, ROCK, TREE


PROTOTYPES = 3  # different meshes of each sort of tree, at each distance
CONIFER_HEIGHT, BROADLEAF_HEIGHT = 15, 10.5  # meters
CONIFER_TRUNK, BROADLEAF_TRUNK = (5, 0.25), (4.5, 0.28)  # height and radius in meters
GREEN_LEAVES = np.array([[0.045, 0.085, 0.018], [0.065, 0.10, 0.02], [0.09, 0.10, 0.022], [0.03, 0.06, 0.018]])
AUTUMN_LEAVES = np.array([[0.30, 0.10, 0.015], [0.34, 0.19, 0.02], [0.22, 0.06, 0.02], [0.12, 0.11, 0.02]])
NEEDLES = np.array([[0.022, 0.045, 0.014], [0.03, 0.055, 0.022], [0.026, 0.05, 0.03]])
BARK = [0.11, 0.085, 0.06]
SNOW_ON_NEEDLES = [0.5, 0.53, 0.56]
RED_STONE, GRAY_STONE = np.array([0.40, 0.25, 0.16]), np.array([0.2, 0.185, 0.165])
BLOSSOMS = np.array([[0.75, 0.08, 0.1], [0.8, 0.62, 0.05], [0.35, 0.12, 0.6], [0.8, 0.78, 0.75], [0.8, 0.25, 0.45]])


@dataclass(frozen=True)
class TreeTier:
    """Trees between two distances, and their detail."""

    candidates: int
    near: float  # meters
    far: float
    is_even: bool  # uniform on the ground; otherwise uniform in the logarithm of the distance
    conifer: tuple[int, int]  # whorls, branches per whorl
    broadleaf: tuple[int, float]  # leaves, size of a leaf
    density: float = 1.0

    @property
    def has_trunks(self) -> bool:
        """Whether trunks are near enough to be seen."""
        return self.near < 400


TREE_TIERS = [
    TreeTier(60, 22, 95, True, (90, 22), (7000, 0.011), density=0.45),
    TreeTier(2600, 60, 500, True, (18, 9), (300, 0.042)),
    TreeTier(9000, 400, 4500, False, (5, 4), (34, 0.11)),
]


class Vegetation:
    """Plants and boulders of a layout, which are added to a triangle soup.

    Args:
        half_angle: azimuth of the scene's left and right border, radians.
    """

    def __init__(
        self,
        layout: Layout,
        terrain: Terrain,
        cover: GroundCover,
        soup: TriangleSoup,
        half_angle: float,
    ):
        self.layout = layout
        self.terrain = terrain
        self.cover = cover
        self.soup = soup
        self.half_angle = half_angle
        self.rng = layout.rng
        self.leaf_colors = AUTUMN_LEAVES if layout.autumn else GREEN_LEAVES
        self.needle_colors = mix(NEEDLES, SNOW_ON_NEEDLES, 0.12) if layout.kind == "snow" else NEEDLES

    def add_all(self) -> None:
        """Add trees, bushes, boulders, grass and flowers, in this order."""
        for tier in TREE_TIERS:
            self._add_trees(tier)
        self._add_bushes()
        self._add_boulders()
        self._add_grass_and_flowers()

    def _scatter(self, count: int, near: float, far: float, is_even: bool) -> GroundPoints:
        """Draw random points between two distances, uniform on the ground or in the distance's logarithm."""
        u = self.rng.random(count)
        distance = np.sqrt(near**2 + u * (far**2 - near**2)) if is_even else near * (far / near) ** u
        azimuth = self.rng.uniform(-self.half_angle, self.half_angle, count)
        x, y = distance * np.sin(azimuth), distance * np.cos(azimuth)
        z, shore = self.terrain.height(x, y)
        step = 0.02 * distance + 0.1
        # x + 0.02 * distance + 0.1, not x + step: the rounding differs, and the data set's trees depend on it
        z_right, _ = self.terrain.height(x + 0.02 * distance + 0.1, y)
        z_beyond, _ = self.terrain.height(x, y + 0.02 * distance + 0.1)
        slope = np.hypot(z_right - z, z_beyond - z) / step
        return GroundPoints(x, y, z, slope, shore)

    def _add_trees(self, tier: TreeTier) -> None:
        """Add conifers and broadleaf trees, in the forest and single ones."""
        layout, rng = self.layout, self.rng
        points = self._scatter(tier.candidates, tier.near, tier.far, tier.is_even)
        # single trees outside the forest as well
        lone = 0.012 * (points.z > 0.8) * (points.slope < 0.4) * (layout.kind not in ("desert", "snow", "sea"))
        lone = lone * (points.z < layout.tree_line) * (points.shore > 5)
        lone = lone * (self.cover.distance_to_path(points) > layout.path_width + 2)
        grows = rng.random(len(points.x)) < self.cover.forest_density(points) * tier.density + lone
        positions = np.stack([points.x, points.y, points.z - 0.2], -1)[grows]

        count = len(positions)
        sizes = rng.uniform(0.65, 1.25, count) * np.where(rng.random(count) < 0.2, 0.6, 1)
        is_conifer = rng.random(count) < layout.conifers
        prototype = rng.integers(0, PROTOTYPES, count)
        yaws = rng.uniform(0, 6.28, count)
        widths = rng.uniform(0.65, 1.15, count)
        conifer_sizes = CONIFER_HEIGHT * sizes[:, None] * np.stack([widths, widths, np.ones(count)], -1)
        for index in range(PROTOTYPES):
            tints = rng.uniform(0.75, 1.25, (count, 1)) * layout.tint
            mesh = conifer(rng, *tier.conifer)
            colors = self.needle_colors[rng.integers(0, len(self.needle_colors), count)] * tints
            chosen = is_conifer & (prototype == index)
            self.soup.add_instances(mesh, positions[chosen], conifer_sizes[chosen], yaws[chosen], colors[chosen], TREE)
            mesh = broadleaf(rng, *tier.broadleaf)
            colors = self.leaf_colors[rng.integers(0, len(self.leaf_colors), count)] * tints
            chosen = ~is_conifer & (prototype == index)
            self.soup.add_instances(
                mesh, positions[chosen], BROADLEAF_HEIGHT * sizes[chosen], yaws[chosen], colors[chosen], TREE
            )
        if tier.has_trunks:
            for chosen, shape in ((is_conifer, CONIFER_TRUNK), (~is_conifer, BROADLEAF_TRUNK)):
                colors = np.tile(BARK, (chosen.sum(), 1))
                self.soup.add_instances(trunk(*shape), positions[chosen], sizes[chosen], yaws[chosen], colors, TREE)

    def _add_bushes(self) -> None:
        """Add thickets of bushes near the eye."""
        layout, rng = self.layout, self.rng
        points = self._scatter(500, 8, 160, is_even=True)
        if layout.kind in ("desert", "snow"):
            return
        thickets = fractal_noise(points.x, points.y, 60, 3, layout.seed + 50) > 0.22 - 0.3 * (layout.forest > 0)
        grows = thickets & (points.z > 0.5) & (points.shore > 12)
        if layout.kind in ("road", "river"):
            grows &= self.cover.distance_to_path(points) > layout.path_width + 1
        positions = np.stack([points.x, points.y, points.z - 0.3], -1)[grows]
        count = len(positions)
        self.soup.add_instances(
            broadleaf(rng, 1100, 0.035, crown_start=0.0, squat=1.5),
            positions,
            sizes=rng.uniform(0.7, 2.2, count),
            yaws=rng.uniform(0, 6, count),
            colors=self.leaf_colors[rng.integers(0, len(self.leaf_colors), count)] * layout.tint,
            label=TREE,
        )

    def _add_boulders(self) -> None:
        """Add groups of boulders, larger far away, where small ones would not be visible."""
        layout, rng = self.layout, self.rng
        points = self._scatter(200, 6, 200, is_even=False)
        lies = (fractal_noise(points.x, points.y, 40, 3, layout.seed + 51) > 0.22) & (points.z > -0.25)
        if layout.kind == "road" or not lies.any():
            return
        base_color = RED_STONE if layout.kind == "desert" else GRAY_STONE * layout.tint
        for index in range(4):  # different stones
            chosen = lies & (np.arange(len(lies)) % 4 == index)
            count = chosen.sum()
            sizes = np.minimum(rng.lognormal(-1.3, 0.6, count), 1.1) * (1 + points.distance[chosen] / 60)
            x, y, z = points.x[chosen], points.y[chosen], points.z[chosen]
            self.soup.add_instances(
                boulder(rng),
                np.stack([x, y, z - 0.15 * sizes], -1),
                sizes,
                yaws=rng.uniform(0, 6, count),
                colors=base_color * rng.uniform(0.75, 1.2, (count, 1)),
                label=ROCK,
            )

    def _add_grass_and_flowers(self) -> None:
        """Add grass near the eye, and blossoms where the ground is labeled flower."""
        points = self._scatter(42000, 1.5, 130, is_even=False)
        labels, colors = self.cover.classify(points)
        grows = np.isin(labels, (GRASS, FLOWER))
        if self.layout.kind == "desert" or not grows.any():
            return
        self._add_blades(points, grows, labels, colors)
        blooms = (labels == FLOWER) & (self.rng.random(len(labels)) < 0.55)
        if blooms.any():
            self._add_blossoms(points, blooms)

    def _add_blades(self, points: GroundPoints, grows: np.ndarray, labels: np.ndarray, colors: np.ndarray) -> None:
        """Add one leaning triangle per tuft, dark at the foot; wider far away, where a pixel covers several blades."""
        rng, count = self.rng, grows.sum()
        lushness = np.clip(0.5 + fractal_noise(points.x, points.y, 9, 3, self.layout.seed + 52), 0, 1)
        heights = (0.10 + 0.25 * lushness)[grows] * rng.uniform(0.5, 1.3, count)
        widths = 0.004 + 0.0022 * points.distance[grows]
        azimuth = rng.uniform(0, 6.28, count)
        lean = rng.normal(size=(count, 2)) * 0.45 * heights[:, None]
        foot = np.stack([points.x, points.y, points.z - 0.03], -1)[grows]
        side = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(count)], -1) * widths[:, None]
        tip = foot + np.concatenate([lean, heights[:, None]], 1)
        vertices = np.stack([foot - side, foot + side, tip], 1)  # (count, 3, 3)
        normals = np.repeat(np.concatenate([lean, np.full((count, 1), 0.5)], 1), 3, 0)
        base = colors[grows] * rng.uniform(0.7, 1.5, (count, 1))
        vertex_colors = np.stack([base * 0.5, base * 0.5, base * 1.5], 1)
        self.soup.add(
            vertices.reshape(-1, 3), normals, vertex_colors.reshape(-1, 3), separate_faces(3 * count), labels[grows]
        )

    def _add_blossoms(self, points: GroundPoints, blooms: np.ndarray) -> None:
        """Add one triangle per blossom, in two colors per layout."""
        rng, count = self.rng, blooms.sum()
        palette = BLOSSOMS[rng.integers(0, len(BLOSSOMS), 2)]
        centers = np.stack([points.x, points.y, points.z + rng.uniform(0.15, 0.4, len(points.x))], -1)[blooms]
        sizes = (0.02 + 0.0032 * points.distance[blooms])[:, None, None]
        vertices = centers[:, None] + rng.normal(size=(count, 3, 3)) * sizes * [1, 0.6, 0.8]
        normals = np.tile([0, -0.4, 1.0], (3 * count, 1))
        colors = palette[rng.integers(0, 2, count)] * rng.uniform(0.7, 1.1, (count, 1))
        self.soup.add(vertices.reshape(-1, 3), normals, np.repeat(colors, 3, 0), separate_faces(3 * count), FLOWER)
