"""Training of [`SPADEOutlineModel`]: one iteration, and what its run publishes.

Legend: N batch, L labels, H W height and width.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
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
from .model_card import TrainingRecipe
from .monitoring import LOSSES
from .output_folder import GRID, README, TRAINED
from .single_network import NetworkIteration, NetworkPublisher, accuracy_of


class OutlineIteration(NetworkIteration):
    """One iteration of training per call: the network learns to find the exact map behind the painted one and noise.

    Every random number derives from the samples' seeds, so that a resumed run repeats it.
    """

    def loss(self, network: Any, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the cross-entropy and the accuracy of a batch.

        Args:
            network: The outline model, prepared for training.
            batch (`Mapping[str, Tensor]`): See [`OutlineReader.sample`]: `label_map` and `painted_map` int64
                `(N, H, W)` in 0..L, where L is unknown or not painted; `seed` int64 `(N,)`.
        """
        exact = batch["label_map"]
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
        return loss, {"pixel_accuracy": accuracy_of(logits, exact, ignored=self.config.num_labels)}


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


class OutlinePublisher(NetworkPublisher):
    """Saves and uploads the outline model of a run; see [`NetworkPublisher`]."""

    def grid(self, model: SPADEOutlineModel) -> Image.Image:
        """See [`outline_grid`]."""
        return outline_grid(model, self.shown, self.label_set)

    def write_card(self, model: SPADEOutlineModel, folder: Path, **run: Any) -> None:
        """See [`write_outline_card`]."""
        write_outline_card(model, folder, repo_id=self.repo_id, recipe=self.recipe, **run)


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
