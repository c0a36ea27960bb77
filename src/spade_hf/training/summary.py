"""What a run is going to do, in words: for `--dry_run`."""

from collections.abc import Mapping

from torch import nn

from .steps import Batch


def summarize(
    networks: Mapping[str, nn.Module],
    batch: Batch,
    *,
    num_samples: int | None,
    samples_per_update: int,
    num_steps: int,
) -> str:
    """Parameters of each network, shapes of a batch, and how often every sample is seen.

    Args:
        networks (`Mapping[str, nn.Module]`): By name.
        batch (`dict[str, Tensor]`): Of one process.
        num_samples (`int`, *optional*): In the data set; `None` for a stream.
        samples_per_update (`int`): Of all processes and accumulated batches.
        num_steps (`int`): Updates.
    """
    lines = [
        f"{name}: {sum(p.numel() for p in network.parameters()):,} parameters" for name, network in networks.items()
    ]
    lines += [f"batch of a process: {name} {tuple(value.shape)} {value.dtype}" for name, value in batch.items()]
    updates = f"{num_steps:,} updates of {samples_per_update} samples"
    if num_samples is not None:
        epochs = num_steps * samples_per_update / num_samples
        updates += f": {epochs:,.1f} times through {num_samples:,} samples"
    lines.append(updates)
    return "\n".join(lines)
