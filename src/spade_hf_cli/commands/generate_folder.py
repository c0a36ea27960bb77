"""`spade-hf generate --output-dir`: paint many masks.

Legend: N masks, K images of each, Z latent.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from spade_hf.files import remove_leftovers
from spade_hf.images.photo_files import Photo
from spade_hf.images.processor import SPADEImageProcessor
from spade_hf.pipelines import SPADEPipeline
from spade_hf.project import install_command

from ..latents import read_latents
from ..models import (
    OUTLINE_STEPS,
    add_outline_model,
    as_ids,
    check_condition,
    check_styles,
    find_model,
    load_pipeline,
    paint_photos,
    photo_suffixes,
)
from ..options import as_typed
from ..outputs import check_folder, save_image
from .mask_sources import MaskSource, find_masks, rows_of_masks


BATCH_SIZE = 8  # masks


def run(args: argparse.Namespace) -> int:
    """Paint masks into a folder; print the path of each image, and at the end the masks that failed, and why.

    Returns:
        `int`: 1 if a mask failed, else 0.
    """
    model = SPADEImageProcessor.from_pretrained(find_model(args.model), subfolder="image_processor")
    check_condition(model, args)
    sources = _sources(args, model)
    styles = args.style_image or []
    if args.blend and len(styles) < 2:
        raise ValueError("--blend interpolates between styles: give --style two pictures or more.")
    if not args.blend and len(styles) not in (0, 1, len(sources)):
        raise ValueError(
            f"--style has {len(styles)} pictures for {len(sources)} masks: give one, one per mask, or --blend."
        )
    check_folder(args.output_dir, option="--output-dir", inputs=args.mask, overwrite=True)
    suffix = photo_suffixes(model)[0]  # before the networks are loaded
    files = {source.stem: _files(args, source, suffix) for source in sources}
    given = None if args.latents is None else read_latents(args.latents)
    if given is not None and len(given) not in (1, len(sources)):
        raise ValueError(f"--latents has {len(given)} styles for {len(sources)} masks: give one, or one per mask.")
    own = [*(source.name for source in sources), *styles, *filter(None, [args.latents])]
    _refuse_own_inputs(own, files, args.output_dir)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    remove_leftovers(args.output_dir)
    waiting = [
        number
        for number, source in enumerate(sources)
        if args.overwrite or not all(file.exists() for file in files[source.stem])
    ]
    if skipped := len(sources) - len(waiting):
        print(
            f"{skipped} of {len(sources)} masks have their pictures already; --overwrite replaces them.",
            file=sys.stderr,
        )
    if not waiting:
        return 0
    pipeline = load_pipeline(args)
    check_styles(pipeline, args)
    add_outline_model(pipeline, args.outline_model)
    if given is not None:
        pipeline.check_inputs(None, given, None, 1, args.batch_size or BATCH_SIZE, "pil")
        latents = given[:, None].expand(len(sources), -1, -1)  # (N, 1, Z)
    else:
        latents = latents_of(pipeline, len(sources), styles, args)  # (N, K, Z)
    failed: list[str] = []
    start, count = time.perf_counter(), 0
    batch_size = args.batch_size or BATCH_SIZE
    with tqdm(total=len(waiting), unit=" masks", disable=None) as bar:
        for first in range(0, len(waiting), batch_size):
            numbers = waiting[first : first + batch_size]
            for source, painted in paint(pipeline, [(sources[i], _row(latents, i)) for i in numbers], args):
                if isinstance(painted, list):
                    painted = save(painted, files[source.stem]) or painted
                if isinstance(painted, Exception):
                    reason = as_typed(" ".join(str(painted).split()), args.options)
                    failed.append(f"{source.name}: {reason}")
                else:
                    count += len(painted)
                    print(*files[source.stem], sep="\n")
                bar.update()
    seconds = time.perf_counter() - start
    print(f"{count} pictures in {seconds:.1f} s, {count / seconds:.2f} per second.", file=sys.stderr)
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    return int(bool(failed))


def latents_of(pipeline: SPADEPipeline, count: int, styles: Sequence[str], args: argparse.Namespace) -> Tensor | None:
    """Return the style of each image, `(N, K, Z)`.

    Without style images, all masks have the same K random styles from the seed, so that video frames look alike.

    Args:
        pipeline (`SPADEPipeline`): The model.
        count (`int`): N.
        styles (`Sequence[str]`): Style images: none, one, N, or with `args.blend` two or more, spread over the masks.
        args (`argparse.Namespace`): `seed`, `num_images_per_mask`, `blend`.

    Returns:
        `Tensor`: `None` for a model without styles. ValueError if the model has no style encoder, or K must be 1.
    """
    latent_dim, num_images = pipeline.generator.config.latent_dim, args.num_images_per_mask
    if styles:
        if num_images > 1:
            raise ValueError("--num-images is for random styles, but --style gives the style. Leave one of them out.")
        latents = torch.cat([pipeline.encode_style(style) for style in styles])[:, None]
        return blended(latents, count) if args.blend else latents.expand(count, -1, -1)
    if latent_dim is None:
        if num_images > 1:
            raise ValueError(f"--num-images is {num_images}, but this model has no styles: leave it out.")
        return None
    generator = torch.Generator().manual_seed(args.seed or 0)
    return torch.randn(num_images, latent_dim, generator=generator).expand(count, -1, -1)


def blended(latents: Tensor, count: int) -> Tensor:
    """Interpolate styles `(S, K, Z)` linearly over N masks: `(N, K, Z)`."""
    places = torch.linspace(0, len(latents) - 1, count, device=latents.device)
    before = places.long().clamp(max=len(latents) - 2)
    return torch.lerp(latents[before], latents[before + 1], (places - before).to(latents.dtype)[:, None, None])


def paint(
    pipeline: SPADEPipeline, batch: list[tuple[MaskSource, Tensor | None]], args: argparse.Namespace
) -> Iterator[tuple[MaskSource, list[Photo] | Exception]]:
    """Yield each mask with its images, or with its error."""
    num_images = args.num_images_per_mask
    try:
        images = _call(pipeline, batch, args)
    except (ValueError, OSError) as error:
        if len(batch) == 1:
            yield batch[0][0], error
        else:  # a broken mask, or masks of different proportions: one by one
            for one in batch:
                yield from paint(pipeline, [one], args)
        return
    for number, (source, _) in enumerate(batch):
        yield source, images[number * num_images : (number + 1) * num_images]


def save(images: list[Photo], files: list[Path]) -> OSError | None:
    """Write images, each atomically; return the error, such as a full disk's, if one cannot be written."""
    try:
        for image, file in zip(images, files, strict=True):
            save_image(image, file)
    except OSError as error:
        return error
    return None


def _call(
    pipeline: SPADEPipeline, batch: list[tuple[MaskSource, Tensor | None]], args: argparse.Namespace
) -> list[Photo]:
    sources, latents = [source for source, _ in batch], [z for _, z in batch if z is not None]
    if len(batch) > 1 and args.num_images_per_mask > 1:  # the pipeline takes several styles for a single mask
        return [image for one in batch for image in _call(pipeline, [one], args)]
    return paint_photos(
        pipeline,
        [as_ids(source.read(), ids_in_red=args.ids_in_red) for source in sources if source.read] or None,
        condition=[source.read_condition() for source in sources if source.read_condition] or None,
        instance_map=[source.read_instances() for source in sources if source.read_instances] or None,
        latents=torch.cat(latents) if latents else None,
        height=args.height,
        width=args.width,
        color_tolerance=args.color_tolerance,
        outline_strength=args.outline_strength,
        outline_steps=args.outline_steps or OUTLINE_STEPS,
        generator=_outline_seeds(args, len(sources) * args.num_images_per_mask),
        batch_size=args.batch_size or BATCH_SIZE,
    )


def _outline_seeds(args: argparse.Namespace, count: int) -> list[torch.Generator] | None:
    """Return generators of outlines, the same for all masks, so that those of video frames move together."""
    if args.outline_strength == 0:
        return None
    return [torch.Generator().manual_seed(args.seed or 0) for _ in range(count)]


def _sources(args: argparse.Namespace, model: SPADEImageProcessor) -> list[MaskSource]:
    if args.mask and not model.has_labels:
        raise ValueError("Masks were given, but this model has no labels. Give --condition alone.")
    if (args.dataset is None) == (not (args.mask or (args.condition and not model.has_labels))):
        raise ValueError("Give masks, or --dataset with --mask-column. Write masks before --style.")
    for name in ("condition", "instance_map"):
        if args.dataset is not None and getattr(args, name) is not None:
            column = name.removesuffix("_map")
            raise ValueError(f"`{name}` belongs to masks of files; --dataset has --{column}-column. Leave it out.")
    if args.dataset is not None:
        try:
            split, mask_column = args.split or "train", args.mask_column or "label"
            return rows_of_masks(
                args.dataset,
                split,
                mask_column if model.has_labels else None,
                args.instance_column,
                condition_column=args.condition_column,
                condition_channels=model.config.condition_channels,
            )
        except ModuleNotFoundError as error:
            raise ImportError(f"--dataset needs {error.name}: {install_command('train')}") from error
    return find_masks(args.mask, args.instance_map, args.condition)


def _files(args: argparse.Namespace, source: MaskSource, suffix: str) -> list[Path]:
    count = args.num_images_per_mask
    endings = [""] if count == 1 else [f"-{number}" for number in range(count)]
    return [args.output_dir / f"{source.stem}{ending}{suffix}" for ending in endings]


def _refuse_own_inputs(inputs: Sequence[str], files: Mapping[str, list[Path]], folder: Path) -> None:
    """Raise a ValueError if an image would overwrite a mask or style."""
    outputs = {file.resolve() for group in files.values() for file in group if file.exists()}
    if own := [name for name in inputs if Path(name).exists() and Path(name).resolve() in outputs]:
        raise ValueError(f"--output-dir is {folder}, where the picture would replace {own[0]}. Give another folder.")


def _row(latents: Tensor | None, number: int) -> Tensor | None:
    return None if latents is None else latents[number]
