"""Identifies models by content, whatever their folders are called and wherever they are."""

import hashlib
import json
from typing import Any

from torch import nn


# Keys that earlier configs lack: at these values they do not count, so that earlier models keep their hashes.
ADDED = [
    ("mask_norm", "spade"),
    ("head_upsampling", 1),
    ("image_channels", 3),
    ("value_range", None),
    ("display_channels", None),
    ("condition_channels", 0),
    ("condition_range", None),
]


def hash_weights(*networks: nn.Module) -> str:
    """Hash the names and values of all weights and buffers. Device and dtype do not matter: values are float32."""
    digest = hashlib.blake2b(digest_size=16)
    for network in networks:
        for name, weight in network.state_dict().items():
            digest.update(f"{name}{list(weight.shape)}".encode())
            digest.update(weight.cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def hash_model(*parts: Any) -> str:
    """Hash the configurations and weights of a pipeline's parts, without paths and versions.

    Args:
        parts: Networks and image processors of this library.
    """
    configs = [
        {name: value for name, value in part.config.items() if not name.startswith("_") and (name, value) not in ADDED}
        for part in parts
    ]
    digest = hashlib.blake2b(json.dumps(configs, sort_keys=True, default=str).encode(), digest_size=8)
    digest.update(hash_weights(*(part for part in parts if isinstance(part, nn.Module))).encode())
    return digest.hexdigest()
