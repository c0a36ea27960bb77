"""Foreign `.pth` files: read without running code, and put into a network only if they are what it needs.

Nothing is allocated on the word of a file: a tensor of a few bytes can claim any shape.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from .nvlabs_keys import StateDict


Network = TypeVar("Network", bound=nn.Module)
BATCH_COUNT = "num_batches_tracked"  # files of torch before 0.4.1 do not have it, and it is not read


def read_weights(path: str | Path, *, required: Mapping[str, tuple[int, ...]]) -> StateDict:
    """Read the tensors of a pickle, with `weights_only=True`.

    Args:
        path (`str` or `Path`): The file.
        required (`dict`): Key -> numbers of dimensions that its tensor may have.

    Raises:
        ValueError: If the file cannot be read, or holds anything but whole, finite tensors under names.
    """
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist; pass the path of a `latest_net_*.pth` file.") from error
    except Exception as error:  # the unpickler fails on foreign bytes in every way: KeyError, struct.error, ...
        # torch's own text is left out: it recommends `weights_only=False`
        raise ValueError(
            f"{path} cannot be read as a state dict of tensors ({type(error).__name__}): it is damaged, no file of "
            "torch's, or holds Python objects, which are not loaded because that could run code. Pass a "
            "`latest_net_*.pth` file of the public implementation."
        ) from error
    if not isinstance(weights, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in weights.items()
    ):
        raise ValueError(
            f"{path} is not a dict of named tensors; pass a `latest_net_*.pth` of the public implementation."
        )
    for key, value in weights.items():
        if problem := _problem(key, value):
            raise ValueError(
                f"{path} has a weight {key!r} that {problem}; it is damaged, or not a `latest_net_*.pth` of the "
                "public implementation."
            )
    for key, ranks in required.items():
        if key not in weights:
            raise ValueError(f"{path} has no weight '{key}'; it is not such a network of the public implementation.")
        if weights[key].ndim not in ranks or 0 in weights[key].shape:
            raise ValueError(
                f"{path} has a weight '{key}' of shape {list(weights[key].shape)}; it is not such a network of the "
                "public implementation."
            )
    return weights


def _problem(key: str, value: Tensor) -> str | None:
    """What is wrong with a tensor, whatever it is for."""
    if value.is_meta or value.layout is not torch.strided:
        return "is not a plain tensor"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return f"claims a shape {list(value.shape)} of which the file holds a part"
    if key.endswith(BATCH_COUNT):
        return None
    if not value.is_floating_point():
        return f"has dtype {value.dtype}"
    return None if value.isfinite().all() else "has values that are NaN or infinite"


def network_of(
    network: type[Network],
    config: Mapping[str, Any],
    convert: Callable[[StateDict], StateDict],
    weights: StateDict,
    path: str | Path,
) -> Network:
    """Build a network and put weights into it.

    Args:
        network (`type`): Its class.
        config (`dict`): Arguments of its constructor.
        convert (`Callable`): Public names of weights to the network's.
        weights (`dict`): Of `read_weights`.
        path (`str` or `Path`): Their file, for messages.

    Raises:
        ValueError: If the weights are not those of such a network.
    """
    try:
        converted = convert(weights)
        with torch.device("meta"):  # shapes without memory
            model = network(**config)
    except KeyError as error:
        raise ValueError(
            f"{path} is not such a network of the public implementation: unknown or missing {error}."
        ) from error
    except RuntimeError as error:  # gamma and beta that do not fit, sizes that are more than a tensor can have
        raise ValueError(f"{path} is not such a network of the public implementation: {error}.") from error
    expected = model.state_dict()
    missing = [key for key in expected if key not in converted and not key.endswith(BATCH_COUNT)]
    unexpected = [key for key in converted if key not in expected]
    shapes = [
        f"{key} is {list(converted[key].shape)} in the file and {list(value.shape)} in the network"
        for key, value in expected.items()
        if key in converted and converted[key].shape != value.shape
    ]
    problems = [f"the file lacks {len(missing)} weights, the first: {missing[0]}"] if missing else []
    problems += [f"the file has {len(unexpected)} weights too many, the first: {unexpected[0]}"] if unexpected else []
    problems += shapes[:1]
    if problems:
        raise ValueError(
            f"{path} does not fit a {network.__name__} with these options (`image_size`, `num_upsampling_layers`, "
            f"`norm_type`): {'; '.join(problems)}."
        )
    counts = {key: torch.zeros((), dtype=torch.int64) for key in expected if key.endswith(BATCH_COUNT)}
    model.to_empty(device="cpu").load_state_dict({**counts, **converted})
    return model
