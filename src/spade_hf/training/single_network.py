"""What the trainings of single networks share, such as those of outline models and segmenters.

Legend: N batch.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from PIL import Image
from torch import Tensor

from ..labels.label_set import LabelSet
from .averages import ModelEMA
from .game import Side
from .model_card import TrainingRecipe
from .output_folder import GRID, STEP_GRID
from .publishing import Uploader
from .samples import save_image


class NetworkIteration(ABC):
    """One iteration of training per call. A subclass has `loss`.

    Args:
        accelerator (`Accelerator`): Has prepared the side.
        side (`Side`): One network.
        average (`ModelEMA`): Its average.
    """

    def __init__(self, accelerator: Accelerator, side: Side, average: ModelEMA) -> None:
        self.accelerator, self.side, self.average = accelerator, side, average
        ((self.name, network),) = side.unwrapped.items()
        self.config: Any = network.config

    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take a step, and return detached scalars by name.

        Args:
            batch (`Mapping[str, Tensor]`): See `loss`.

        Raises:
            FloatingPointError: If the loss is not finite.
        """
        network = self.side.prepared[self.name]
        with self.accelerator.accumulate(network):
            loss, scalars = self.loss(network, batch)
            if not loss.isfinite():
                raise FloatingPointError(
                    f"Training diverged: cross_entropy is {loss.item()}. Lower the learning rate, or resume an older "
                    "checkpoint."
                )
            self.side.update(loss)
            if self.accelerator.sync_gradients:
                self.average.update(self.side.unwrapped[self.name])
        return {"cross_entropy": loss.detach(), **scalars}

    @abstractmethod
    def loss(self, network: Any, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the cross-entropy of a batch, a scalar to run backward on, and detached scalars by name."""


def accuracy_of(logits: Tensor, classes: Tensor, *, ignored: int) -> Tensor:
    """Return the share of pixels, but those of the class `ignored`, whose largest logit is that of their class."""
    known = classes != ignored
    return (logits.detach().argmax(dim=1) == classes)[known].float().mean()


class NetworkPublisher(Uploader):
    """Saves and uploads the network of a run. Call its methods only on the main process.

    A subclass has `grid` and `write_card`.

    Args:
        average (`ModelEMA`): The averaged network.
        shown (`Sequence[Mapping[str, Tensor]]`): Samples for the sample grids.
        label_set (`LabelSet`): The labels of the maps.
        recipe (`TrainingRecipe`): Settings of the run, for model cards.
        uploader: Arguments of [`Uploader`].
    """

    def __init__(
        self,
        average: ModelEMA,
        shown: Sequence[Mapping[str, Tensor]],
        label_set: LabelSet,
        *,
        recipe: TrainingRecipe,
        **uploader: Any,
    ) -> None:
        super().__init__(**uploader)
        self.average, self.shown, self.label_set, self.recipe = average, shown, label_set, recipe

    def preview(self) -> Any:
        """Return a copy of the averaged network, for checkpoints and sample grids."""
        return copy.deepcopy(self.average.model)

    def save_samples(self, model: Any, step: int) -> Image.Image:
        """Draw the sample grid after an update, and save it below `samples/`."""
        grid = self.grid(model)
        save_image(grid, self.output_dir / STEP_GRID.format(step))
        return grid

    @abstractmethod
    def grid(self, model: Any) -> Image.Image:
        """Draw a network's results for the samples."""

    @abstractmethod
    def write_card(
        self, model: Any, folder: Path, *, num_samples: int | None, num_steps: int, revision: str | None
    ) -> None:
        """Write README.md beside a saved network; see [`write_training_card`] for the arguments."""

    def _save(self, folder: Path, *, num_samples: int | None, num_steps: int, revision: str | None = None) -> None:
        model = self.preview()
        model.save_pretrained(folder)
        save_image(self.grid(model), folder / GRID)
        self.write_card(model, folder, num_samples=num_samples, num_steps=num_steps, revision=revision)
