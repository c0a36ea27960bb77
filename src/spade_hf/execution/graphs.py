"""The graph that a forward pass is recorded in, if any."""

import torch


@torch.compiler.assume_constant_result  # asked while the graph is made: torch 2.8 compiles the answer `True` into it
def is_exporting() -> bool:
    """Return whether the graph is one of `torch.export`, which must hold for other labels and sizes too."""
    return torch.compiler.is_exporting()
