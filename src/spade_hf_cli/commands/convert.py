"""`spade-hf convert`: convert public weights to a pipeline."""

import argparse
from pathlib import Path
from typing import Any

from spade_hf.conversion import (
    PRESETS,
    convert_nvlabs_checkpoint,
    convert_nvlabs_discriminator,
)
from spade_hf.hub.model_card import write_converted_model_card

from ..label_sets import read_label_set
from ..outputs import check_folder, writing_folder


# Options that a preset sets. (The parser itself refuses --label-set and --num-labels with --preset.)
SAID_BY_PRESET = ("use_unknown_label", "use_instance_edges", "image_size", "num_upsampling_layers", "norm_type")


def run(args: argparse.Namespace) -> None:
    """Convert weights, save the pipeline, its model card and optionally a discriminator, and print the folder."""
    inputs = (args.generator, args.style_encoder_path, args.discriminator_path, args.label_set)
    check_folder(args.output, option="the output", inputs=inputs, overwrite=args.overwrite)
    labels, options = _model_options(args)
    pipeline = convert_nvlabs_checkpoint(
        args.generator, **labels, **options, style_encoder_path=args.style_encoder_path
    )
    discriminator = None  # all is read before anything is written
    if args.discriminator_path is not None:
        discriminator = convert_nvlabs_discriminator(args.discriminator_path, **labels)
    with writing_folder(args.output) as folder:
        pipeline.save_pretrained(folder)
        if discriminator is not None:
            discriminator.save_pretrained(folder / "discriminator")
        write_converted_model_card(pipeline, folder, source=Path(args.generator).name)
    print(args.output)


def _model_options(args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the model's label options, which a discriminator shares, and its other options."""
    if args.preset is not None:
        if given := [name for name in SAID_BY_PRESET if getattr(args, name) is not None]:
            raise ValueError(
                f"`{given[0]}` was given, but --preset {args.preset} already sets it. Leave it out; for weights that "
                "differ from the public ones, leave out --preset and give all options."
            )
        options: dict[str, Any] = dict(PRESETS[args.preset])
        return {name: options.pop(name) for name in ("label_set", "use_instance_edges")}, options
    if args.image_size is None:
        raise ValueError("--image-size is missing: give the side, or height and width, that the model was trained at.")
    if len(args.image_size) > 2:
        raise ValueError(f"--image-size has {len(args.image_size)} numbers; give one side, or height and width.")
    labels = {
        "label_set": None if args.label_set is None else read_label_set(args.label_set),
        "num_labels": args.num_labels,
        "use_unknown_label": args.use_unknown_label,
        "use_instance_edges": bool(args.use_instance_edges),
    }
    return labels, {
        "image_size": (args.image_size[0], args.image_size[-1]),
        "num_upsampling_layers": args.num_upsampling_layers,
        "norm_type": args.norm_type or "sync_batch",
    }
