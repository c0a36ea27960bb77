"""Exact sparse modulation: gamma and beta of SPADE once for each distinct label neighbourhood, then a gather.

In the order of the work: `neighborhoods` finds the distinct ones, `modulation` computes their gamma and beta and
applies them, and `row_gather` is the one differentiable gather that both use.
"""

from .modulation import modulate, neighborhood_modulation
from .neighborhoods import LabelNeighborhoods


__all__ = ["LabelNeighborhoods", "modulate", "neighborhood_modulation"]
