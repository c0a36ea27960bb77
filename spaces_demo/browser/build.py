"""Build the static page: `python spaces_demo/browser/build.py --output_dir site`.

The page needs no program on a server: any host of static files will do, such as a static Space of the Hub (`--repo_id
USER/SPACE`). All files but index.html and the service worker lie in a folder named after the version, so that no visit
mixes two versions. The model runs in the visitor's browser, by onnxruntime-web, which npm downloads (or `--runtime
FOLDER` provides).
"""

import argparse
import hashlib
import html
import json
import math
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from diffusers.utils.logging import disable_progress_bar
from huggingface_hub import HfApi

from spade_hf import BUNDLED_MODEL, SPADEPipeline
from spade_hf.demo.formats import NEAR_RATIO
from spade_hf.demo.handlers import FIRST_STRENGTH, MASK_FILES, SCENE_CANVASES, STYLE_FILES, Handlers
from spade_hf.demo.keeping import canvas_key
from spade_hf.demo.mask_canvas import blank_channel, canvas_props
from spade_hf.demo.page_files import PAGE
from spade_hf.demo.painter import LAYOUT_STEPS, OUTLINE_STEPS, Painter
from spade_hf.demo.thumbnails import thumbnail_items
from spade_hf.demo.uploads import MAX_PIXELS, NEAR_COLOR, PHOTO_SHARE, PHOTO_SIDE
from spade_hf.export import export_generator, export_outline_model, export_segmenter, export_style_encoder, save_onnx
from spade_hf.export.models import Dtype, Modulation
from spade_hf.pipelines.segmentation import LOW_CONFIDENCE, read_size_of


HERE = Path(__file__).parent
RUNTIME = "onnxruntime-web@1.30.0"
# name in the package -> name on the page: many hosts send .mjs with a type that browsers do not run
RUNTIME_FILES = {
    "ort.wasm.min.mjs": "ort.wasm.min.js",
    "ort-wasm-simd-threaded.mjs": "ort-wasm-simd-threaded.js",
    "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
}
PARTS = (
    *("page", "pictures", "photo", "masks", "scene", "random", "model"),
    *("painter", "neighborhoods", "outlines", "segmentation"),
)
PAGE_FILES = ("page.css", "start.js", *(f"{part}.js" for part in PARTS))
SEGMENTER = "segmenter.onnx"  # loaded for the first photograph, and kept for offline use from then on
SHARED_FILES = (
    "label_grid.js",
    "thumbnails.js",
    "thumbnails.css",
    *(f"{part}.{kind}" for part in ("mask_canvas", "picture_views") for kind in ("js", "css", "html")),
)
CARD = """---
title: Paint with labels, in your browser
emoji: 🏞️
colorFrom: green
colorTo: blue
sdk: static
app_file: index.html
pinned: false
license: apache-2.0
short_description: Paint sky, mountains, water; offline, on your device
---

A SPADE generator (Park et al., CVPR 2019) that paints label maps in the visitor's own browser: no server, no upload,
and offline. Built by `spaces_demo/browser/build.py` of spade_hf.
"""


def build(
    pipeline: SPADEPipeline,
    folder: Path,
    runtime: Path,
    modulation: Modulation = "sparse",
    dtype: Dtype = "int8",
) -> None:
    """Write the page.

    Args:
        pipeline (`SPADEPipeline`): Any model; sparse modulation needs SPADE layers.
        folder (`Path`): Created if it does not exist; the version of an earlier build is replaced.
        runtime (`Path`): Folder of onnxruntime-web's files.
        modulation (`str`, defaults to "sparse"): Of the generator's file; see `spade_hf.export.export_generator`.
        dtype (`str`, defaults to "int8"): Of the weights in the generator's file; those of the others are float16.
    """
    with tempfile.TemporaryDirectory() as temporary:
        parts = Path(temporary)
        write_parts(pipeline, parts, runtime, modulation, dtype)
        publish(parts, folder)


def write_parts(pipeline: SPADEPipeline, folder: Path, runtime: Path, modulation: Modulation, dtype: Dtype) -> None:
    """Write the files of a version; the arguments are those of `build`."""
    (folder / "runtime").mkdir()
    for name, served in RUNTIME_FILES.items():
        shutil.copy(runtime / name, folder / "runtime" / served)
    copy_page(folder)
    generator = export_generator(pipeline, dtype=dtype, modulation=modulation)
    reading = None
    if modulation == "sparse":
        metadata = {entry.key: entry.value for entry in generator.metadata_props}
        reading = {name: json.loads(metadata[name]) for name in ("num_codes", "kernel_size", "divisors")}
    files = {"generator": folder / "generator.onnx"}
    save_onnx(generator, files["generator"])
    if reads_pictures(pipeline):
        files["encoder"] = folder / "encoder.onnx"
        save_onnx(export_style_encoder(pipeline, dtype="float16"), files["encoder"])
    if pipeline.outline_model is not None:
        files["outlines"] = folder / "outlines.onnx"
        save_onnx(export_outline_model(pipeline, dtype="float16"), files["outlines"])
    if pipeline.segmenter is not None:
        files["segmenter"] = folder / SEGMENTER
        save_onnx(export_segmenter(pipeline, dtype="float16"), files["segmenter"])
    (folder / "config.json").write_text(json.dumps(page_config(pipeline, files, reading)), encoding="utf-8")


def reads_pictures(pipeline: SPADEPipeline) -> bool:
    """Return whether the page can take styles from pictures, which it reads as RGB of 8 bits."""
    processor = pipeline.image_processor
    is_usual = processor.config.image_channels == 3 and processor.value_range is None
    return pipeline.style_encoder is not None and is_usual


def copy_page(folder: Path) -> None:
    """Copy the scripts, styles and elements, as they are: the page's own, and those that the Gradio page has too."""
    for source in (*(HERE / name for name in PAGE_FILES), *(PAGE / name for name in SHARED_FILES)):
        shutil.copy(source, folder)


def page_config(pipeline: SPADEPipeline, files: dict[str, Path], reading: dict[str, Any] | None) -> dict[str, Any]:
    """Build the page's configuration for the model.

    Args:
        pipeline (`SPADEPipeline`): The model.
        files (`dict[str, Path]`): Its ONNX files; without "segmenter", the page takes no photographs.
        reading (`dict`, *optional*): How the page finds neighborhoods, for sparse modulation.
    """
    painter = Painter(pipeline)
    on = Handlers(painter)
    parts = {name: {"url": file.name, "bytes": file.stat().st_size} for name, file in files.items()}
    segmenter = parts.pop("segmenter", None)
    label_set, generator = painter.label_set, pipeline.generator
    encoder_side = pipeline.style_encoder.config.image_size if reads_pictures(pipeline) else None
    storage = canvas_key(painter.fingerprint)
    canvas = canvas_props(
        painter.canvas_labels,
        painter.formats,
        label=on.first_label(),
        storage=storage,
        unpainted=painter.unpainted,
    )
    return {
        "labels": canvas["labels"],
        "label_ids": painter.canvas_labels.ids,
        "label_names": list(painter.canvas_labels.names),  # in scenes, where what is not painted is unknown
        "num_labels": len(label_set.ids),  # that the generator has: the canvas can have one more
        "stand_in": blank_channel(label_set),  # for what is not painted, until the outline model has filled it
        "canvas": canvas,
        "formats": [{"size": one.size, "canvas_size": one.canvas_size} for one in painter.formats],
        "latent_dim": painter.latent_dim,
        "has_edges": generator.config.use_instance_edges,
        "encoder_size": encoder_side and [encoder_side, encoder_side],
        "reading": reading,
        "outlines": outlines_config(painter),
        "segmenter": segmenter and segmenter_config(painter, segmenter),
        "storage": storage,
        "rules": {
            "near_ratio": NEAR_RATIO,
            "near_color": NEAR_COLOR,
            "photo_share": PHOTO_SHARE,
            "max_pixels": MAX_PIXELS,
            "photo_side": PHOTO_SIDE,
            "unsure": LOW_CONFIDENCE,
            "max_scene_pixels": SCENE_CANVASES * math.prod(painter.formats[-1].canvas_size),
        },
        "invitation": html.unescape(on.invitation()),  # the page shows it as text
        "first_mask": on.first_canvas(),
        "first_styles": on.first_styles(),
        "masks": [
            {**item, "mask": on.example_mask(number)}
            for number, item in enumerate(thumbnail_items(MASK_FILES) if on.has_examples else ())
        ],
        "styles": [
            {**item, "latents": on.example_style(number).latents[0].tolist()}
            for number, item in enumerate(thumbnail_items(STYLE_FILES) if on.has_example_styles else ())
        ],
        "files": parts,
    }


def outlines_config(painter: Painter) -> dict[str, Any] | None:
    """Build what the page needs for outlines: each channel's label, noise levels, steps, and the strength at first."""
    if not painter.has_outlines:
        return None
    config = painter.pipeline.outline_model.config
    return {
        "classes": painter.label_set.class_channels.tolist(),
        **{name: config[name] for name in ("min_log_snr", "max_log_snr")},
        "reduction": painter.pipeline.generator.config.get("head_upsampling", 1),
        "steps": OUTLINE_STEPS,
        "layout_steps": LAYOUT_STEPS,
        "first_strength": FIRST_STRENGTH,
    }


def segmenter_config(painter: Painter, file: dict[str, Any]) -> dict[str, Any]:
    """Build what the page needs for photographs: file, each class' channel, and the size of each format."""
    image_size = painter.pipeline.segmenter.config.image_size
    sizes = [read_size_of(one.canvas_size, image_size) for one in painter.formats]
    return {**file, "classes": painter.label_set.class_channels.tolist(), "sizes": sizes}


def publish(parts: Path, folder: Path) -> None:
    """Write the page of a version.

    Args:
        parts (`Path`): Folder with the files from `write_parts`.
        folder (`Path`): They are copied into its folder named after the version; those of other versions are deleted.
    """
    texts = {name: (HERE / name).read_text(encoding="utf-8") for name in ("index.html", "service_worker.js")}
    files = sorted(path for path in parts.rglob("*") if path.is_file())
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() + path.relative_to(parts).as_posix() for path in files]
    version = hashlib.sha256("\n".join([*texts.values(), *hashes]).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if re.fullmatch(r"[0-9a-f]{16}", old.name) and (old / "config.json").is_file():
            shutil.rmtree(old)
    shutil.copytree(parts, folder / version)
    kept = [path for path in files if path.name != SEGMENTER]
    names = ["./", "index.html", *(f"{version}/{path.relative_to(parts).as_posix()}" for path in kept)]
    page = texts["index.html"].replace('"version/', f'"{version}/')
    (folder / "index.html").write_text(page, encoding="utf-8")
    head = f"const VERSION = {json.dumps(version)};\nconst FILES = {json.dumps(names)};\n"
    (folder / "service_worker.js").write_text(head + texts["service_worker.js"], encoding="utf-8")
    (folder / "README.md").write_text(CARD, encoding="utf-8")


def fetch_runtime(folder: Path) -> Path:
    """Download onnxruntime-web from npm; return the folder of its files."""
    try:
        command = ["npm", "pack", "--silent", RUNTIME]
        packed = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        raise ValueError(
            f"{RUNTIME} cannot be fetched by npm: {reason}. Install Node.js, or unpack the package elsewhere and give "
            "its folder dist with --runtime."
        ) from error
    with tarfile.open(folder / packed.stdout.strip()) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package" / "dist"


def main(arguments: list[str] | None = None) -> None:
    """Build, and upload if `--repo_id` is given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=BUNDLED_MODEL, help="folder or Hub id; default: the bundled landscapes")
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to write")
    parser.add_argument("--runtime", type=Path, help=f"folder of {RUNTIME}'s files; default: fetched from npm")
    parser.add_argument(
        "--modulation",
        choices=("sparse", "dense"),
        default="sparse",
        help="sparse (default) is faster",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16", "int8"),
        default="int8",
        help="of the generator's weights; int8 (default) makes a smaller download, and pictures that differ a little",
    )
    parser.add_argument("--repo_id", help="USER/SPACE: also upload it to the Hub as a static Space")
    args = parser.parse_args(arguments)
    disable_progress_bar()
    with tempfile.TemporaryDirectory() as temporary:
        runtime = args.runtime or fetch_runtime(Path(temporary))
        if missing := [name for name in RUNTIME_FILES if not (runtime / name).is_file()]:
            raise ValueError(f"--runtime {runtime} lacks {missing[0]}. Give the folder dist of {RUNTIME}.")
        build(SPADEPipeline.from_pretrained(args.model), args.output_dir, runtime, args.modulation, args.dtype)
    if args.repo_id is None:
        print(args.output_dir)
        return
    api = HfApi()
    url = api.create_repo(args.repo_id, repo_type="space", space_sdk="static", exist_ok=True)
    api.upload_folder(
        repo_id=args.repo_id, repo_type="space", folder_path=args.output_dir, commit_message="Static page",
        delete_patterns=["[0-9a-f]" * 16 + "/*"],  # older versions
    )  # fmt: skip
    print(url)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
