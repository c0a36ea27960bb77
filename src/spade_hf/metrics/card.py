"""Evaluation figures in a model card's metadata (`model-index`), which the Hub shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard
from huggingface_hub.errors import HFValidationError, HTTPError

from ..files import atomic
from ..hub.model_card import without_folder
from .figures import FIGURES


def load_card(model: str) -> ModelCard:
    """Read the card of a model.

    Args:
        model (`str`): A folder or Hub id.

    Raises:
        ValueError: If the model has no card, or the card cannot be read.
    """
    folder = Path(model)
    try:
        return ModelCard.load(folder / "README.md" if folder.is_dir() else model)
    except (OSError, ValueError, yaml.YAMLError, HFValidationError, HTTPError) as error:
        raise ValueError(f"The model card of `model` {model!r} cannot be read: {error}") from error


def update_card(
    card: ModelCard,
    figures: Mapping[str, float | None],
    *,
    model: str,
    dataset_name: str | None,
    split: str | None,
    settings: Mapping[str, Any],
) -> None:
    """Put figures into a card's metadata, and save it where it is: in the folder, or on the Hub.

    Figures of the same data and split are replaced, others stay.

    Args:
        card (`ModelCard`): See [`load_card`].
        figures (`Mapping[str, float | None]`): By key; left out are those that are `None`, and those that no card
            gives.
        model (`str`): A folder or Hub id.
        dataset_name (`str`, *optional*): A Hub id or path; of a path, the card names only the last part. `None` for
            folders of images and masks, whose names say nothing.
        split (`str`, *optional*): The data set's split.
        settings (`Mapping[str, Any]`): Other settings that the figures depend on; paths are shortened in the same way.
    """
    kind = "folders" if dataset_name is None else without_folder(dataset_name)
    place: dict[str, Any] = {
        "task_type": "image-to-image",
        "dataset_type": kind,
        "dataset_name": "local folders" if dataset_name is None else kind,
        "dataset_split": split,
    }
    added = [
        EvalResult(
            **place,
            metric_type=key,
            metric_name=_name(key),
            metric_value=value,
            metric_args={name: without_folder(value) for name, value in settings.items()},
        )
        for key, value in figures.items()
        if value is not None and (key not in FIGURES or FIGURES[key].in_card)
    ]
    data: Any = card.data
    kept = [
        result for result in data.eval_results or [] if (result.dataset_type, result.dataset_split) != (kind, split)
    ]
    data.eval_results = [*kept, *added]
    folder = Path(model)
    if data.model_name is None:
        data.model_name = (folder.resolve() if folder.is_dir() else Path(model)).name
    if folder.is_dir():
        with atomic(folder / "README.md") as unfinished:
            card.save(unfinished)
    else:
        card.push_to_hub(model, commit_message="Evaluation results")


def _name(key: str) -> str:
    """Return the name of a figure on the card."""
    figure = FIGURES.get(key)
    return key.replace("_", " ") if figure is None or figure.card_name is None else figure.card_name
