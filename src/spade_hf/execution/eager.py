"""What a compiled graph leaves to PyTorch itself."""

from collections.abc import Callable
from typing import Any

import torch


@torch.compiler.disable(
    reason="sparse modulation depends on labels, a graph cannot; `set_modulation_backend('dense')` makes one graph"
)
def run_eagerly(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)`, whose work depends on the labels, outside of any graph."""
    return function(*args)
