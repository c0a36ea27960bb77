"""Exact sparse modulation: SPADE's gamma and beta are computed once per distinct label neighborhood, then gathered.

In the order of execution: `path` decides whether a layer is computed this way, `neighborhoods` finds the distinct
neighborhoods, `modulation` computes their gamma and beta and applies them, and `row_gather` is the differentiable
gather that both use.
"""

from .modulation import modulate, neighborhood_modulation
from .neighborhoods import LabelNeighborhoods


__all__ = ["LabelNeighborhoods", "modulate", "neighborhood_modulation"]
