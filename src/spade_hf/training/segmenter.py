"""Training of [`SPADESegmenter`]: one iteration, its evaluation, and what its run publishes.

Legend: N batch, L labels, H W height and width.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor

from ..batch import labels_of
from ..data import PairedImageDataset
from ..hub.model_card import IMPORT_NOTE
from ..images.sheets import add_headings
from ..labels.label_set import LabelSet
from ..losses.labels import label_loss
from ..metrics.segmentation import class_ious, confusion_matrix, pixel_accuracy
from ..models import SPADESegmenter
from ..project import install_command
from .averages import ModelEMA
from .game import Side
from .model_card import TrainingRecipe
from .monitoring import LOSSES
from .output_folder import GRID, README, TRAINED
from .single_network import NetworkIteration, NetworkPublisher, accuracy_of


class SegmenterIteration(NetworkIteration):
    """One iteration of training per call: the network learns the label of each pixel.

    Args:
        accelerator, side, average: See [`NetworkIteration`].
        label_set (`LabelSet`): The labels of the masks.
    """

    def __init__(self, accelerator: Accelerator, side: Side, average: ModelEMA, label_set: LabelSet) -> None:
        super().__init__(accelerator, side, average)
        self.classes = torch.from_numpy(label_set.channel_classes).to(accelerator.device)

    def loss(self, network: Any, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the cross-entropy and the accuracy of a batch.

        Args:
            network: The segmenter, prepared for training.
            batch (`Mapping[str, Tensor]`): `real_images` `(N, 3, H, W)` in [-1, 1], and `label_map`, int64 `(N, H, W)`
                of channels; pixels of unknown label teach nothing.
        """
        classes, unknown = self.classes[batch["label_map"]], self.config.num_labels  # (N, H, W) in 0..L
        images = batch["real_images"].contiguous(memory_format=torch.channels_last)
        logits = network(images).logits.float()  # (N, L, H / 4, W / 4)
        loss = label_loss(logits, classes, ignored=unknown)
        # at the logits' size: each stands for 4x4 pixels, of which one is looked at
        rows, columns = (4 * torch.arange(side, device=classes.device) for side in logits.shape[-2:])
        return loss, {"pixel_accuracy": accuracy_of(logits, classes[:, rows[:, None], columns], ignored=unknown)}


class SegmenterEvaluation:
    """Evaluation of a segmenter on a fixed set of pairs. Use it only on the main process.

    Args:
        dataset (`PairedImageDataset`): Pairs that are not trained on, neither flipped nor cropped at random.
        device (`torch.device`): Device of the segmenter.
        batch_size (`int`, defaults to 8): Images per batch.
    """

    def __init__(self, dataset: PairedImageDataset, device: torch.device, *, batch_size: int = 8) -> None:
        self.dataset, self.device, self.batch_size = dataset, device, batch_size
        self.label_set: LabelSet = dataset.processor.label_set

    def __call__(self, model: SPADESegmenter) -> dict[str, float]:
        """Compute mean intersection over union and pixel accuracy, by their names in trackers."""
        confusion = self.confusion(model)
        ious, accuracy = self.class_ious(confusion), pixel_accuracy(confusion, unknown=model.config.num_labels)
        if accuracy is None:  # no pixel has a label
            return {}
        return {"evaluation/miou": sum(ious.values()) / len(ious), "evaluation/pixel_accuracy": accuracy}

    @torch.no_grad()
    def confusion(self, model: SPADESegmenter) -> Tensor:
        """Count pixels by label and prediction, int64 `(L + 1, L + 1)`; L is unknown. See [`confusion_matrix`]."""
        classes = torch.from_numpy(self.label_set.channel_classes)
        counts = []
        for start in range(0, len(self.dataset), self.batch_size):
            end = min(start + self.batch_size, len(self.dataset))
            samples = [self.dataset[row] for row in range(start, end)]
            images = torch.stack([sample["real_images"] for sample in samples]).to(self.device)  # (N, 3, H, W)
            truth = torch.stack([classes[labels_of(sample)] for sample in samples])  # (N, H, W)
            counts.append(confusion_matrix(model.predict(images).cpu(), truth, self.label_set.num_labels + 1))
        return torch.stack(counts).sum(dim=0)

    def class_ious(self, confusion: Tensor) -> dict[str, float]:
        """Return the intersection over union of each label that occurs in the masks, by name."""
        names = [self.label_set.names[channel] for channel in self.label_set.class_channels]
        return {names[number]: iou for number, iou in class_ious(confusion, unknown=len(names)).items()}


@torch.no_grad()
def segmenter_grid(model: SPADESegmenter, samples: Sequence[Mapping[str, Tensor]], label_set: LabelSet) -> Image.Image:
    """Draw a grid with a row per sample: the image, its mask, and the predicted one; unknown is white.

    Args:
        model (`SPADESegmenter`): The network.
        samples (`Sequence[Mapping[str, Tensor]]`): N pairs.
        label_set (`LabelSet`): The labels, for their colors.
    """
    images = torch.stack([one["real_images"] for one in samples])  # (N, 3, H, W)
    truth = torch.from_numpy(label_set.channel_classes)[torch.stack([one["label_map"] for one in samples])]
    predictions = model.predict(images.to(model.device)).cpu()  # (N, H, W)
    palette = torch.cat([torch.from_numpy(label_set.palette[label_set.class_channels]), torch.full((1, 3), 255)])
    photos = ((images.clamp(-1, 1) + 1) * 127.5).round().movedim(1, -1)  # (N, H, W, 3) in 0..255
    columns = {"image": photos, "mask": palette[truth], "predicted": palette[predictions]}
    sheet = torch.cat(list(torch.cat([one.to(torch.uint8) for one in columns.values()], dim=2)), dim=0)
    return add_headings(Image.fromarray(sheet.numpy()), list(columns))


class SegmenterPublisher(NetworkPublisher):
    """Saves and uploads the segmenter of a run; see [`NetworkPublisher`].

    Args:
        evaluation (`SegmenterEvaluation`, *optional*): Its figures go to the card.
        network: Arguments of [`NetworkPublisher`].
    """

    def __init__(self, *network: Any, evaluation: SegmenterEvaluation | None = None, **options: Any) -> None:
        super().__init__(*network, **options)
        self.evaluation = evaluation

    def grid(self, model: SPADESegmenter) -> Image.Image:
        """See [`segmenter_grid`]."""
        return segmenter_grid(model, self.shown, self.label_set)

    def write_card(self, model: SPADESegmenter, folder: Path, **run: Any) -> None:
        """See [`write_segmenter_card`]."""
        write_segmenter_card(
            model, folder, repo_id=self.repo_id, recipe=self.recipe, evaluation=self.evaluation, **run
        )


CARD = """\
{metadata}

# {title}

{import_note}

A network that tells the labels of a photograph's pixels, for pipelines of SPADE (Park et al., CVPR 2019). {trained} on
{data}.

![Images, their masks, and predicted masks]({grid})

From left to right: the image, its mask (white: unknown), and the predicted mask.

## Usage

```python
from spade_hf import SPADEPipeline, SPADESegmenter  # {install}

pipeline = SPADEPipeline.from_pretrained("A_MODEL_WITH_THESE_LABELS")
pipeline.register_modules(segmenter=SPADESegmenter.from_pretrained("{repo_id}"{revision}))
mask = pipeline.segment("photo.jpg")[0]
```

Labels: {labels}.

## Training

{steps:,} updates on {pairs}; the weights are exponential moving averages. The first layers started from
EfficientNet-Lite0's ImageNet weights (Apache-2.0). Parameters: {parameters:,}.

| option | value |
|---|---|
{recipe}
{curves}
{figures}## Limits

It knows only the labels and the kind of images of its data, and tells one of these labels for every pixel.
"""


def write_segmenter_card(
    model: SPADESegmenter,
    folder: Path,
    *,
    repo_id: str,
    recipe: TrainingRecipe,
    num_samples: int | None,
    num_steps: int,
    revision: str | None = None,
    evaluation: SegmenterEvaluation | None = None,
) -> None:
    """Write README.md beside a saved segmenter; see [`write_training_card`] for the arguments.

    With an evaluation, the card has its figures.
    """
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
        pairs="a stream of pairs" if num_samples is None else f"{num_samples:,} pairs",
        parameters=model.num_parameters(),
        recipe=recipe.rows(),
        curves=f"\n![Losses over the updates]({LOSSES})\n" if (folder / LOSSES).is_file() else "",
        figures="" if evaluation is None else describe_figures(model, evaluation),
    )
    (folder / README).write_text(card, encoding="utf-8")


def describe_figures(model: SPADESegmenter, evaluation: SegmenterEvaluation) -> str:
    """Return a section of a card: the figures of an evaluation, and those of always guessing the largest class."""
    confusion = evaluation.confusion(model)
    ious, unknown = evaluation.class_ious(confusion), model.config.num_labels
    accuracy = pixel_accuracy(confusion, unknown=unknown)
    if accuracy is None:
        return ""
    pixels = confusion.sum(dim=1)[:unknown]  # (L,), of each label in the masks
    largest = (pixels.max() / pixels.sum()).item()
    rows = "\n".join(f"| {name} | {iou:.3f} |" for name, iou in ious.items())
    return (
        f"## Figures\n\nOn {len(evaluation.dataset):,} pairs that were not trained on: mean intersection over union "
        f"{sum(ious.values()) / len(ious):.3f},\npixel accuracy {accuracy:.3f}; the largest class has {largest:.3f} "
        f"of the pixels.\n\n| label | IoU |\n|---|---|\n{rows}\n\n"
    )
