"""Meshes to be copied many times: conifers, broadleaf crowns and bushes of unit height, trunks, boulders."""

import numpy as np
from backend import mi
from meshes import Mesh, grid_faces, separate_faces
from noise import cloud_texture, smoothstep


CONIFER_RADIUS = 0.21  # of the lowest whorl, in heights
BOULDER_ROWS, BOULDER_COLUMNS = 25, 41
BOULDER_PLANES = 16  # flat faces cut off the sphere


def conifer(rng: np.random.Generator, whorls: int, branches: int) -> Mesh:
    """Make a conifer of drooping triangles, `branches` per whorl: few wide ones if far away, many narrow if near."""
    count = whorls * branches
    scatter = 0.4 if branches < 15 else 1.6  # of a branch's height, in whorls
    height = np.repeat((np.arange(whorls) + 0.5) / whorls, branches)
    height = np.clip(height + rng.uniform(-1, 1, count) * scatter / whorls, 0.01, 0.995)
    azimuth = rng.uniform(0, 2 * np.pi, count)
    length = (CONIFER_RADIUS * (1 - height) ** 0.8 + 0.01) * rng.uniform(0.5, 1.22, count)
    zero, one = np.zeros(count), np.ones(count)
    outward = np.stack([np.cos(azimuth), np.sin(azimuth), zero], -1)
    sideways = np.stack([-np.sin(azimuth), np.cos(azimuth), zero], -1)
    base = np.stack([zero, zero, 0.06 + 0.94 * height], -1)
    half_width = sideways * (length * rng.uniform(0.3, 0.55, count) * (0.25 + 5.5 / branches))[:, None]
    droop = np.array([0, 0, 1.0]) * (length * rng.uniform(0.15, 0.7, count))[:, None]
    tip = base + outward * length[:, None] - droop
    vertices = np.stack([base + np.array([0, 0, 0.45 / whorls + 0.02]), tip + half_width, tip - half_width], 1)
    normals = np.stack(
        [
            outward * 0.7 + [0, 0, 0.7],
            outward + [0, 0, 0.3] + sideways * 0.4,
            outward + [0, 0, 0.3] - sideways * 0.4,
        ],
        1,
    )
    # dark at the stem
    brightness = np.stack([0.45 * one, 1.1 * one, 0.95 * one], 1) * rng.uniform(0.75, 1.2, (count, 1))
    return Mesh(vertices.reshape(-1, 3), normals.reshape(-1, 3), brightness.reshape(-1), separate_faces(3 * count))


def broadleaf(
    rng: np.random.Generator, leaves: int, leaf_size: float, crown_start: float = 0.25, squat: float = 1.0
) -> Mesh:
    """Make a crown of clusters of leaves, one triangle per leaf.

    Args:
        leaves: number of triangles.
        leaf_size: standard deviation of their corners, in heights of the tree.
        crown_start: height at which the crown begins; 0 is a bush.
        squat: width of the crown divided by that of a tree.
    """
    clusters = rng.integers(7, 13)
    middle = (1 + crown_start) / 2  # height
    centers = rng.normal(size=(clusters, 3)) * [0.15 * squat, 0.15 * squat, 0.14] + [0, 0, middle]
    radii = rng.uniform(0.13, 0.24, clusters) * (1 - 0.5 * crown_start) * 1.25
    cluster = rng.integers(0, clusters, leaves)
    outward = rng.normal(size=(leaves, 3))
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    radius = (radii[cluster] * rng.uniform(0.7, 1.08, leaves))[:, None]
    leaf = centers[cluster] + outward * radius * [squat, squat, 0.85]
    vertices = leaf[:, None] + rng.normal(size=(leaves, 3, 3)) * leaf_size
    from_core = leaf - [0, 0, middle - 0.12]
    from_core /= np.linalg.norm(from_core, axis=1, keepdims=True) + 1e-6
    # normals of the crown rather than of the leaf, so that the crown is lit as a whole
    normals = np.repeat((0.6 * from_core + 0.5 * outward)[:, None], 3, 1) + rng.normal(size=(leaves, 3, 3)) * 0.15
    inner_shade = 0.55 + 0.6 * smoothstep(leaf[:, 2:], crown_start, 1.0)
    brightness = np.repeat(rng.uniform(0.6, 1.35, (leaves, 1)) * inner_shade, 3, 1)
    return Mesh(vertices.reshape(-1, 3), normals.reshape(-1, 3), brightness.reshape(-1), separate_faces(3 * leaves))


def trunk(height: float, radius: float) -> Mesh:
    """Make a three-sided trunk that tapers to half of its radius, in meters."""
    azimuth = np.arange(4) * 2 * np.pi / 3
    foot = np.stack([np.cos(azimuth), np.sin(azimuth), 0 * azimuth], -1) * radius
    top = foot * 0.5 + np.array([0, 0, height])
    vertices = np.array([v for i in range(3) for v in (foot[i], foot[i + 1], top[i + 1], foot[i], top[i + 1], top[i])])
    normals = vertices * [1, 1, 0] + 1e-4
    return Mesh(vertices, normals, np.full(len(vertices), 0.7), separate_faces(len(vertices)))


def boulder(rng: np.random.Generator) -> Mesh:
    """Make a boulder: a flattened unit sphere, cut by random planes, then roughened."""
    azimuth, inclination = np.meshgrid(
        np.linspace(0, 2 * np.pi, BOULDER_COLUMNS), np.linspace(0.02, np.pi - 0.02, BOULDER_ROWS)
    )
    direction = np.stack(
        [np.sin(inclination) * np.cos(azimuth), np.sin(inclination) * np.sin(azimuth), np.cos(inclination)], -1
    )  # (rows, columns, 3)
    radius = 1.25 * np.ones(direction.shape[:2])
    for normal in rng.normal(size=(BOULDER_PLANES, 3)):
        facing = np.maximum(direction @ (normal / np.linalg.norm(normal)), 0.05)
        radius = np.minimum(radius, rng.uniform(0.62, 1.05) / facing)
    points = (direction * radius[..., None]).reshape(-1, 3).T.astype(np.float32)
    place = float(rng.random())  # position in the noise
    rough, grain = (
        np.array(cloud_texture().eval(mi.Point3f(points * frequency + place))[0]).reshape(radius.shape)
        for frequency in (0.12, 0.45)
    )
    vertices = direction * (radius + 0.05 * rough + 0.022 * grain)[..., None] * [1.25, 1, 0.7]
    normals = np.cross(np.gradient(vertices, axis=1), np.gradient(vertices, axis=0))
    normals *= np.sign((normals * vertices).sum(-1, keepdims=True))
    normals[:, [0, -1]] = normals[:, [1, -2]]  # the seam, where the gradient is one-sided
    brightness = np.clip(0.95 + 0.16 * rough + 0.22 * grain, 0.4, 1.6).ravel()
    faces = grid_faces(BOULDER_ROWS, BOULDER_COLUMNS)
    return Mesh(vertices.reshape(-1, 3), normals.reshape(-1, 3), brightness, faces)
