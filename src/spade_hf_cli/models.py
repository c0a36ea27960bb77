"""Inputs of several commands: models, files, devices."""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from diffusers.utils.logging import disable_progress_bar
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HFValidationError

from spade_hf import BUNDLED_MODEL, SPADEImageProcessor, SPADEOutlineModel, SPADESegmenter
from spade_hf.images.inputs import check_not_url, open_image
from spade_hf.images.masks import ids_of_red
from spade_hf.images.photo_files import Photo, fits_pillow, suffixes_of
from spade_hf.models.locations import check_hub, check_location, check_pipeline_location
from spade_hf.pipelines import SPADEPipeline

from .outputs import PHOTO_SUFFIXES


def find_model(name: str | None, *, option: str = "--model") -> str:
    """Return the folder or Hub id of a saved pipeline, checked before anything large is loaded.

    Args:
        name (`str`, *optional*): A folder or Hub id; `None` for the bundled model.
        option (`str`, defaults to `"--model"`): Where it was given, for messages.

    Raises:
        ValueError: If there is no pipeline; the message lists folders with similar names.
    """
    if name is None:
        return BUNDLED_MODEL
    check_pipeline_location(name, given_as=option)
    if not Path(name).is_dir():
        check_hub(name, given_as=option)
    return name


def load_pipeline(args: argparse.Namespace) -> SPADEPipeline:
    """Load the pipeline `args.model` on `args.device`, by default a GPU if there is one, in `args.dtype`."""
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    check_device(device)
    disable_progress_bar()  # diffusers' own, for loading three parts
    pipeline = SPADEPipeline.from_pretrained(find_model(args.model), dtype=getattr(torch, args.dtype)).to(device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def photo_suffixes(processor: SPADEImageProcessor) -> tuple[str, ...]:
    """Return the suffixes of files that can hold a model's images, the usual one first."""
    count, dtype = processor.config.image_channels, processor.stored_type
    return PHOTO_SUFFIXES if dtype == "uint8" and count in (1, 3) else suffixes_of(count, dtype)


def as_ids(mask: Any, *, ids_in_red: bool) -> Any:
    """Return a mask, an image or its path, as it is, or with `ids_in_red` the ids in its red channel."""
    if mask is None or not ids_in_red:
        return mask
    name = f"`mask` ({mask})" if isinstance(mask, str) else "`mask`"
    return ids_of_red(open_image(mask, argument=name) if isinstance(mask, str) else mask, name)


def check_condition(processor: SPADEImageProcessor, args: argparse.Namespace) -> None:
    """Raise a ValueError unless there are conditions for a model that reads them, and none for another one."""
    count = processor.config.condition_channels
    if (given := args.condition or args.condition_column) and count == 0:
        option = "condition" if given == args.condition else "condition_column"
        raise ValueError(f"`{option}` was given, but this model reads masks alone. Leave it out.")
    if count > 0 and not given:
        option = "condition" if args.dataset is None else "condition_column"
        raise ValueError(
            f"`{option}` is missing: this model reads conditions of {count} channels. Give what it was trained with, "
            "such as depth, edges or pictures."
        )


def paint_photos(pipeline: SPADEPipeline, mask: Any, **options: Any) -> list[Photo]:
    """Call a pipeline for images to save: of PIL, or numbers `(H, W, I)` where PIL has no mode for them."""
    processor = pipeline.image_processor
    call: Any = pipeline
    if fits_pillow(processor.config.image_channels, processor.stored_type):
        return call(mask, **options).images
    images = call(mask, output_type="pt", **options).images  # in [0, 1]
    return list(processor.to_stored(images * 2 - 1))


OUTLINE_STEPS = 4  # evaluations of an outline model, unless others are asked for


def add_outline_model(pipeline: SPADEPipeline, name: str | None) -> None:
    """Load another outline model into a pipeline, if one is named."""
    if name is None:
        return
    model: Any = load_outline_model(name, given_as="--outline-model", dtype=pipeline.generator.dtype)
    pipeline.register_modules(outline_model=model.to(pipeline.device).eval())


def load_outline_model(name: str, *, given_as: str, dtype: torch.dtype) -> SPADEOutlineModel:
    """Load an outline model from a folder, also a whole pipeline's, or from the Hub."""
    check_location(name, given_as=given_as)
    subfolder = "outline_model" if (Path(name) / "model_index.json").is_file() else None
    return SPADEOutlineModel.from_pretrained(name, subfolder=subfolder, torch_dtype=dtype)


def is_own_segmenter(name: str) -> bool:
    """Return whether a folder or Hub repository holds a segmenter of this library, alone or in a pipeline."""
    check_location(name, given_as="--segmenter")
    for folder, file in ((Path(name), "model_index.json"), (Path(name), "config.json")):
        if (folder / file).is_file():
            return _names_class_of(folder / file)
    try:
        return _names_class_of(Path(hf_hub_download(name, "config.json")))
    except (OSError, HFValidationError):  # a pipeline has none
        return not Path(name).is_dir()


def _names_class_of(file: Path) -> bool:
    try:
        return json.loads(file.read_text(encoding="utf-8")).get("_class_name") in ("SPADEPipeline", "SPADESegmenter")
    except (ValueError, AttributeError):
        return False


def load_segmenter(name: str, *, given_as: str, dtype: torch.dtype) -> SPADESegmenter:
    """Load a segmenter of this library from a folder, also a whole pipeline's, or from the Hub."""
    check_location(name, given_as=given_as)
    subfolder = "segmenter" if (Path(name) / "model_index.json").is_file() else None
    return SPADESegmenter.from_pretrained(name, subfolder=subfolder, torch_dtype=dtype)


def check_styles(pipeline: SPADEPipeline, args: argparse.Namespace) -> None:
    """Raise a ValueError if an option about styles has no effect on this model."""
    has_styles = pipeline.generator.config.latent_dim is not None
    if args.style_image and pipeline.style_encoder is None:
        remedy = "Leave it out; --seed chooses a random style." if has_styles else "Leave it out."
        raise ValueError(f"--style was given, but this model has no style encoder. {remedy}")
    if args.seed is not None and not has_styles and args.outline_strength == 0:
        raise ValueError(f"--seed is {args.seed}, but this model has no styles. Leave it out.")


def check_inputs(**files: str | None) -> None:
    """Raise a ValueError if one of these files, by the library's parameter, is not there or is a URL."""
    for parameter, name in files.items():
        if name is None:
            continue
        check_not_url(name, argument=f"`{parameter}` ({name})")
        if not Path(name).exists():
            raise ValueError(f"`{parameter}` is {name}, which does not exist.")


def check_device(name: str) -> None:
    """Raise a ValueError if torch cannot compute on this device."""
    try:
        torch.zeros(1, device=name).tolist()
    except (RuntimeError, AssertionError, ImportError) as error:  # AssertionError: a CPU build asked for CUDA
        reason = str(error).splitlines()[0].rstrip(".")
        raise ValueError(
            f"--device is {name}, which torch cannot use here: {reason}. Leave it out, or give cpu."
        ) from error
