"""What training averages: weights over updates, batch statistics over processes and forward passes.

With batch norm and spectral norm, averaged parameters with the initial buffers are a broken network. The buffers are
therefore copied at every update, and the batch statistics are re-estimated for every saved pipeline.

Legend: N batch of one process, C channels, H W height and width.
"""

import copy
from collections.abc import Iterable, Mapping

import torch
import torch.distributed as dist
from torch import Tensor, nn


class ModelEMA:
    """An exponential moving average of a model, buffers included.

    Args:
        model (`nn.Module`): The live model; it is copied.
        decay (`float`): Weight of the old average in each update, in [0, 1). Early updates use a smaller one,
            `(1 + n) / (10 + n)`, so that the random initialization is forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"`decay` is {decay}; it must be in [0, 1).")
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self.num_updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average toward `model`; copy its buffers."""
        self.num_updates += 1
        # 2 / 11 at the first update, 0.9 at the 80th, 0.999 at the 8990th: the memory grows with the run
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        for average, live in zip(self.model.parameters(), model.parameters(), strict=True):
            average.lerp_(live, 1 - decay)  # decay * average + (1 - decay) * live
        # of spectral norm, the singular vectors u and v: an average of unit vectors is not a unit vector
        for average, live in zip(self.model.buffers(), model.buffers(), strict=True):
            average.copy_(live)


@torch.no_grad()
def estimate_statistics(generator: nn.Module, calls: Iterable[Mapping[str, Tensor | None]]) -> None:
    """Replace a generator's batch-norm statistics by their mean over forward passes, in place.

    The copied statistics belong to the live weights, not to the averaged ones.

    Args:
        generator (`nn.Module`): The averaged generator with spectral norm fused, so that nothing else changes.
        calls: Keyword arguments of each forward pass.
    """
    norms = [module for module in generator.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:  # instance norm has no statistics
        return
    momenta = [norm.momentum for norm in norms]
    was_training = generator.training
    generator.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the passes
        norm.train()
    for arguments in calls:
        generator(**arguments)  # each norm normalizes by its own batch, and adds it to its mean
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    generator.train(was_training)


class _SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over all processes, in the forward and the backward pass."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        total = gradient.clone()  # every process's loss depends on this process's values
        dist.all_reduce(total)
        return total


class CrossProcessBatchNorm2d(nn.BatchNorm2d):
    """`nn.SyncBatchNorm` for any device and backend; torch's own trains only on GPUs.

    All processes must call it the same number of times. Parameters, buffers and their names are those of
    `nn.BatchNorm2d`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalize `x` `(N, C, H, W)`; in evaluation mode, or without other processes, as `nn.BatchNorm2d` does."""
        if not self.training or not dist.is_initialized():
            return super().forward(x)
        values = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x  # sums of 16 bits would be rough

        # Mean and biased variance over N, H and W of all processes, whose N can differ
        here = values.new_tensor([values.numel() / values.shape[1]])  # values per channel: N H W
        sums = _SumOverProcesses.apply(torch.cat([values.sum(dim=(0, 2, 3)), here]))  # (C + 1,)
        count = sums[-1].detach()
        mean = sums[:-1] / count  # (C,)
        centered = values - mean[:, None, None]  # (N, C, H, W)
        # a second sum, because E[x^2] - E[x]^2 cancels where the mean is large
        variance = _SumOverProcesses.apply(centered.square().sum(dim=(0, 2, 3))) / count  # (C,)
        if self.track_running_stats:
            self._track(mean.detach(), variance.detach() * count / (count - 1))

        normalized = centered * torch.rsqrt(variance + self.eps)[:, None, None]
        if self.affine:
            normalized = normalized * self.weight[:, None, None] + self.bias[:, None, None]
        return normalized.to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, unbiased_variance: Tensor) -> None:
        assert self.num_batches_tracked is not None and self.running_mean is not None and self.running_var is not None
        self.num_batches_tracked.add_(1)
        momentum = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(unbiased_variance.to(self.running_var.dtype), momentum)


def synchronize_batch_norm(network: nn.Module, device: torch.device) -> nn.Module:
    """Make every `nn.BatchNorm2d` in a network use the batches of all processes; state-dict keys stay the same.

    Args:
        network (`nn.Module`): Changed in place.
        device (`torch.device`): Device of training. GPUs get torch's own `nn.SyncBatchNorm`.
    """
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = CrossProcessBatchNorm2d  # same parameters, buffers and settings
    return network
