"""Learning-rate schedules of the paper's recipe and the common ones of diffusers."""

from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler


def learning_rate_schedule(
    name: str, optimizer: Optimizer, *, num_steps: int, num_warmup_steps: int = 0, decay_start: float = 0.5
) -> LRScheduler:
    """Build a learning-rate schedule over a known number of updates.

    Args:
        name (`str`): `"constant_then_linear"`, the paper's: constant, then linearly to 0; or a name that
            `diffusers.optimization.get_scheduler` knows.
        optimizer (`Optimizer`): The optimizer.
        num_steps (`int`): Updates in the whole run.
        num_warmup_steps (`int`, defaults to 0): Updates of linear warm-up.
        decay_start (`float`, defaults to 0.5): Share of the run at which `"constant_then_linear"` begins to decay.
    """
    if name != "constant_then_linear":
        return get_scheduler(name, optimizer, num_warmup_steps=num_warmup_steps, num_training_steps=num_steps)

    def factor(step: int) -> float:
        warmup = min(1.0, (step + 1) / (num_warmup_steps + 1))
        return warmup * min(1.0, max(0.0, (num_steps - step) / max(1.0, num_steps * (1 - decay_start))))

    return LambdaLR(optimizer, factor)


def prepared_schedule(
    accelerator: Accelerator,
    name: str,
    optimizer: Optimizer,
    *,
    num_steps: int,
    num_warmup_steps: int = 0,
    decay_start: float = 0.5,
) -> LRScheduler:
    """Build and prepare a [`learning_rate_schedule`] of a prepared optimizer.

    It takes a step per update, whatever the number of processes, so that its state holds for another number, too.
    """
    schedule = learning_rate_schedule(
        name, optimizer, num_steps=num_steps, num_warmup_steps=num_warmup_steps, decay_start=decay_start
    )
    prepared = accelerator.prepare(schedule)
    prepared.split_batches = True  # otherwise it would take a step per process at every update
    return prepared
