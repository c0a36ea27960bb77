"""Model cards: the README.md that goes with saved weights."""

import html
import re
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from ..pipelines import SPADEPipeline
from ..project import install_command


PUBLIC_WEIGHTS_LICENSE = "cc-by-nc-sa-4.0"
PUBLIC_WEIGHTS_LICENSE_TEXT = "https://creativecommons.org/licenses/by-nc-sa/4.0/"
# Not "diffusers": the Hub would show code with a prompt, which fails. The tag still finds the models among diffusers'.
LIBRARY_NAME = "spade-hf"
TAGS = ("diffusers", "spade", "gaugan", "semantic-image-synthesis", "image-to-image")

# Without it, diffusers finds no such pipeline, and its error does not say why.
IMPORT_NOTE = (
    "> `import spade_hf` comes first, also before `DiffusionPipeline.from_pretrained`: it makes this pipeline known "
    "to diffusers."
)

CONVERTED_CARD = """\
---
{metadata}
---

# SPADE, converted from {source}

{import_note}

Weights of the public SPADE implementation (Park et al., CVPR 2019, https://arxiv.org/abs/1903.07291), converted by
`spade-hf convert`. They stay under their authors' licence, [CC BY-NC-SA 4.0]({license}): name the authors, no
commercial use, share alike. The conversion renamed the weights and divided the spectral norm out of them.

```python
from spade_hf import SPADEPipeline  # {install}

pipeline = SPADEPipeline.from_pretrained("THIS_REPOSITORY")
image = pipeline({arguments}).images[0]
```

{labels}
"""


def write_converted_model_card(pipeline: SPADEPipeline, folder: Path, *, source: str) -> None:
    """Write the card of a converted checkpoint.

    Args:
        pipeline (`SPADEPipeline`): What was converted.
        folder (`Path`): Where it was saved.
        source (`str`): The file it came from.
    """
    card = CONVERTED_CARD.format(
        metadata=card_metadata(license=PUBLIC_WEIGHTS_LICENSE).to_yaml(),
        import_note=IMPORT_NOTE,
        source=source,
        install=install_command(),
        license=PUBLIC_WEIGHTS_LICENSE_TEXT,
        arguments='"mask.png"' + ', instance_map="instances.png"' * pipeline.generator.config.use_instance_edges,
        labels=label_table(pipeline),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def card_metadata(**more: Any) -> ModelCardData:
    """The metadata of a SPADE model's card.

    Args:
        more: Fields of [`ModelCardData`], such as `license`.
    """
    return ModelCardData(library_name=LIBRARY_NAME, pipeline_tag="image-to-image", tags=list(TAGS), **more)


def label_table(pipeline: SPADEPipeline) -> str:
    """The labels that a pipeline knows, as a Markdown table of ids, names and colours."""
    label_set = pipeline.image_processor.label_set
    rows = [
        f"| {label.id} | {_markdown(label.name)} | `#{bytes(color.tolist()).hex()}` |"
        for label, color in zip(label_set.labels, label_set.palette, strict=True)
    ]
    return "\n".join(
        [f"## Labels ({_markdown(label_set.name)})", "", "| id | name | colour |", "|---|---|---|", *rows]
    )


def without_folder(value: Any) -> Any:
    """An option's value; of a path its last part alone, as where it lies is nobody's business."""
    if isinstance(value, list):
        return [without_folder(item) for item in value]
    if isinstance(value, str) and value and (Path(value).is_absolute() or Path(value).exists() or value[0] == "~"):
        return Path(value).name
    return value


def printable(text: str) -> str:
    """A name that came with foreign weights, without control characters: a terminal would obey them."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _markdown(text: str) -> str:
    """A name as text in a Markdown table: neither HTML nor links nor another column."""
    return re.sub(r"([\\`*\[\]|])", r"\\\1", html.escape(printable(text), quote=False))
