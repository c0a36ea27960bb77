"""Small random networks with masks, in the public format, for the parity tests."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import public_reference


@dataclass(frozen=True)
class Case:
    """Weights in the public format, inputs, and how both implementations are told about them."""

    weights: dict[str, Tensor]
    label_map: np.ndarray  # uint8 (N, H, W), 255 = unknown
    instance_map: np.ndarray | None
    segmap: Tensor  # float (N, L, H, W)
    z: Tensor | None
    options: dict[str, Any]  # of `public_reference.generate`
    labels: dict[str, Any]  # `num_labels` and what follows from it, of our networks
    image_size: tuple[int, int]


@dataclass(frozen=True)
class Settings:
    variant: str = "normal"
    size: tuple[int, int] = (64, 64)
    kernel_size: int = 3
    norm: str = "batch"
    latent_dim: int | None = None
    use_unknown_label: bool = False
    use_instance_edges: bool = False
    use_spectral_norm: bool = True
    has_converged: bool = True  # spectral norm
    num_labels: int = 5


SETTINGS = {
    "ade": Settings(use_unknown_label=True),
    "coco-with-latent": Settings(latent_dim=8, use_unknown_label=True, use_instance_edges=True),
    "more": Settings("more", size=(64, 128), use_instance_edges=True),
    "most": Settings("most", size=(128, 128), latent_dim=8),
    "kernel-5-instance": Settings(kernel_size=5, norm="instance", use_unknown_label=True),
    "ade-young": Settings(use_unknown_label=True, has_converged=False),
    "kernel-1-plain": Settings(size=(64, 32), kernel_size=1, use_spectral_norm=False, use_instance_edges=True),
}
PINNED_CASES = ("ade", "coco-with-latent")  # their images are in the fixtures


def random_case(name: str, batch_size: int = 2) -> Case:
    settings = SETTINGS[name]
    make = public_reference.WeightMaker(seed=7)
    label_map = random_regions(make.random, batch_size, settings.size, settings.num_labels)
    if settings.use_unknown_label:
        label_map[:, 5:20, 8:30] = 255
    instance_map = random_regions(make.random, batch_size, settings.size, 9) if settings.use_instance_edges else None
    start_size = tuple(
        side // 2 ** public_reference.SCHEDULES[settings.variant].count("up ") for side in settings.size
    )
    segmap = public_reference.one_hot(
        label_map, instance_map, num_labels=settings.num_labels, use_unknown_label=settings.use_unknown_label
    )
    weights = public_reference.random_generator_weights(
        segmap.shape[1],
        kernel_size=settings.kernel_size,
        latent_dim=settings.latent_dim,
        variant=settings.variant,
        start_size=start_size,
        norm=settings.norm,
        use_spectral_norm=settings.use_spectral_norm,
        has_converged=settings.has_converged,
    )
    return Case(
        weights=weights,
        label_map=label_map,
        instance_map=instance_map,
        segmap=segmap,
        z=make.normal(batch_size, settings.latent_dim) if settings.latent_dim else None,
        options={"variant": settings.variant, "start_size": start_size, "norm": settings.norm},
        labels={
            "num_labels": settings.num_labels,
            "use_unknown_label": settings.use_unknown_label,
            "use_instance_edges": settings.use_instance_edges,
        },
        image_size=settings.size,
    )


def random_regions(random: np.random.RandomState, batch_size: int, size: tuple[int, int], count: int) -> np.ndarray:
    """Maps of a few straight-edged regions: the nearest of some random points, uint8 `(N, H, W)`."""
    points = random.rand(batch_size, 12, 2, 1, 1) * np.reshape(size, (2, 1, 1))
    values = random.randint(count, size=(batch_size, 12)).astype(np.uint8)
    nearest = ((np.indices(size) - points) ** 2).sum(axis=2).argmin(axis=1)  # (N, H, W)
    return np.take_along_axis(values, nearest.reshape(batch_size, -1), axis=1).reshape(nearest.shape)


def edges_of(case: Case) -> Tensor | None:
    """The instance edges of a case as our networks take them beside ids."""
    return None if case.instance_map is None else case.segmap[:, -1]


def label_map_of(case: Case) -> Tensor:
    """Its channels; unknown is the last one."""
    label_map = torch.from_numpy(case.label_map).long()
    return label_map.masked_fill(label_map == 255, case.labels["num_labels"])
