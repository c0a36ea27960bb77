"""Calls that run outside of compiled graphs."""

from collections.abc import Callable
from typing import Any

import torch


@torch.compiler.disable(
    reason="sparse modulation depends on labels, a graph must not; `set_modulation_backend('dense')` makes one graph"
)
def run_eagerly(function: Callable[..., Any], *args: Any) -> Any:
    """Call `function(*args)`, which depends on the labels, outside of any graph."""
    return function(*args)
