"""Model cards: the README.md that goes with saved weights."""

import html
import re
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from ..pipelines import SPADEPipeline
from ..project import install_command
from ..text import printable


PUBLIC_WEIGHTS_LICENSE = "cc-by-nc-sa-4.0"
PUBLIC_WEIGHTS_LICENSE_TEXT = "https://creativecommons.org/licenses/by-nc-sa/4.0/"
# Not "diffusers": the Hub would show code with a prompt, which fails. The tag still lists the models under diffusers.
LIBRARY_NAME = "spade-hf"
TAGS = ("diffusers", "spade", "gaugan", "semantic-image-synthesis", "image-to-image")

# Without the import, diffusers does not find the pipeline, and its error does not say why.
IMPORT_NOTE = (
    "> Run `import spade_hf` first, also before `DiffusionPipeline.from_pretrained`: it registers this pipeline with "
    "diffusers."
)

# Of a model that travels with its code, whose index names `pipeline.py`.
STANDALONE_NOTE = (
    "> Runs with or without spade_hf: `DiffusionPipeline.from_pretrained` needs `trust_remote_code=True`, because it "
    "runs the code in this repository; `SPADEPipeline.from_pretrained` of spade_hf does not."
)

CONVERTED_CARD = """\
---
{metadata}
---

# SPADE, converted from {source}

{import_note}

Weights of the public SPADE implementation (Park et al., CVPR 2019, https://arxiv.org/abs/1903.07291), converted by
`spade-hf convert`. They keep their authors' license, [CC BY-NC-SA 4.0]({license}): name the authors, no commercial
use, share alike. The conversion renamed the weights and divided spectrally normalized ones by their norm.

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
        pipeline (`SPADEPipeline`): The converted pipeline.
        folder (`Path`): The folder it was saved to.
        source (`str`): The file it was converted from.
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
    """Build the metadata of a SPADE model's card.

    Args:
        more: Further fields of [`ModelCardData`], such as `license`.
    """
    return ModelCardData(library_name=LIBRARY_NAME, pipeline_tag="image-to-image", tags=list(TAGS), **more)


def label_table(pipeline: SPADEPipeline) -> str:
    """Format a pipeline's labels as a Markdown table of ids, names and colors."""
    label_set = pipeline.image_processor.label_set_or_none
    if label_set is None:
        return "## Labels\n\nNone: it makes images of a condition alone."
    rows = [
        f"| {label.id} | {_markdown(label.name)} | `#{bytes(color.tolist()).hex()}` |"
        for label, color in zip(label_set.labels, label_set.palette, strict=True)
    ]
    return "\n".join([f"## Labels ({_markdown(label_set.name)})", "", "| id | name | color |", "|---|---|---|", *rows])


def without_folder(value: Any) -> Any:
    """Return an option's value, of a path only the last part, so that no local folder is published."""
    if isinstance(value, list):
        return [without_folder(item) for item in value]
    if isinstance(value, str) and value and (Path(value).is_absolute() or Path(value).exists() or value[0] == "~"):
        return Path(value).name
    return value


def _markdown(text: str) -> str:
    """Escape a name for a Markdown table, so that it contains no HTML, link or further column."""
    return re.sub(r"([\\`*\[\]|])", r"\\\1", html.escape(printable(text), quote=False))
