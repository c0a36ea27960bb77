"""The model card of a trained model."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard
from huggingface_hub.errors import HTTPError

from ..hub.model_card import IMPORT_NOTE, STANDALONE_NOTE, card_metadata, label_table, without_folder
from ..hub.standalone import is_standalone
from ..pipelines import SPADEPipeline
from ..project import install_command
from .monitoring import LOSSES
from .output_folder import GALLERY_IMAGE, GALLERY_MASK, GRID, README, TRAINED


logger = logging.getLogger(__name__)
HUB = "https://huggingface.co"

CARD = """\
{metadata}

# {title}

{import_note}

{method}: {inputs}{style} in, an image out, in one pass. {trained} on
{data}{origin}.

![{shown}, real image, and images painted from it in several styles]({grid})

From left to right: {shown}, real image, {columns}. {provenance}

{gallery}

## Usage

```python
from spade_hf import SPADEPipeline  # {install}

pipeline = SPADEPipeline.from_pretrained("{repo_id}"{revision})
image = pipeline({arguments}).images[0]
```

{standalone}{explained} The image has the {first}'s proportions and about as many pixels as
{height}x{width} (height x width), unless you pass `height` and `width`, multiples of {divisor}.

## Training

{steps:,} updates on {pairs}; the weights are exponential moving averages, with batch statistics
estimated from the training images. Parameters: {parameters}.

| option | value |
|---|---|
{recipe}
{curves}
## Limits

Expect poor results for rare labels, unusual layouts, and masks much smoother or finer than those in training. The
model has not been compared with others. Its images are synthetic, and can reproduce private or biased content of the
training data.

{labels}
"""

STANDALONE = """\
Without spade_hf, by the code in this repository ([`pipeline.py`](pipeline.py)):

```python
from diffusers import DiffusionPipeline

pipeline = DiffusionPipeline.from_pretrained("{repo_id}"{revision}, trust_remote_code=True)
```

"""


SPADE_PAPER = "Park et al., CVPR 2019, https://arxiv.org/abs/1903.07291"
METHODS = {
    "SPADEGenerator": f"SPADE ({SPADE_PAPER})",
    "ConcatenationGenerator": f"SPADE's decoder with the mask concatenated, a baseline ({SPADE_PAPER})",
    "Pix2PixHDGenerator": "pix2pixHD (Wang et al., CVPR 2018, https://arxiv.org/abs/1711.11585)",
}


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """Settings of a training run for the model card.

    Args:
        dataset_name (`str`, *optional*): A Hub id or a path; the card does not show paths.
        pretrained_model_name_or_path (`str`, *optional*): The start of training: likewise.
        license (`str`, *optional*): License of the weights.
        train_batch_size (`int`): Samples of a batch, with which batch statistics are estimated.
        settings (`Mapping[str, Any]`): Values by option, as the card's table shows them.
    """

    dataset_name: str | None
    pretrained_model_name_or_path: str | None
    license: str | None
    train_batch_size: int
    settings: Mapping[str, Any]

    def metadata(self, *, num_gallery_images: int = 0) -> str:
        """Return the card's metadata as YAML between `---` lines.

        Args:
            num_gallery_images (`int`, defaults to 0): Images in the gallery.
        """
        base, data = _hub_id(self.pretrained_model_name_or_path), _hub_id(self.dataset_name)
        images = [
            {"text": f"Mask {number}, painted", "output": {"url": GALLERY_IMAGE.format(number)}}
            for number in range(1, num_gallery_images + 1)
        ]
        metadata = card_metadata(
            license=self.license,
            datasets=[data] if data else None,
            base_model=base,
            base_model_relation="finetune" if base else None,
            widget=images or None,
        )
        return f"---\n{metadata.to_yaml()}\n---"

    def linked_data(self) -> str:
        """Return the data set, with a link if it is on the Hub."""
        return _linked(self.dataset_name, "datasets/") or "a data set that is not on the Hub"

    def rows(self) -> str:
        """Return the rows of a Markdown table of the settings."""
        return "\n".join(f"| {name} | {without_folder(value)} |" for name, value in self.settings.items())

    def validate(self) -> None:
        """Let the Hub check the metadata, before training rather than after it.

        Raises:
            ValueError: If the Hub rejects the metadata.
        """
        try:
            ModelCard(f"{self.metadata()}\n").validate()
        except HTTPError as error:
            logger.warning("The Hub could not check the model card's metadata: %s", error)
        except ValueError as error:
            raise ValueError(
                f"The Hub rejects the model card's metadata: {_reason(str(error))}. Give a `license` from "
                f"{HUB}/docs/hub/repositories-licenses, or leave it out."
            ) from error


def write_training_card(
    pipeline: SPADEPipeline,
    folder: Path,
    *,
    repo_id: str,
    recipe: TrainingRecipe,
    num_samples: int | None,
    num_steps: int,
    num_gallery_images: int = 0,
    is_held_out: bool = False,
    revision: str | None = None,
) -> None:
    """Write README.md beside a saved pipeline; the sample grid is expected at `samples/final.png`.

    The card shows `losses.png` if the folder has it, and how to load the model without this library if its code does.

    Args:
        pipeline (`SPADEPipeline`): The trained pipeline.
        folder (`Path`): Its folder.
        repo_id (`str`): The repository to load it from.
        recipe (`TrainingRecipe`): Settings of its training.
        num_samples (`int`, *optional*): Pairs in the data set; `None` for a stream.
        num_steps (`int`): Updates.
        num_gallery_images (`int`, defaults to 0): Images `samples/gallery-1.png`, `samples/gallery-2.png`, ..., beside
            their masks `samples/gallery-1-mask.png`, ...
        is_held_out (`bool`, defaults to `False`): Whether the grid and the gallery show no training samples.
        revision (`str`, *optional*): The revision to load, if not the main one.
    """
    origin = ""
    if recipe.pretrained_model_name_or_path is not None:
        base = _linked(recipe.pretrained_model_name_or_path) or "a model that is not on the Hub"
        origin = f", starting from {base}"
    has_style, has_latent = pipeline.style_encoder is not None, pipeline.generator.config.latent_dim is not None
    inputs = describe_inputs(pipeline)
    columns = f"the {inputs.first} painted" + (" in a random style" if has_latent else "")
    if has_style:
        columns = f"the {inputs.first} painted in its image's style, in the next image's style, and in a random one"
    height, width = pipeline.generator.native_size
    chosen = "" if revision is None else f', revision="{revision}"'
    networks = {name: part for name, part in pipeline.components.items() if hasattr(part, "num_parameters")}
    card = CARD.format(
        metadata=recipe.metadata(num_gallery_images=num_gallery_images),
        trained=TRAINED,
        method=_method(pipeline.generator),
        title=repo_id.split("/")[-1],
        style=" and a style picture" if has_style else "",
        data=recipe.linked_data(),
        origin=origin,
        gallery=_gallery(num_gallery_images),
        import_note=STANDALONE_NOTE if is_standalone(folder) else IMPORT_NOTE,
        grid=GRID,
        columns=columns,
        provenance="The model has not seen these pairs." if is_held_out else "These are training samples.",
        install=install_command(),
        repo_id=repo_id,
        revision=chosen,
        standalone=STANDALONE.format(repo_id=repo_id, revision=chosen) if is_standalone(folder) else "",
        inputs=inputs.text,
        first=inputs.first,
        shown=inputs.columns,
        explained=inputs.explained,
        arguments=inputs.arguments + (', style_image="style.jpg"' if has_style else ""),
        height=height,
        width=width,
        divisor=pipeline.generator.size_divisor,
        steps=num_steps,
        pairs="a stream of pairs" if num_samples is None else f"{num_samples:,} pairs",
        parameters=", ".join(f"{name} {part.num_parameters():,}" for name, part in networks.items()),
        recipe=recipe.rows(),
        curves=f"\n![Losses over the updates]({LOSSES})\n" if (folder / LOSSES).is_file() else "",
        labels=label_table(pipeline),
    )
    (folder / README).write_text(card, encoding="utf-8")


@dataclass(frozen=True)
class Inputs:
    """What a model makes images of, in the words of its card.

    Args:
        text (`str`): What it is.
        first (`str`): What the image's proportions come from: "mask" or "condition".
        columns (`str`): What samples show of it.
        arguments (`str`): Arguments of a pipeline's call.
        explained (`str`): Sentences about the files.
    """

    text: str
    first: str
    columns: str
    arguments: str
    explained: str


def describe_inputs(pipeline: SPADEPipeline) -> Inputs:
    """Describe what a model makes images of."""
    processor = pipeline.image_processor
    mask, condition = processor.has_labels, processor.config.condition_channels
    names = ["mask"] * mask + ["condition"] * (condition > 0)
    texts = ["a semantic segmentation mask"] * mask + [f"a condition of {condition} channels"] * (condition > 0)
    arguments = ['"mask.png"'] * mask
    arguments += ['instance_map="instances.png"'] * pipeline.generator.config.use_instance_edges
    arguments += ['condition="condition.png"'] * (condition > 0)
    explained = ["A mask holds label ids or their colors (see below)."] * mask
    if condition:
        value_range = processor.condition_range
        low, high = value_range or (0, 0)
        units = f", with values of {low:g} to {high:g}" if value_range else ", read by the type of its numbers"
        explained.append(f"A condition is an image, `.npy` or array of {condition} channels{units}.")
    return Inputs(" and ".join(texts), names[0], ", ".join(names), ", ".join(arguments), " ".join(explained))


def _method(generator: Any) -> str:
    """Return the name and source of a generator's method."""
    norm, name = generator.config.get("mask_norm", "spade"), type(generator).__name__
    return METHODS.get(name, f"A {name}") + f", with the mask norm {norm!r}" * (norm != "spade")


def _gallery(num_images: int) -> str:
    """Return a table of masks and generated images, side by side."""
    numbers = range(1, num_images + 1)
    rows = [
        f"| ![Mask {n}]({GALLERY_MASK.format(n)}) | ![Mask {n}, painted]({GALLERY_IMAGE.format(n)}) |" for n in numbers
    ]
    return "\n".join(["| mask | picture |", "|---|---|", *rows]) if rows else ""


def _reason(answer: str) -> str:
    """Extract the message from the answer of the Hub's validator, which is text or JSON."""
    try:
        return "; ".join(problem["message"] for problem in json.loads(answer)["errors"])
    except (ValueError, LookupError, TypeError):
        return answer


def _hub_id(name: str | None) -> str | None:
    """Return a name if it is a Hub id, not a path."""
    return name if name is not None and without_folder(name) == name and not Path(name).exists() else None


def _linked(name: str | None, kind: str = "") -> str | None:
    """Return a Markdown link to a name on the Hub, or `None` for a path."""
    name = _hub_id(name)
    return f"[{name}]({HUB}/{kind}{name})" if name else None
