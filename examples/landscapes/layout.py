"""The random parameters of a scene.

Frame of all modules: x right, y forward, z up, in meters. Water lies at z = 0, the eye at x = y = 0.
"""

from dataclasses import dataclass

import numpy as np
from vocabulary import KINDS


NEVER = 1e9  # meters: a height that no ground reaches


@dataclass
class Layout:
    """Parameters of one scene. Lengths in meters, angles in radians unless stated."""

    number: int
    kind: str
    rng: np.random.Generator  # also used after the parameters, to draw plants and stones
    eye_height: float  # above the ground or the water
    field_of_view: float  # degrees, horizontal and vertical
    pitch: float  # degrees, positive looks up
    mountain_height: float  # before `Terrain` fits mountains and hills to the skyline
    mountain_start: float  # distances between which the mountains rise to their full height
    mountain_full: float
    mountain_wavelength: float
    hill_height: float
    snow_line: float  # height above which there is snow
    tree_line: float
    forest: float  # -1 has no trees, 0.5 is all forest
    conifers: float  # part of the trees, 0 to 1
    autumn: bool
    dryness: float  # of the grass: below 0 green, 0.5 straw
    flowers: float  # level of a noise in [-1, 1] below which grass blooms
    cloud_cover: float  # -0.9 clear, 0.9 nearly closed
    cirrus: float
    wind: float  # 0.15 still water, 1 choppy
    shore_angle: float  # of the sea's shore; 0 runs across the view
    side: float  # -1 or 1: where the river or road begins
    lake_x: float
    lake_start: float  # distance of the near shore
    lake_width: float  # semi-axes
    lake_depth: float
    phase: float  # of the meanders; also decides whether other kinds have a lake
    bend: float  # amplitude of the meanders
    path_width: float  # half width of the river or road
    roll: float  # height of the foreground's undulations
    tilt: float  # slope of the ground to the right
    valley: float  # slope of the ground away from the middle
    tint: np.ndarray  # (3,) factors on most colors of plants, ground and water
    skyline: float  # part of the image's upper half that the mountains reach
    has_islands: bool

    @property
    def seed(self) -> int:
        """First of the layout's noise seeds."""
        return self.number * 50

    @property
    def has_lake(self) -> bool:
        """Whether there is a lake: in every lake scene, and in some of the kinds that can have one."""
        return self.kind == "lake" or (self.kind in ("snow", "forest", "meadow") and self.phase > 3.6)

    @property
    def is_sandy(self) -> bool:
        """Whether the shore is sand, not mud."""
        return self.kind in ("sea", "desert")


def draw_layout(number: int, kind: str | None = None) -> Layout:
    """Draw the parameters of layout `number`, of its own kind unless another is given.

    The order of the draws is part of the data set.
    """
    rng = np.random.default_rng(number)
    kind = kind or KINDS[number % len(KINDS)]

    def uniform(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def by_kind(ranges: dict[str, tuple[float, float] | float], otherwise: tuple[float, float]) -> float:
        """Draw from every range, for any kind, and return the value of this kind; plain numbers are not drawn."""
        values = {name: uniform(*value) if isinstance(value, tuple) else value for name, value in ranges.items()}
        default = uniform(*otherwise)
        return values.get(kind, default)

    eye_height, field_of_view, pitch = uniform(2, 6), uniform(46, 62), uniform(-5, 5)
    mountain_ranges = dict(
        lake=(500, 2000),
        meadow=(0, 1600),
        sea=(0, 900),
        river=(300, 1600),
        snow=(900, 2200),
        desert=(200, 900),
        road=(200, 1500),
        forest=(200, 1500),
    )
    mountain_height = {name: uniform(*limits) for name, limits in mountain_ranges.items()}[kind]
    mountain_start, mountain_full, mountain_wavelength = uniform(700, 2000), uniform(3000, 6500), uniform(2000, 5000)
    hill_height = by_kind(dict(sea=(20, 80), desert=(5, 40)), (20, 120))
    snow_line = by_kind(dict(snow=(-90, 15), desert=9e3), (350, 1400))
    tree_line = NEVER if kind == "desert" else uniform(250, 700)
    forest = by_kind(
        dict(sea=(-0.5, 0.1), desert=-2, snow=(-0.35, 0.2), forest=(0.1, 0.45), meadow=(-0.5, 0)), (-0.35, 0.25)
    )
    if kind == "snow":
        conifers = 1.0
    elif kind == "sea":
        conifers = uniform(0, 0.4)
    else:
        conifers = float(np.clip(uniform(-0.5, 1.5), 0, 1))
    autumn = bool(rng.random() < 0.22)
    dryness = uniform(-0.1, 0.5)
    blooms = kind in ("meadow", "road", "river") and rng.random() < 0.6
    return Layout(
        number=number,
        kind=kind,
        rng=rng,
        eye_height=eye_height,
        field_of_view=field_of_view,
        pitch=pitch,
        mountain_height=mountain_height,
        mountain_start=mountain_start,
        mountain_full=mountain_full,
        mountain_wavelength=mountain_wavelength,
        hill_height=hill_height,
        snow_line=snow_line,
        tree_line=tree_line,
        forest=forest,
        conifers=conifers,
        autumn=autumn,
        dryness=dryness,
        # Python evaluates the following arguments in this order, which is the order of the draws
        flowers=uniform(-0.3, 0.25) if blooms else -9,
        cloud_cover=uniform(-0.9, 0.9),
        cirrus=uniform(-0.6, 0.5),
        wind=uniform(0.15, 1),
        shore_angle=uniform(-0.9, 0.9),
        side=float(rng.choice([-1, 1])),
        lake_x=uniform(-60, 60),
        lake_start=uniform(14, 40),
        lake_width=uniform(150, 900),
        lake_depth=uniform(80, 500),
        phase=uniform(0, 6.3),
        bend=uniform(8, 40),
        path_width=uniform(2.5, 4) if kind == "road" else uniform(5, 14),
        roll=uniform(1, 9),
        tilt=uniform(-0.06, 0.06),
        valley=max(0, uniform(-0.1, 0.12)),
        tint=rng.uniform(0.88, 1.12, 3),
        skyline=uniform(0.12, 0.62),
        has_islands=mountain_height > 250,
    )
