"""The model card of a trained model."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from ..hub.model_card import IMPORT_NOTE, TAGS, label_table
from ..pipelines import SPADEPipeline
from ..project import install_command


GRID = "samples/final.png"

CARD = """\
---
{metadata}
---

# {title}

{import_note}

{method}: a semantic segmentation mask{style} in, an image out, in one pass. Trained with the `spade_hf` library on
{data}.

![Mask, real image, and what the model makes of the mask, in several styles]({grid})

From left to right: mask, real image, {columns}. These are training samples.

## Usage

```python
from spade_hf import SPADEPipeline  # {install}

pipeline = SPADEPipeline.from_pretrained("{repo_id}"{revision})
image = pipeline("mask.png"{arguments}).images[0]
```

A mask holds label ids (or their colours, see below). The image keeps its proportions, at about as many pixels as
{height}x{width} (height x width), unless `height` and `width`, multiples of {divisor}, are given.

## Training

{steps:,} updates on {pairs}; the weights are exponential moving averages, with batch statistics
estimated from the training images. Parameters: {parameters}.

| option | value |
|---|---|
{recipe}

## Limits

The model knows its training images and no others: what it paints for rare labels, unusual layouts or masks much
smoother or finer than theirs is a guess. It has not been measured against other models. Its images may repeat what is
private or unfair in the training data, and are not photographs of anything.

{labels}
"""


SPADE_PAPER = "Park et al., CVPR 2019, https://arxiv.org/abs/1903.07291"
METHODS = {
    "SPADEGenerator": f"SPADE ({SPADE_PAPER})",
    "ConcatenationGenerator": f"SPADE's decoder with the mask concatenated, a baseline ({SPADE_PAPER})",
    "Pix2PixHDGenerator": "pix2pixHD (Wang et al., CVPR 2018, https://arxiv.org/abs/1711.11585)",
}


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """How a model was trained: what its card says of it, by the names of the training script's options.

    Args:
        dataset_name (`str`, *optional*): A Hub id or a path; the card names no path.
        license (`str`, *optional*): Of the weights.
        loss_weights (`Mapping[str, float]`): Of the terms of the generator's loss.
    """

    dataset_name: str | None
    license: str | None
    generator: str
    discriminator: str
    resolution: tuple[int, int]
    resize_ratio: float
    random_flip: bool
    simplify_probability: float
    random_style_probability: float
    train_batch_size: int
    gradient_accumulation_steps: int
    learning_rate: float
    discriminator_learning_rate: float
    adam_beta1: float
    adam_beta2: float
    lr_scheduler: str
    lr_decay_start: float
    loss_weights: Mapping[str, float]
    perceptual_model: str
    ema_decay: float
    mixed_precision: str | None
    norm_type: str
    seed: int

    def settings(self) -> dict[str, Any]:
        """All but the names of the data and the licence, a value for each option."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("dataset_name", "license", "loss_weights"):
            del values[name]
        return values | {f"{name}_weight": weight for name, weight in self.loss_weights.items()}


def write_training_card(
    pipeline: SPADEPipeline,
    folder: Path,
    *,
    repo_id: str,
    recipe: TrainingRecipe,
    num_samples: int | None,
    num_steps: int,
    revision: str | None = None,
) -> None:
    """Write README.md beside a saved pipeline; the sample grid is expected at `samples/final.png`.

    Args:
        pipeline (`SPADEPipeline`): What was trained.
        folder (`Path`): Where it was saved.
        repo_id (`str`): The name people will load it by.
        recipe (`TrainingRecipe`): How it was trained.
        num_samples (`int`, *optional*): Pairs in the data set; `None` for a stream.
        num_steps (`int`): Updates.
        revision (`str`, *optional*): To load it by, if not the repository's main one.
    """
    name = recipe.dataset_name
    hub_name = name if name is not None and not Path(name).exists() else None
    data = f"[{name}](https://huggingface.co/datasets/{name})" if hub_name else "a data set that is not on the Hub"
    metadata = ModelCardData(
        license=recipe.license,
        library_name="diffusers",
        pipeline_tag="image-to-image",
        datasets=[hub_name] if hub_name else None,
        tags=TAGS,
    )
    has_style, has_latent = pipeline.style_encoder is not None, pipeline.generator.config.latent_dim is not None
    columns = "the mask painted" + (" in a random style" if has_latent else "")
    if has_style:
        columns = "the mask painted in its image's style, in the next image's style, and in a random one"
    needed = ', instance_map="instances.png"' if pipeline.generator.config.use_instance_edges else ""
    size = pipeline.generator.config.image_size
    height, width = (size, size) if isinstance(size, int) else size
    networks = {name: part for name, part in pipeline.components.items() if hasattr(part, "num_parameters")}
    card = CARD.format(
        metadata=metadata.to_yaml(),
        method=METHODS.get(type(pipeline.generator).__name__, f"A {type(pipeline.generator).__name__}"),
        title=repo_id.split("/")[-1],
        style=" and a style picture" if has_style else "",
        data=data,
        import_note=IMPORT_NOTE,
        grid=GRID,
        columns=columns,
        install=install_command(),
        repo_id=repo_id,
        revision="" if revision is None else f', revision="{revision}"',
        arguments=needed + (', style_image="style.jpg"' if has_style else ""),
        height=height,
        width=width,
        divisor=pipeline.generator.size_divisor,
        steps=num_steps,
        pairs="a stream of pairs" if num_samples is None else f"{num_samples:,} pairs",
        parameters=", ".join(f"{name} {part.num_parameters():,}" for name, part in networks.items()),
        recipe="\n".join(f"| {name} | {without_folder(value)} |" for name, value in recipe.settings().items()),
        labels=label_table(pipeline),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def without_folder(value: Any) -> Any:
    """An option's value; of a path its last part alone, as where it lies is nobody's business."""
    if isinstance(value, list):
        return [without_folder(item) for item in value]
    if isinstance(value, str) and value and (Path(value).is_absolute() or Path(value).exists() or value[0] == "~"):
        return Path(value).name
    return value
