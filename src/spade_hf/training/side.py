"""One of the two sides that are trained against each other: its networks, optimizer and schedule."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from diffusers import ModelMixin
from torch import Tensor, nn


@dataclass(frozen=True)
class Side:
    """Networks that one optimizer trains: generator and style encoder, or the discriminator.

    Args:
        accelerator (`Accelerator`): Has prepared the networks, the optimizer and the schedule.
        models (`Mapping[str, ModelMixin]`): The networks by name, as they are saved.
        networks (`Mapping[str, nn.Module]`): The same networks, prepared for training.
        optimizer (`Optimizer`): Optimizer of all their parameters.
        schedule (`LRScheduler`): Schedule of its learning rate.
        max_grad_norm (`float`, *optional*): Maximum norm of all their gradients together.
    """

    accelerator: Accelerator
    models: Mapping[str, ModelMixin]
    networks: Mapping[str, nn.Module]
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    max_grad_norm: float | None = None

    def update(self, loss: Tensor) -> None:
        """Run backward and, when enough batches have been accumulated, one step of the optimizer and its schedule.

        Args:
            loss (`Tensor`): Scalar, computed in the accelerator's `accumulate` block.
        """
        self.accelerator.backward(loss)
        if self.accelerator.sync_gradients and self.max_grad_norm is not None:
            # not `accelerator.clip_grad_norm_`, which would also unscale the other optimizer's gradients
            self.accelerator.unscale_gradients(self.optimizer)
            parameters = itertools.chain.from_iterable(model.parameters() for model in self.models.values())
            torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
