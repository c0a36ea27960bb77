"""The height of the ground, and its distance from the water."""

import numpy as np
from layout import Layout
from noise import fractal_noise, mix, smoothstep


NO_WATER = 1e3  # distance to the shore where there is no water, meters
WATER_FLOOR = -15  # meters
ROAD_LEVEL = 0.25  # meters above the water


class Terrain:
    """Height function of a layout, its mountains and hills scaled to the wanted skyline."""

    def __init__(self, layout: Layout):
        self.layout = layout
        self.mountain_height = layout.mountain_height
        self.hill_height = layout.hill_height
        ground_at_eye = float(self.height(np.zeros(1), np.zeros(1))[0][0])
        self.eye_z = max(ground_at_eye, 0.4) + layout.eye_height
        self._fit_skyline()

    def _fit_skyline(self) -> None:
        """Scale mountains and hills until they reach the layout's skyline."""
        layout = self.layout
        is_low = layout.kind in ("sea", "desert")
        azimuths = np.radians(np.linspace(-0.5, 0.5, 90) * layout.field_of_view)
        azimuth, distance = np.meshgrid(azimuths, np.geomspace(300, 15000, 260))
        elevation = max(2.5, layout.skyline * (layout.field_of_view / 2 - layout.pitch))  # degrees
        wanted = np.tan(np.radians(elevation)) * (0.5 if is_low else 1)
        for _ in range(3):  # heights act on the skyline through noise, so one step does not hit it
            z, _ = self.height(distance * np.sin(azimuth), distance * np.cos(azimuth))
            found = np.quantile(((z - self.eye_z) / distance).max(0), 0.9)
            factor = float(np.clip(wanted / max(found, 0.004), 0.2, 1 if layout.kind == "sea" else 2.2))
            if factor < 1 or self.mountain_height > 250:
                self.mountain_height *= factor
            self.hill_height *= min(1, max(factor, 0.4))

    def path_x(self, y: np.ndarray) -> np.ndarray:
        """Compute the center line of the river or road at forward distance `y`."""
        layout = self.layout
        start = layout.side * (4 + layout.eye_height)
        meander = layout.bend * np.sin(y / (45 + 0.18 * np.abs(y)) + layout.phase)
        return start + meander * smoothstep(y, 0, 250) * (1 + y / 400)

    def height(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the height of the ground and the distance to the shore, negative in the water, both in meters.

        The distance is accurate only near the shore; `NO_WATER` or more means that no shore is near.
        """
        layout = self.layout
        distance = np.hypot(x, y)
        height = self._dry_height(x, y, distance)
        shore = self._shore_distance(x, y, distance)

        if layout.kind == "sea":
            land = np.maximum(height, 0.02 * shore) * smoothstep(shore, 0, 90)
        else:
            land = height * smoothstep(shore, 2, 60 if layout.kind == "river" else 120)
        bank = np.where(shore > 0, 0.05 * np.minimum(shore, 14) + land, 0.12 * shore - 0.1)
        above_water = np.maximum(bank, 0.05 * np.minimum(shore, 6) + 0.02)
        wet_height = np.where(shore > 0, above_water, np.maximum(bank, WATER_FLOOR))
        height = np.where(shore < 900, wet_height, np.maximum(height, 0.3))

        if layout.kind == "road":
            from_road = np.abs(x - self.path_x(y))
            level = ROAD_LEVEL + 0.012 * self.hill_height * smoothstep(distance, 60, 900)
            beside = smoothstep(from_road, layout.path_width, layout.path_width * 2 + distance * 0.06)
            height = mix(np.minimum(height, level), height, np.maximum(beside, smoothstep(distance, 300, 700)))
        return height, shore

    def _dry_height(self, x: np.ndarray, y: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Compute the height without water and road: bumps, hills, mountains, and a desert's dunes and mesas."""
        layout, seed = self.layout, self.layout.seed
        height = 1.2 * fractal_noise(x, y, 45, 4, seed) * smoothstep(distance, 2, 60)
        height = height + 0.12 * fractal_noise(x, y, 5, 3, seed + 1) + 0.6

        hills = fractal_noise(x, y, 700, 6, seed + 2) * 0.9 + 0.35
        height = height + self.hill_height * hills * smoothstep(distance, 60, 1500)

        if layout.kind not in ("sea", "desert"):
            waves = layout.roll * fractal_noise(x, y, 200, 4, seed + 12) * smoothstep(distance, 25, 250)
            near = (layout.tilt * x + layout.valley * np.abs(x)) * smoothstep(distance, 15, 400)
            height = height + (waves + near * (1 - smoothstep(distance, 1500, 4000)))

        ridge = fractal_noise(x, y, layout.mountain_wavelength, 9, seed + 3, gain=0.48, ridged=True)
        massif = fractal_noise(x, y, layout.mountain_wavelength * 1.7, 2, seed + 4)
        rise = smoothstep(distance, layout.mountain_start, layout.mountain_full)
        height = height + self.mountain_height * rise * (2.1 * ridge**1.3 + 0.3 * massif)

        if layout.kind == "desert":
            warped_x = x + 4 * fractal_noise(x, y, 60, 2, seed)
            dunes = fractal_noise(warped_x, y, 130, 3, seed + 5, ridged=True)
            height = height + 5 * dunes * smoothstep(distance, 10, 120)
            mesas = smoothstep(fractal_noise(x, y, 1500, 4, seed + 6), 0.12, 0.2)
            height = height + 160 * mesas * smoothstep(distance, 500, 900)
        return height

    def _shore_distance(self, x: np.ndarray, y: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Compute the distance to the shore of lake, sea or river, negative in the water."""
        layout, seed = self.layout, self.layout.seed
        if layout.has_lake:
            across = (x - layout.lake_x) / layout.lake_width
            along = (y - layout.lake_start - layout.lake_depth) / layout.lake_depth
            outside = np.hypot(across, along) - 1
            outside = (
                outside
                + 0.28 * fractal_noise(x, y, layout.lake_depth * 0.6, 5, seed + 7)
                + 0.03 * fractal_noise(x, y, 8, 3, seed + 8)
            )
            return outside * layout.lake_depth
        if layout.kind == "sea":
            seaward = y * np.cos(layout.shore_angle) + x * np.sin(layout.shore_angle)
            coves = 14 * fractal_noise(x, y, 90, 5, seed + 9) * smoothstep(distance, 5, 200)
            shore = (8 + layout.eye_height * 2) - seaward + coves
            if not layout.has_islands:
                return np.maximum(shore, -1e3)
            islands = 140 * fractal_noise(x, y, 1800, 6, seed + 10) - 40
            return np.maximum(shore, islands - 300 * (1 - smoothstep(distance, 900, 2500)))
        if layout.kind == "river":
            width = layout.path_width * (1 + 0.35 * fractal_noise(x, y, 30, 4, seed + 11))
            return np.abs(x - self.path_x(y)) - width + NO_WATER * smoothstep(distance, 500, 900)
        return np.full_like(x, NO_WATER)
