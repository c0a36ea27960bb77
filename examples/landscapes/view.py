"""What is in the camera's view: the rest of a scene is not needed for label maps.

What nearer ground hides must stay: now and then a ray slips between two triangles, and meets what is behind.
"""

import numpy as np
from layout import Layout


MARGIN = 1.01  # of the tangents of the view's borders


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
