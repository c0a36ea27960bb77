"""The files of a network's weights that a save writes and replaces.

diffusers leaves an index or a file of an earlier save beside the new weights, and loads it before them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


WEIGHTS, WEIGHTS_INDEX = "diffusion_pytorch_model", "diffusion_pytorch_model.safetensors.index"


def check_format(given: Mapping[str, Any]) -> None:
    """Raise a ValueError for arguments of `save_pretrained` that ask for files which this library does not read."""
    for name, is_asked in (
        ("safe_serialization", not given.get("safe_serialization", True)),
        ("use_flashpack", given.get("use_flashpack", False)),
    ):
        if is_asked:
            raise ValueError(
                f"`{name}` is {given[name]}, but this library reads weights from safetensors only. Leave it out."
            )


def refuse_shards_of_other_variants(folder: Path, variant: str | None) -> None:
    """Raise a ValueError if diffusers would delete the shards of another variant: their names begin like ours."""
    own = f"{WEIGHTS}.{variant}" if variant else WEIGHTS
    others = sorted(
        path.name
        for path in folder.glob(f"{own}*-*-of-*.safetensors")
        if path.name.rpartition("-of-")[0].rpartition("-")[0] != own
    )
    if others:
        raise ValueError(
            f"{folder} has the sharded weights of another variant, such as {others[0]}, and saving would delete them. "
            "Save into another folder, or delete them first."
        )


def remove_replaced_weights(folder: Path, variant: str | None) -> None:
    """Remove the single file, or the index, of an earlier save of this variant, whichever the last save replaced."""
    suffix = f".{variant}" if variant else ""
    single, index = folder / f"{WEIGHTS}{suffix}.safetensors", folder / f"{WEIGHTS_INDEX}{suffix}.json"
    if single.is_file() and index.is_file():
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        is_index_new = all((folder / shard).is_file() for shard in shards)  # saving removes older shards
        (single if is_index_new else index).unlink()
