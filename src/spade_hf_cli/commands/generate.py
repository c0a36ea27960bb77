"""`spade-hf generate`: paint one mask, or many with `--output-dir`."""

import argparse
from pathlib import Path

import torch

from ..latents import read_latents
from ..models import (
    OUTLINE_STEPS,
    add_outline_model,
    as_ids,
    check_condition,
    check_inputs,
    check_styles,
    load_pipeline,
    paint_photos,
    photo_suffixes,
)
from ..outputs import PHOTO_SUFFIXES, check_image_file, save_image
from . import generate_folder


MAX_SEED = 2**63 - 1


def run(args: argparse.Namespace) -> int:
    """Paint, and print the path of each image.

    Returns:
        `int`: 0, or 1 if one of many masks failed.
    """
    if args.style_image is not None and args.latents is not None:
        raise ValueError("--style and --latents both give the style. Leave one of them out.")
    given = "--style" if args.style_image is not None else "--latents"
    if args.seed is not None and (args.style_image or args.latents) is not None and args.outline_strength == 0:
        raise ValueError(f"--seed is for random styles, but {given} gives the style. Leave one of them out.")
    if args.latents is not None and args.num_images_per_mask > 1:
        raise ValueError("--num-images is for random styles, but --latents gives the style. Leave one of them out.")
    if args.seed is not None and not 0 <= args.seed <= MAX_SEED:
        raise ValueError(f"--seed is {args.seed}; allowed are 0..{MAX_SEED}.")
    if args.output_dir is not None:
        if args.output is not None:
            raise ValueError(
                "--output names the picture of one mask, --output-dir is for many. Leave one of them out."
            )
        return generate_folder.run(args)
    if (
        len(args.mask) > 1
        or (not args.mask and args.condition is None)
        or any(Path(name).is_dir() for name in [*args.mask, *filter(None, [args.condition])])
        or len(args.style_image or []) > 1
        or args.dataset
        or args.blend
    ):
        raise ValueError(
            "--output-dir is missing: it is needed for several masks or styles, a folder of masks, or --dataset. "
            "Write masks before --style."
        )
    paint(args)
    return 0


def paint(args: argparse.Namespace) -> None:
    """Paint a single mask."""
    mask, style = (args.mask or [None])[0], (args.style_image or [None])[0]
    check_inputs(mask=mask, style_image=style, instance_map=args.instance_map, condition=args.condition)
    inputs = (mask, style, args.latents, args.instance_map, args.condition)
    latents = None if args.latents is None else read_latents(args.latents)  # (M, Z)
    num_images = args.num_images_per_mask if latents is None else len(latents)

    def checked(output: Path, suffixes: tuple[str, ...]) -> list[Path]:
        paths = image_paths(output, num_images)
        for path in paths:
            check_image_file(path, option="--output", inputs=inputs, overwrite=args.overwrite, suffixes=suffixes)
        return paths

    if args.output is not None:  # before the model is loaded, which decides what files can hold its values
        checked(args.output, PHOTO_SUFFIXES)
    pipeline = load_pipeline(args)
    check_condition(pipeline.image_processor, args)
    suffixes = photo_suffixes(pipeline.image_processor)
    paths = checked(args.output or Path(f"output{suffixes[0]}"), suffixes)
    check_styles(pipeline, args)
    add_outline_model(pipeline, args.outline_model)
    images = paint_photos(
        pipeline,
        as_ids(mask, ids_in_red=args.ids_in_red),
        style_image=style,
        latents=latents,
        instance_map=args.instance_map,
        condition=args.condition,
        num_images_per_mask=args.num_images_per_mask,
        height=args.height,
        width=args.width,
        color_tolerance=args.color_tolerance,
        outline_strength=args.outline_strength,
        outline_steps=args.outline_steps or OUTLINE_STEPS,
        generator=torch.Generator().manual_seed(args.seed or 0),
    )
    for path, image in zip(paths, images, strict=True):
        save_image(image, path)
        print(path)


def image_paths(output: Path, count: int) -> list[Path]:
    """Return the file of each image; several get -0, -1 ... in the name."""
    return [output.with_stem(f"{output.stem}-{number}") for number in range(count)] if count > 1 else [output]
