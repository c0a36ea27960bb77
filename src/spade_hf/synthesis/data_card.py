"""The README.md of a synthesized data set: metadata for `load_dataset` and the Hub, and what a user should know."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import yaml
from huggingface_hub import DatasetCardData, ModelCard
from huggingface_hub.errors import HFValidationError, HTTPError

from ..hub.model_card import label_table
from ..labels.label_set import LabelSet
from ..pipelines import SPADEPipeline
from ..version import __version__
from .settings import write_text


# (fewer rows than, the Hub's name for the size)
SIZE_CATEGORIES = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
COLUMNS = {
    "image": "PNG, painted by the model",
    "label": "PNG of label ids, the mask as the model saw it; `labels.json` has names and colours",
    "instance": "PNG of instance ids, as the model saw it",
    "source_index": "row of the mask in the source",
    "seed": "`pipeline(label, generator=torch.Generator().manual_seed(seed))` paints this picture again, at its size",
}

CARD = """\
---
{metadata}
---

# {title}

{num_rows} pictures that the model `{model}` painted from the masks of `{source}`, split `{split}`: {styles}.
None is a photograph. What a mask shows and a picture does not is an error of the label; train with that in mind.

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
    """What a data set holds.

    Args:
        num_rows (`int`): Pictures.
        num_bytes (`int`): Of their files.
        missing (`Sequence[int]`): Rows of the source without pictures.
        columns (`Sequence[str]`): Of images.
        features (`datasets.Features`, *optional*): For the metadata, if the rows are in parquet files.
    """

    num_rows: int
    num_bytes: int
    missing: Sequence[int]
    columns: Sequence[str]
    features: datasets.Features | None


def write_data_card(
    folder: Path, summary: Summary, settings: Mapping[str, Any], pipeline: SPADEPipeline, *, license: str | None
) -> None:
    """Write README.md.

    Args:
        folder (`Path`): Of the data set.
        summary (`Summary`): What it holds.
        settings (`Mapping[str, Any]`): What all rows depend on.
        pipeline (`SPADEPipeline`): The model.
        license (`str`, *optional*): The model's.
    """
    count = settings["num_images_per_mask"]
    left_out = f"Left out, because their masks cannot be read: rows {row_numbers(summary.missing)} of the source.\n\n"
    card = CARD.format(
        metadata=_metadata(summary, pipeline.image_processor.label_set, license).to_yaml(),
        title=folder.resolve().name,
        num_rows=summary.num_rows,
        model=settings["model"],
        source=settings["dataset_name"],
        split=settings["split"],
        styles="one for each mask" if count == 1 else f"{count} for each mask, each in a random style of its own",
        columns="\n".join(f"| `{name}` | {COLUMNS[name]} |" for name in (*summary.columns, "source_index", "seed")),
        labels=label_table(pipeline),
        left_out=left_out if summary.missing else "",
        version=__version__,
        settings=json.dumps(dict(settings), indent=2),
        license="" if license else "The model states no licence; add one to the metadata before you share this.\n\n",
    )
    write_text(folder / "README.md", card)


def license_of(model: str) -> str | None:
    """The licence that a model's card states, in its folder or on the Hub; `None` without one."""
    folder = Path(model)
    try:
        data: Any = ModelCard.load(folder / "README.md" if folder.is_dir() else model).data
    except (OSError, ValueError, yaml.YAMLError, HFValidationError, HTTPError):
        return None
    return data.license


def row_numbers(rows: Sequence[int], limit: int = 20) -> str:
    """Row numbers in a sentence; of many, the first ones."""
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
    """Columns as a card lists them, with the labels' names, which `datasets` reads over: images have none."""
    columns: Any = features._to_yaml_list()
    for column in columns:
        if column["name"] == "label":
            column["class_label"] = {"names": {str(i): name for i, name in label_set.id2label.items()}}
    return columns
