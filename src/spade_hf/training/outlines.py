"""Training of [`SPADEOutlineModel`]: one iteration, and what its run publishes.

Legend: N batch, L labels, H W height and width.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from PIL import Image
from torch import Tensor

from ..hub.model_card import IMPORT_NOTE
from ..images.sheets import add_headings
from ..labels.label_set import LabelSet
from ..models import SPADEOutlineModel
from ..models.outlines import add_noise
from ..pipelines.refinement import refine_label_maps
from ..project import install_command
from ..seeding import Stream, generators
from .averages import ModelEMA
from .game import Side
from .model_card import TrainingRecipe
from .monitoring import LOSSES
from .output_folder import GRID, README, STEP_GRID, TRAINED
from .publishing import Uploader
from .samples import save_image


class OutlineIteration:
    """One iteration of training per call: the network learns to find the exact map behind the painted one and noise.

    Every random number derives from the samples' seeds, so that a resumed run repeats it.

    Args:
        accelerator (`Accelerator`): Has prepared the side.
        side (`Side`): `outline_model`.
        average (`ModelEMA`): Its average.
    """

    def __init__(self, accelerator: Accelerator, side: Side, average: ModelEMA) -> None:
        self.accelerator, self.side, self.average = accelerator, side, average
        self.config: Any = side.unwrapped["outline_model"].config

    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take a step, and return detached scalars by name.

        Args:
            batch (`Mapping[str, Tensor]`): See [`OutlineReader.sample`]: `label_map` and `painted_map` int64
                `(N, H, W)` in 0..L, where L is unknown or not painted; `seed` int64 `(N,)`.

        Raises:
            FloatingPointError: If the loss is not finite.
        """
        exact, network = batch["label_map"], self.side.prepared["outline_model"]
        with self.accelerator.accumulate(network):
            # Noise levels, uniform over those of sampling, and noise
            rngs = generators(batch["seed"], Stream.OUTLINES)
            shares = torch.stack([torch.rand((), generator=rng) for rng in rngs]).to(exact.device)  # (N,)
            log_snr = self.config.min_log_snr + (self.config.max_log_snr - self.config.min_log_snr) * shares
            shape = (self.config.num_labels, *exact.shape[1:])
            noise = torch.stack([torch.randn(shape, generator=rng) for rng in rngs]).to(exact.device)  # (N, L, H, W)

            # Denoise; pixels of unknown label teach nothing
            noisy = add_noise(exact, noise, log_snr).contiguous(memory_format=torch.channels_last)
            logits = network(noisy, batch["painted_map"], log_snr).logits.float()  # (N, L, H, W)
            loss = F.cross_entropy(logits, exact, ignore_index=self.config.num_labels)
            if not loss.isfinite():
                raise FloatingPointError(
                    f"Training diverged: cross_entropy is {loss.item()}. Lower the learning rate, or resume an older "
                    "checkpoint."
                )
            self.side.update(loss)
            if self.accelerator.sync_gradients:
                self.average.update(self.side.unwrapped["outline_model"])
        known = exact < self.config.num_labels
        accuracy = (logits.detach().argmax(dim=1) == exact)[known].float().mean()
        return {"cross_entropy": loss.detach(), "pixel_accuracy": accuracy}


@torch.no_grad()
def outline_grid(
    model: SPADEOutlineModel, samples: Sequence[Mapping[str, Tensor]], label_set: LabelSet
) -> Image.Image:
    """Draw a grid with a row per sample: the exact map, the painted one, two strengths, and a map made of nothing.

    Args:
        model (`SPADEOutlineModel`): The network.
        samples (`Sequence[Mapping[str, Tensor]]`): N samples of [`OutlineReader`].
        label_set (`LabelSet`): The labels, for their colors; what is not painted is white.
    """
    exact, painted = (torch.stack([one[name] for one in samples]) for name in ("label_map", "painted_map"))
    num_labels = model.config.num_labels
    rngs = generators((int(one["seed"]) for one in samples), Stream.OUTLINES)
    noise = torch.stack([torch.randn((num_labels, *exact.shape[1:]), generator=rng) for rng in rngs])

    def refined(maps: Tensor, strength: float, steps: int = 4) -> Tensor:
        return refine_label_maps(
            model, maps.to(model.device), noise.to(model.device), strength=strength, num_inference_steps=steps
        ).cpu()

    columns = {
        "exact": exact,
        "painted": painted,
        "strength 0.5": refined(painted, 0.5),
        "strength 0.8": refined(painted, 0.8),
        "new": refined(torch.full_like(painted, num_labels), 1.0, steps=8),
    }
    palette = torch.cat([torch.from_numpy(label_set.palette[label_set.class_channels]), torch.full((1, 3), 255)])
    sheet = torch.cat(list(palette[torch.cat([*columns.values()], dim=-1)]), dim=0)  # (N * H, columns * W, 3)
    return add_headings(Image.fromarray(sheet.to(torch.uint8).numpy()), list(columns))


class OutlinePublisher(Uploader):
    """Saves and uploads the outline model of a run. Call its methods only on the main process.

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

    def preview(self) -> SPADEOutlineModel:
        """Return a copy of the averaged network, for checkpoints and sample grids."""
        model: Any = copy.deepcopy(self.average.model)
        return model

    def save_samples(self, model: SPADEOutlineModel, step: int) -> Image.Image:
        """Draw the sample grid after an update, and save it below `samples/`."""
        grid = outline_grid(model, self.shown, self.label_set)
        save_image(grid, self.output_dir / STEP_GRID.format(step))
        return grid

    def _save(self, folder: Path, *, num_samples: int | None, num_steps: int, revision: str | None = None) -> None:
        model = self.preview()
        model.save_pretrained(folder)
        save_image(outline_grid(model, self.shown, self.label_set), folder / GRID)
        write_outline_card(
            model,
            folder,
            repo_id=self.repo_id,
            recipe=self.recipe,
            num_samples=num_samples,
            num_steps=num_steps,
            revision=revision,
        )


CARD = """\
{metadata}

# {title}

{import_note}

A network that gives painted label maps natural outlines, for pipelines of SPADE (Park et al., CVPR 2019). {trained} on
{data}.

![Exact maps, painted ones, and maps drawn from them]({grid})

From left to right: the exact map, as it was redrawn by the tools of training (white: nothing painted), drawn from that
at two strengths, and drawn from nothing.

## Usage

```python
from spade_hf import SPADEOutlineModel, SPADEPipeline  # {install}

pipeline = SPADEPipeline.from_pretrained("A_MODEL_WITH_THESE_LABELS")
pipeline.register_modules(outline_model=SPADEOutlineModel.from_pretrained("{repo_id}"{revision}))
output = pipeline("mask.png", outline_strength=0.7)
```

Labels: {labels}.

## Training

{steps:,} updates on {maps}; the weights are exponential moving averages. Parameters: {parameters:,}.

| option | value |
|---|---|
{recipe}
{curves}
## Limits

It knows only outlines like those of its data, and it has not been compared with others.
"""


def write_outline_card(
    model: SPADEOutlineModel,
    folder: Path,
    *,
    repo_id: str,
    recipe: TrainingRecipe,
    num_samples: int | None,
    num_steps: int,
    revision: str | None = None,
) -> None:
    """Write README.md beside a saved outline model; see [`write_training_card`] for the arguments."""
    card = CARD.format(
        metadata=recipe.metadata(),
        title=repo_id.split("/")[-1],
        import_note=IMPORT_NOTE,
        trained=TRAINED,
        data=recipe.linked_data(),
        grid=GRID,
        install=install_command(),
        repo_id=repo_id,
        revision="" if revision is None else f', revision="{revision}"',
        labels=", ".join(model.config.labels or ("any",)),
        steps=num_steps,
        maps="a stream of maps" if num_samples is None else f"{num_samples:,} label maps",
        parameters=model.num_parameters(),
        recipe=recipe.rows(),
        curves=f"\n![Losses over the updates]({LOSSES})\n" if (folder / LOSSES).is_file() else "",
    )
    (folder / README).write_text(card, encoding="utf-8")
