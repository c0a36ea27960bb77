"""`spade-hf export`: write a model as an ONNX file, checked against torch, or add the code that runs it."""

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path

from diffusers.utils.logging import disable_progress_bar

from spade_hf.models.locations import INDEX
from spade_hf.pipelines import SPADEPipeline
from spade_hf.project import install_command

from ..models import find_model
from ..outputs import check_file, check_folder, writing_folder


SUFFIXES = (".onnx",)


def run(args: argparse.Namespace) -> None:
    """Export the networks that the options name; print each file and its difference from torch."""
    files = check_files(args)
    disable_progress_bar()
    if args.standalone is not None:
        add_code(args)
    if files:
        export_networks(args)


def add_code(args: argparse.Namespace) -> None:
    """Add the code to the model in a folder, which is saved there first if it has none; print how to load it."""
    from spade_hf.hub.standalone import write_standalone

    if (args.standalone / INDEX).is_file():
        write_standalone(args.standalone, repo_id=args.repo_id)
    else:
        pipeline = SPADEPipeline.from_pretrained(find_model(args.model))
        with writing_folder(args.standalone) as folder:
            pipeline.save_pretrained(folder)
            write_standalone(folder, repo_id=args.repo_id)
    name = args.repo_id or args.standalone
    print(f'{args.standalone}: DiffusionPipeline.from_pretrained("{name}", trust_remote_code=True)')


def export_networks(args: argparse.Namespace) -> None:
    """Export the networks that the options name as ONNX files."""
    try:
        from spade_hf import export
    except ModuleNotFoundError as error:
        remedy = install_command("export")
        raise ImportError(f"The export needs the package {error.name}, which is not installed: {remedy}") from error
    pipeline = SPADEPipeline.from_pretrained(find_model(args.model))
    if args.style_encoder is not None and pipeline.style_encoder is None:
        raise ValueError("--style-encoder was given, but this model has no style encoder. Leave it out.")
    if args.outline is not None and pipeline.outline_model is None:
        raise ValueError("--outline was given, but this model has no outline model. Leave it out.")
    if args.segmenter is not None and pipeline.segmenter is None:
        raise ValueError("--segmenter was given, but this model has no segmenter. Leave it out.")

    if args.output is not None:
        size = None if args.size is None else (args.size[0], args.size[1])
        height, width = size or pipeline.generator.native_size
        read = pipeline.image_processor.preprocess_mask
        label_maps = [read(mask, height=height, width=width) for mask in args.mask]
        if not label_maps:
            divisor = pipeline.generator.size_divisor
            sizes = [size] if size else [(height, width), (2 * divisor, 3 * divisor)]
            labels = pipeline.image_processor.label_set_or_none
            label_maps = export.random_label_maps(1 if labels is None else labels.num_channels, sizes)
        model = export.export_generator(pipeline, size=size, dtype=args.dtype, modulation=args.modulation or "dense")
        difference = export.generator_difference(model, pipeline, label_maps, dtype=args.dtype)
        finish(args.output, difference, export.TOLERANCE, lambda: export.save_onnx(model, args.output))
    if args.style_encoder is not None:
        encoder = export.export_style_encoder(pipeline, dtype=args.dtype)
        difference = export.style_encoder_difference(encoder, pipeline, dtype=args.dtype)
        finish(args.style_encoder, difference, export.TOLERANCE, lambda: export.save_onnx(encoder, args.style_encoder))
    if args.outline is not None:
        outlines = export.export_outline_model(pipeline, dtype=args.dtype)
        difference = export.outline_model_difference(outlines, pipeline, dtype=args.dtype)
        finish(args.outline, difference, export.TOLERANCE, lambda: export.save_onnx(outlines, args.outline))
    if args.segmenter is not None:
        segmenter = export.export_segmenter(pipeline, dtype=args.dtype)
        difference = export.segmenter_difference(segmenter, pipeline, dtype=args.dtype)
        finish(args.segmenter, difference, export.TOLERANCE, lambda: export.save_onnx(segmenter, args.segmenter))


def check_files(args: argparse.Namespace) -> bool:
    """Return whether there are ONNX files to write; raise a ValueError if something cannot be written."""
    given = {
        "--output": args.output,
        "--style-encoder": args.style_encoder,
        "--outline": args.outline,
        "--segmenter": args.segmenter,
    }
    files = {option: file for option, file in given.items() if file is not None}
    if args.standalone is not None:
        check_standalone(args)
    elif not files:
        raise ValueError(f"There is nothing to write. Give one or more of {', '.join([*given, '--standalone'])}.")
    for option, file in files.items():
        check_file(file, option=option, suffixes=SUFFIXES, inputs=args.mask, overwrite=args.overwrite)
    for (one, file), (other, second) in itertools.combinations(files.items(), 2):
        if file.absolute() == second.absolute():
            raise ValueError(f"{one} and {other} are both {file}. Give two names.")
    return bool(files)


def check_standalone(args: argparse.Namespace) -> None:
    """Raise a ValueError unless code can be added to a model in a folder, or a model and its code saved there."""
    if not (args.standalone / INDEX).is_file():
        check_folder(args.standalone, option="--standalone", inputs=(args.model,), overwrite=args.overwrite)
    elif args.model is not None:
        raise ValueError(
            f"--standalone is {args.standalone}, which holds a model, and --model is {args.model}. Leave --model out "
            "to add the code to the one in the folder, or give another folder."
        )


def finish(file: Path, difference: float, tolerance: float, save: Callable[[], None]) -> None:
    """Save a model if it agrees with torch, and print the difference.

    Raises:
        RuntimeError: If it does not agree; nothing is saved.
    """
    if not difference <= tolerance:
        raise RuntimeError(
            f"{file} was not written: in onnxruntime its outputs differ from torch's by up to {difference:.2g}, and "
            f"{tolerance:.0e} is allowed. Try other versions of torch, onnxscript and onnxruntime."
        )
    save()
    megabytes = file.stat().st_size / 1e6
    print(f"{file}: {megabytes:.1f} MB, outputs differ from torch's by {difference:.1e} at most")
