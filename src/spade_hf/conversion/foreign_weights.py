"""Foreign `.pth` files: read without running code, and loaded into a network only if they fit it.

Memory is never allocated for the shapes that a file claims: a tensor of a few bytes can claim any shape.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from .nvlabs_keys import StateDict


Network = TypeVar("Network", bound=nn.Module)
WRAPPER = "module."  # before every name of a network that DataParallel or DistributedDataParallel wrapped
BATCH_COUNT = "num_batches_tracked"  # missing in files of torch before 0.4.1, and never read


def read_weights(path: str | Path, *, required: Mapping[str, tuple[int, ...]]) -> StateDict:
    """Read the tensors of a pickle, with `weights_only=True`; names lose the prefix of `DistributedDataParallel`.

    Args:
        path (`str` or `Path`): The file.
        required (`dict`): Required key -> allowed numbers of dimensions of its tensor.

    Raises:
        ValueError: If the file cannot be read, or holds anything other than complete, finite, named tensors.
    """
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist; pass the path of a `latest_net_*.pth` file.") from error
    except PermissionError as error:
        raise ValueError(f"{path} cannot be opened: {error.strerror}. Allow reading it, or copy it.") from error
    except Exception as error:  # on foreign bytes the unpickler raises anything: KeyError, struct.error, ...
        # torch's message is left out: it recommends `weights_only=False`
        raise ValueError(
            f"{path} cannot be read as a state dict of tensors ({type(error).__name__}): it is damaged, is not a "
            "torch file, or holds Python objects, which are not loaded because that could run code. Pass a "
            "`latest_net_*.pth` file of the public implementation."
        ) from error
    if not isinstance(weights, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in weights.items()
    ):
        raise ValueError(
            f"{path} is not a dict of named tensors; pass a `latest_net_*.pth` of the public implementation."
        )
    if all(key.startswith(WRAPPER) for key in weights):
        weights = {key.removeprefix(WRAPPER): value for key, value in weights.items()}
    for key, value in weights.items():
        if problem := _problem(key, value):
            raise ValueError(
                f"{path} has a weight {key!r} that {problem}; it is damaged, or not a `latest_net_*.pth` of the "
                "public implementation."
            )
    for key, ranks in required.items():
        if key not in weights:
            raise ValueError(
                f"{path} has no weight '{key}'; it is not the expected network of the public implementation."
            )
        if weights[key].ndim not in ranks or 0 in weights[key].shape:
            raise ValueError(
                f"{path} has a weight '{key}' of shape {list(weights[key].shape)}; it is not the expected network "
                "of the public implementation."
            )
    return weights


def _problem(key: str, value: Tensor) -> str | None:
    """Describe what is wrong with a tensor of any kind, if anything."""
    if value.is_meta or value.layout is not torch.strided:
        return "is not a plain tensor"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return f"claims the shape {list(value.shape)}, of which the file holds only a part"
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
    """Build a network and load weights into it.

    Args:
        network (`type`): Class of the network.
        config (`dict`): Arguments of the constructor.
        convert (`Callable`): Renames public weights to the network's names.
        weights (`dict`): Result of `read_weights`.
        path (`str` or `Path`): File of the weights, for error messages.

    Raises:
        ValueError: If the weights do not fit the network.
    """
    try:
        converted = convert(weights)
        with torch.device("meta"):  # shapes without memory
            model = network(**config)
    except KeyError as error:
        raise ValueError(
            f"{path} is not the expected network of the public implementation: unknown or missing {error}."
        ) from error
    except RuntimeError as error:  # gamma and beta do not fit each other, or sizes exceed a tensor's limits
        raise ValueError(f"{path} is not the expected network of the public implementation: {error}.") from error
    expected = model.state_dict()
    missing = [key for key in expected if key not in converted and not key.endswith(BATCH_COUNT)]
    unexpected = [key for key in converted if key not in expected]
    shapes = [
        f"{key} is {list(converted[key].shape)} in the file and {list(value.shape)} in the network"
        for key, value in expected.items()
        if key in converted and converted[key].shape != value.shape
    ]
    problems = [f"the file lacks {len(missing)} weights, the first: {missing[0]}"] if missing else []
    problems += [f"the file has {len(unexpected)} extra weights, the first: {unexpected[0]}"] if unexpected else []
    problems += shapes[:1]
    if problems:
        raise ValueError(
            f"{path} does not fit a {network.__name__} with these options (`image_size`, `num_upsampling_layers`, "
            f"`norm_type`): {'; '.join(problems)}."
        )
    counts = {key: torch.zeros((), dtype=torch.int64) for key in expected if key.endswith(BATCH_COUNT)}
    model.to_empty(device="cpu").load_state_dict({**counts, **converted})
    return model
