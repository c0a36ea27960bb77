"""Calls that run outside of compiled graphs."""

from collections.abc import Callable
from typing import Any

import torch


def run_eagerly(function: Callable[..., Any], *args: Any) -> Any:
    """Call `function(*args)`, which depends on the labels, outside of any graph; a plain call if none is traced."""
    return _outside_of_graphs(function, *args) if torch.compiler.is_compiling() else function(*args)


@torch.compiler.disable(
    reason="sparse modulation depends on labels, a graph must not; `set_modulation_backend('dense')` makes one graph"
)
def _outside_of_graphs(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)
