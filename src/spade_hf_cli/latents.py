"""Reads styles from files: those that the painting pages save, and arrays of numbers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .models import check_inputs


def read_latents(name: str) -> Tensor:
    """Read latents from a file.

    Args:
        name (`str`): `.safetensors` with the tensor `latents`, as the demo saves a style; `.json`, a scene of a
            painting page, whose style is read; or `.npy`. The numbers are `(Z,)` or `(M, Z)`.

    Returns:
        `Tensor`: float32 `(M, Z)`; whether Z fits a model is checked by its pipeline. Raises a ValueError if the file
            has no latents.
    """
    check_inputs(latents=name)
    readers = {".safetensors": _from_safetensors, ".json": _from_scene, ".npy": _from_array}
    suffix = Path(name).suffix.lower()
    if suffix not in readers:
        raise ValueError(f"`latents` ({name}) ends in {suffix or 'no suffix'!r}; allowed are {', '.join(readers)}.")
    try:
        latents = torch.as_tensor(readers[suffix](name), dtype=torch.float32)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise ValueError(
            f"`latents` ({name}) cannot be read: {reason.rstrip('.')}. Give a style or a scene that a painting page "
            "has saved, or numbers (M, Z) in an .npy file."
        ) from error
    return latents[None] if latents.ndim == 1 else latents


def _from_safetensors(name: str) -> Tensor:
    return load_file(name)["latents"]


def _from_array(name: str) -> np.ndarray:
    return np.load(name, allow_pickle=False).astype(np.float32)


def _from_scene(name: str) -> Tensor:
    """Read a scene's two styles, and blend them as the page does."""
    scene: Any = json.loads(Path(name).read_text(encoding="utf-8"))
    before, last = (torch.tensor(style["latents"], dtype=torch.float32) for style in scene["styles"])
    blend = float(scene["blend"])
    if not 0 <= blend <= 1:
        raise ValueError(f"its blend is {blend}, allowed is 0 to 1")
    return torch.lerp(before, last, blend)
