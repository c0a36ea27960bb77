"""Triangle meshes in numpy: single meshes, a triangle soup of many, and grids around the eye."""

from dataclasses import dataclass

import numpy as np
from backend import mi
from view import View


@dataclass
class Mesh:
    """Vertices `(v, 3)`, normals `(v, 3)` of any length, brightness `(v,)`, and faces `(f, 3)` of vertex indices."""

    vertices: np.ndarray
    normals: np.ndarray
    brightness: np.ndarray
    faces: np.ndarray


def separate_faces(num_vertices: int) -> np.ndarray:
    """Make faces `(num_vertices / 3, 3)` of triangles that share no vertices."""
    return np.arange(num_vertices).reshape(-1, 3)


def grid_faces(rows: int, columns: int) -> np.ndarray:
    """Make two triangles per cell of a grid of vertices `(rows, columns)`, in row-major order."""
    corner = np.arange((rows - 1) * columns).reshape(rows - 1, columns)[:, :-1].ravel()
    lower = np.stack([corner, corner + 1, corner + columns], 1)
    upper = np.stack([corner + 1, corner + columns + 1, corner + columns], 1)
    return np.concatenate([lower, upper])


def polar_grid(azimuths: np.ndarray, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make a grid around the eye: x, y, each `(distances, azimuths)`, and faces. Azimuth 0 is forward, in radians."""
    azimuth, distance = np.meshgrid(azimuths, distances)
    faces = grid_faces(len(distances), len(azimuths))
    return distance * np.sin(azimuth), distance * np.cos(azimuth), faces


def grid_normals(vertices: np.ndarray) -> np.ndarray:
    """Compute upward unit normals of a grid of vertices `(rows, columns, 3)`."""
    normals = np.cross(np.gradient(vertices, axis=1), np.gradient(vertices, axis=0))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-12
    return normals * np.sign(normals[..., 2:])


class TriangleSoup:
    """A collection of triangles with normals, colors and one label per triangle."""

    def __init__(self):
        self._vertices, self._normals, self._colors, self._faces, self._labels = [], [], [], [], []
        self._num_vertices = 0

    def add(
        self,
        vertices: np.ndarray,
        normals: np.ndarray | None,
        colors: np.ndarray | None,
        faces: np.ndarray,
        labels: np.ndarray | int,
    ) -> None:
        """Add triangles: vertices, normals, linear colors `(v, 3)`; faces `(f, 3)`; labels `(f,)` or one for all.

        Normals and colors can be `None` where the soup is built for a view.
        """
        self._vertices.append(vertices)
        self._normals.append(normals)
        self._colors.append(colors)
        self._faces.append(faces + self._num_vertices)
        self._labels.append(np.broadcast_to(labels, len(faces)))
        self._num_vertices += len(vertices)

    def add_instances(
        self,
        mesh: Mesh,
        positions: np.ndarray,
        sizes: np.ndarray,
        yaws: np.ndarray,
        colors: np.ndarray,
        label: int,
    ) -> None:
        """Add copies of a mesh: positions and colors `(m, 3)`, sizes `(m,)` or `(m, 3)`, yaws `(m,)` in radians."""
        count = len(positions)
        if count == 0:
            return
        cos, sin, zero = np.cos(yaws), np.sin(yaws), np.zeros(count)
        rotations = np.stack(
            [np.stack([cos, -sin, zero], -1), np.stack([sin, cos, zero], -1), np.stack([zero, zero, zero + 1], -1)], 1
        )  # (m, 3, 3)
        sizes = np.reshape(sizes, (count, 1, -1))
        vertices = np.einsum("mij,kj->mki", rotations, mesh.vertices) * sizes + positions[:, None]
        normals = np.einsum("mij,kj->mki", rotations, mesh.normals)
        vertex_colors = mesh.brightness[None, :, None] * colors[:, None]
        faces = mesh.faces[None] + np.arange(count)[:, None, None] * len(mesh.vertices)
        self.add(
            vertices.reshape(-1, 3), normals.reshape(-1, 3), vertex_colors.reshape(-1, 3), faces.reshape(-1, 3), label
        )

    def build(self, name: str, bsdf: dict, view: View | None = None) -> tuple[mi.Mesh, np.ndarray]:
        """Build a Mitsuba mesh with the attribute `vertex_color`; return it and the labels `(f,)` of its faces.

        With a `view`, only the faces that it shows are kept, without normals and colors.
        """
        vertices, faces, labels = (np.concatenate(parts) for parts in (self._vertices, self._faces, self._labels))
        if view:
            shown = view.shows(vertices, faces)
            faces, labels = faces[shown], labels[shown]
            mesh = mi.Mesh(name, len(vertices), len(faces))
            set_vertices(mesh, vertices, faces)
            return mesh, labels
        properties = mi.Properties()
        properties["bsdf"] = mi.load_dict(bsdf)
        normals = np.concatenate(self._normals)
        normals = normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9)
        colors = np.clip(np.concatenate(self._colors), 0.002, 0.95)
        mesh = mi.Mesh(name, len(vertices), len(faces), props=properties, has_vertex_normals=True)
        mesh.add_attribute("vertex_color", 3, colors.astype(np.float32).ravel())
        set_vertices(mesh, vertices, faces, normals)
        return mesh, labels


def set_vertices(mesh: mi.Mesh, vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray | None = None) -> None:
    """Set a mesh's vertices and normals `(v, 3)`, and its faces `(f, 3)`."""
    parameters = mi.traverse(mesh)
    parameters["vertex_positions"] = vertices.astype(np.float32).ravel()
    if normals is not None:
        parameters["vertex_normals"] = normals.astype(np.float32).ravel()
    parameters["faces"] = faces.astype(np.uint32).ravel()
    parameters.update()
