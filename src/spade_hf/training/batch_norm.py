"""Batch norm with statistics over the batches of all processes.

Legend: N batch of one process, C channels, H W height and width.
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn


class _SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over all processes, in the forward and the backward pass."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        total = gradient.clone()
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
        values = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        here = values.new_tensor([values.numel() / values.shape[1]])
        sums = _SumOverProcesses.apply(torch.cat([values.sum(dim=(0, 2, 3)), here]))  # (C + 1,)
        count = sums[-1].detach()  # values per channel, on all processes
        mean = sums[:-1] / count  # (C,)
        centered = values - mean[:, None, None]
        variance = _SumOverProcesses.apply(centered.square().sum(dim=(0, 2, 3))) / count  # (C,), biased
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
