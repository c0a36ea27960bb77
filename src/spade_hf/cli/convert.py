"""`spade-hf convert`: public weights into a pipeline."""

import argparse
from pathlib import Path

from ..conversion.nvlabs import convert_nvlabs_checkpoint, convert_nvlabs_discriminator
from ..hub.model_card import write_converted_model_card
from .inputs import read_label_set
from .outputs import check_folder


def run(args: argparse.Namespace) -> None:
    """Convert public weights, save the pipeline, its model card and perhaps a discriminator; print the folder."""
    if len(args.image_size) > 2:
        raise ValueError(f"--image-size has {len(args.image_size)} numbers; give one side, or height and width.")
    inputs = (args.generator, args.style_encoder_path, args.discriminator_path, args.label_set)
    check_folder(args.output, option="the output", inputs=inputs, overwrite=args.overwrite)
    labels = {
        "label_set": None if args.label_set is None else read_label_set(args.label_set),
        "num_labels": args.num_labels,
        "use_unknown_label": args.use_unknown_label,
        "use_instance_edges": args.use_instance_edges,
    }
    pipeline = convert_nvlabs_checkpoint(
        args.generator,
        **labels,
        style_encoder_path=args.style_encoder_path,
        image_size=(args.image_size[0], args.image_size[-1]),
        num_upsampling_layers=args.num_upsampling_layers,
        norm_type=args.norm_type,
    )
    discriminator = None  # all is read before anything is written
    if args.discriminator_path is not None:
        discriminator = convert_nvlabs_discriminator(args.discriminator_path, **labels)
    pipeline.save_pretrained(args.output)
    if discriminator is not None:
        discriminator.save_pretrained(args.output / "discriminator")
    write_converted_model_card(pipeline, args.output, source=Path(args.generator).name)
    print(args.output)
