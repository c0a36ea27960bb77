"""Shared code of networks that read masks; the only place where semantic channels are counted."""

import torch
from torch import Tensor

from ..layers import SemanticMask, read_mask
from .modeling_utils import SPADEModelMixin


class SemanticModelMixin(SPADEModelMixin):
    """A network that reads masks; its config has `num_labels`, `use_unknown_label` and `use_instance_edges`."""

    def read_mask(self, mask: Tensor, instance_edges: Tensor | None, *, dtype: torch.dtype) -> SemanticMask:
        """Call [`read_mask`] with the labels of the config."""
        return read_mask(
            mask,
            instance_edges,
            num_labels=self.config.num_labels,
            use_unknown_label=self.config.use_unknown_label,
            use_instance_edges=self.config.use_instance_edges,
            dtype=dtype,
        )


def num_semantic_channels(num_labels: int, use_unknown_label: bool, use_instance_edges: bool) -> int:
    """Count L: the classes, then one for unknown, then one for instance edges."""
    if num_labels < 1:
        raise ValueError(f"`num_labels` is {num_labels}; a model needs at least one label.")
    return num_labels + use_unknown_label + use_instance_edges
