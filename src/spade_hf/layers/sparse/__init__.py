"""Exact sparse modulation: SPADE's gamma and beta are computed once per distinct label neighbourhood, then gathered.

In the order of execution: `neighborhoods` finds the distinct neighbourhoods, `modulation` computes their gamma and
beta and applies them, and `row_gather` is the differentiable gather that both use.
"""

from .modulation import modulate, neighborhood_modulation
from .neighborhoods import LabelNeighborhoods


__all__ = ["LabelNeighborhoods", "modulate", "neighborhood_modulation"]
