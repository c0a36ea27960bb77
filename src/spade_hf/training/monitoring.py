"""What a run shows of itself: numbers to the progress bar and the trackers, images to those that take them."""

import time
from collections.abc import Sequence

import numpy as np
from accelerate import Accelerator
from PIL import Image
from torch.optim.lr_scheduler import LRScheduler
from tqdm.auto import tqdm

from .steps import StepOutput, scalars


class Monitor:
    """Writes down the numbers of a run.

    Args:
        accelerator (`Accelerator`): With its trackers.
        progress (`tqdm`): Shows the numbers, too.
        images_per_update (`int`): Of all processes and accumulated batches.
    """

    def __init__(self, accelerator: Accelerator, progress: tqdm, *, images_per_update: int) -> None:
        self.accelerator, self.progress = accelerator, progress
        self.images_per_update = images_per_update
        self._since, self._updates = time.perf_counter(), 0

    def count_update(self) -> None:
        """An update is done."""
        self.progress.update()
        self._updates += 1

    def log(self, step: int, outputs: tuple[StepOutput, StepOutput], schedules: Sequence[LRScheduler]) -> None:
        """Losses, logits, both learning rates, and images per second since the last call.

        The rate is a user's: it contains the time of checkpoints and samples.
        """
        values = scalars(*outputs)  # first: it waits for the device, whose work the clock has to see
        now = time.perf_counter()
        names = ("learning_rate", "discriminator_learning_rate")
        values |= {name: schedule.get_last_lr()[0] for name, schedule in zip(names, schedules, strict=True)}
        values["images_per_second"] = self._updates * self.images_per_update / (now - self._since)
        self._since, self._updates = now, 0
        self.progress.set_postfix({name: f"{value:.3g}" for name, value in values.items()})
        self.accelerator.log(values, step=step)


def log_image(accelerator: Accelerator, name: str, image: Image.Image, step: int) -> None:
    """Give an image to those trackers that take images (TensorBoard and W&B do, trackio's in accelerate does not)."""
    for tracker in accelerator.trackers:
        if hasattr(tracker, "log_images"):
            # TensorBoard takes channels first unless told; the others know no such option
            options = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
            tracker.log_images({name: np.asarray(image)[None]}, step=step, **options)
