"""The README.md of a synthesized data set: metadata for `load_dataset` and the Hub, and information for users."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import yaml
from huggingface_hub import DatasetCardData, ModelCard
from huggingface_hub.errors import HFValidationError, HTTPError

from ..files import write_text
from ..hub.model_card import label_table
from ..labels.label_set import LabelSet
from ..pipelines import SPADEPipeline
from ..version import __version__
from .row import AGREEMENT


SEED_WITH_CONDITION = (
    "`pipeline(mask, condition=condition, generator=torch.Generator().manual_seed(seed))` paints this picture again, "
    "with mask and condition of that row of the source"
)
# (fewer rows than, the Hub's name for the size)
SIZE_CATEGORIES = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
COLUMNS = {
    "image": "PNG, painted by the model",
    "label": "PNG of label ids, the mask as the model saw it; `labels.json` has names and colors",
    "instance": "PNG of instance ids, as the model saw it",
    "source_index": "row of the mask in the source",
    AGREEMENT: "how surely a segmenter sees in the picture what its mask says, 0 to 1, the mean over its pixels; "
    "where it is below the threshold, `label` is unknown; to paint a picture again, take its mask from the source",
    "style": "the style picture whose light and colors it has",
    "seed": "`pipeline(label, generator=torch.Generator().manual_seed(seed))` paints this picture again, at its size",
}

CARD = """\
---
{metadata}
---

# {title}

{num_rows} pictures that the model `{model}` painted from the masks of `{source}`, split `{split}`: {styles}.
None is a photograph. Where a picture does not show what its mask says, the label is wrong; keep that in mind when you
train on them.

| column | content |
|---|---|
{columns}

{left_out}Made by `spade-hf synthesize` of spade_hf {version} with these settings:

```json
{settings}
```

{license}{labels}
"""


@dataclass(frozen=True)
class Summary:
    """Contents of a data set.

    Args:
        num_rows (`int`): Number of images.
        num_bytes (`int`): Size of their files.
        missing (`Sequence[int]`): Rows of the source without images.
        columns (`Sequence[str]`): Names of the image columns.
        has_agreement (`bool`): Whether there is a column of agreements.
        features (`datasets.Features`, *optional*): For the metadata, if the rows are in parquet files.
    """

    num_rows: int
    num_bytes: int
    missing: Sequence[int]
    columns: Sequence[str]
    has_agreement: bool
    features: datasets.Features | None


def write_data_card(
    folder: Path, summary: Summary, settings: Mapping[str, Any], pipeline: SPADEPipeline, *, license: str | None
) -> None:
    """Write README.md.

    Args:
        folder (`Path`): The data set's folder.
        summary (`Summary`): Its contents.
        settings (`Mapping[str, Any]`): Settings that all rows depend on.
        pipeline (`SPADEPipeline`): The model.
        license (`str`, *optional*): The model's license.
    """
    count, styles = settings["num_images_per_mask"], settings.get("styles")
    kind = "random style" if styles is None else "style, that of a picture"
    columns = {name: COLUMNS[name] for name in (*summary.columns, "source_index", "seed")}
    if styles is not None:
        columns |= {"seed": "decided on its style, and on outlines", "style": COLUMNS["style"]}
    elif settings.get("condition_column"):
        columns["seed"] = SEED_WITH_CONDITION
    if summary.has_agreement:
        columns[AGREEMENT] = COLUMNS[AGREEMENT]
    left_out = f"Left out, because their masks cannot be read: rows {row_numbers(summary.missing)} of the source.\n\n"
    card = CARD.format(
        metadata=_metadata(summary, pipeline.image_processor.label_set, license).to_yaml(),
        title=folder.resolve().name,
        num_rows=summary.num_rows,
        model=settings["model"],
        source=settings["dataset_name"],
        split=settings["split"],
        styles="one for each mask" if count == 1 else f"{count} for each mask, each in its own {kind}",
        columns="\n".join(f"| `{name}` | {text} |" for name, text in columns.items()),
        labels=label_table(pipeline),
        left_out=left_out if summary.missing else "",
        version=__version__,
        settings=json.dumps(dict(settings), indent=2),
        license="" if license else "The model states no license; add one to the metadata before you share this.\n\n",
    )
    write_text(folder / "README.md", card)


def license_of(model: str) -> str | None:
    """Return the license that a model's card states, in its folder or on the Hub; `None` if it states none."""
    folder = Path(model)
    try:
        data: Any = ModelCard.load(folder / "README.md" if folder.is_dir() else model).data
    except (OSError, ValueError, yaml.YAMLError, HFValidationError, HTTPError):
        return None
    return data.license


def row_numbers(rows: Sequence[int], limit: int = 20) -> str:
    """List row numbers for a sentence, at most `limit` of them."""
    named = ", ".join(map(str, rows[:limit]))
    return named if len(rows) <= limit else f"{named} and {len(rows) - limit} more"


def _metadata(summary: Summary, label_set: LabelSet, license: str | None) -> DatasetCardData:
    size = next((name for limit, name in SIZE_CATEGORIES if summary.num_rows < limit), "n>1M")
    layout: dict[str, Any] = {}
    if summary.features is not None:
        train = {"name": "train", "num_bytes": summary.num_bytes, "num_examples": summary.num_rows}
        sizes = {"download_size": summary.num_bytes, "dataset_size": summary.num_bytes}
        layout = {
            "dataset_info": {"features": _features(summary.features, label_set), "splits": [train], **sizes},
            "configs": [
                {"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}
            ],
        }
    return DatasetCardData(
        license=license,
        task_categories=["image-segmentation", "image-to-image"],
        tags=["synthetic", "semantic-image-synthesis", "spade"],
        size_categories=[size],
        **layout,
    )


def _features(features: datasets.Features, label_set: LabelSet) -> list[dict[str, Any]]:
    """List the columns for a card, with the labels' names; `datasets` ignores names of an image column."""
    columns: Any = features._to_yaml_list()
    for column in columns:
        if column["name"] == "label":
            column["class_label"] = {"names": {str(i): name for i, name in label_set.id2label.items()}}
    return columns
