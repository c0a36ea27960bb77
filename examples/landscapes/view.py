"""What the camera of a layout can see: parts of the scene that it cannot are not needed for label maps."""

import numpy as np
from layout import Layout


MARGIN = 1.01  # of the tangents of the view's borders
HORIZON_MARGIN = 1e-4  # tangent: about 1/9 of the distance of two rays in a picture of 256 pixels


class View:
    """The square pyramid that the camera sees. The eye is at x = y = 0."""

    def __init__(self, layout: Layout, eye_z: float):
        self.eye_z = eye_z
        pitch = np.radians(layout.pitch)
        self._forward = np.array([0, np.cos(pitch), np.sin(pitch)])
        self._up = np.array([0, -np.sin(pitch), np.cos(pitch)])
        self._tangent = MARGIN * np.tan(np.radians(layout.field_of_view / 2))

    def crop(self, azimuths: np.ndarray) -> np.ndarray:
        """Return the sorted azimuths that are in the view, and two more on either side, for gradients."""
        nearest = self._forward[1] - self._tangent * np.abs(self._up[1])  # y of a corner, where x is the tangent
        seen = np.flatnonzero(np.abs(azimuths) <= np.arctan2(self._tangent, nearest))
        return azimuths[max(seen[0] - 2, 0) : seen[-1] + 3]

    def shows(self, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """Return which faces `(f,)` are not wholly on the outer side of one of the view's borders."""
        x, y, z = vertices[:, 0], vertices[:, 1], vertices[:, 2] - self.eye_z
        reach = self._tangent * (y * self._forward[1] + z * self._forward[2])
        height = y * self._up[1] + z * self._up[2]
        shown = np.ones(len(faces), bool)
        for outside in (x > reach, -x > reach, height > reach, -height > reach):
            shown &= ~outside[faces].all(1)
        return shown


class Horizon:
    """Up to which elevation a grid of ground around the eye hides what is behind it.

    The ground begins below the view's lower border, so that every ray below the horizon of a distance meets the ground
    before that distance.

    Args:
        distances: metres `(distances,)`, ascending.
        heights: metres `(distances, azimuths)`.
    """

    def __init__(self, eye_z: float, distances: np.ndarray, heights: np.ndarray):
        self.eye_z = eye_z
        self.distances = distances
        tangents = (heights - eye_z) / distances[:, None]
        # between two azimuths, the ground at one distance is at least as high as its lower end
        low = np.minimum(tangents[:, :-1], tangents[:, 1:])
        self._tangents = np.maximum.accumulate(low, 0) - HORIZON_MARGIN  # (distances, azimuths - 1)

    def shows(self, distances: np.ndarray, heights: np.ndarray) -> np.ndarray:
        """Return which faces of `grid_faces` are not hidden: of a grid with other distances and the same azimuths."""
        tangents = (heights - self.eye_z) / distances[:, None]
        rows = np.maximum(tangents[:-1], tangents[1:])
        top = np.maximum(rows[:, :-1], rows[:, 1:])  # (distances - 1, azimuths - 1), of cells
        before = np.searchsorted(self.distances, distances[:-1], side="right") - 1  # the last row of nearer ground
        seen = (top >= self._tangents[before]) | (before < 0)[:, None]
        return np.tile(seen.ravel(), 2)
