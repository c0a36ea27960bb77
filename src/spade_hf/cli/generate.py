"""`spade-hf generate`: paint a mask."""

import argparse
from pathlib import Path
from typing import Any

import torch
from diffusers.utils.logging import disable_progress_bar

from ..pipelines import SPADEPipeline
from .inputs import check_device, find_model
from .outputs import check_picture_file


MAX_SEED = 2**63 - 1


def run(args: argparse.Namespace) -> None:
    """Paint a mask and print the path of each picture."""
    if args.seed is not None and args.style_image is not None:
        raise ValueError("--seed is of random styles, and --style gives the style. Leave one of them out.")
    if args.seed is not None and not 0 <= args.seed <= MAX_SEED:
        raise ValueError(f"--seed is {args.seed}; allowed are 0..{MAX_SEED}.")
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    check_device(device)
    paths = picture_paths(args.output, args.num_images_per_mask)
    for path in paths:
        inputs = (args.mask, args.style_image, args.instance_map)
        check_picture_file(path, option="--output", inputs=inputs, overwrite=args.overwrite)
    disable_progress_bar()  # diffusers' own, of loading three parts
    pipeline = SPADEPipeline.from_pretrained(find_model(args.model)).to(device)
    output: Any = pipeline(
        args.mask,
        style_image=args.style_image,
        instance_map=args.instance_map,
        num_images_per_mask=args.num_images_per_mask,
        height=args.height,
        width=args.width,
        color_tolerance=args.color_tolerance,
        generator=torch.Generator().manual_seed(args.seed or 0),
    )
    args.output.parent.mkdir(parents=True, exist_ok=True)
    for path, image in zip(paths, output.images, strict=True):
        image.save(path)
        print(path)


def picture_paths(output: Path, count: int) -> list[Path]:
    """The file of each picture: several get -0, -1 ... in the name."""
    return [output.with_stem(f"{output.stem}-{number}") for number in range(count)] if count > 1 else [output]
