"""Compare dense and sparse modulation in onnxruntime on the same masks, in one interleaved run.

python research/benchmark_onnx.py --masks examples/assets/*_mask.png --threads 1
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from diffusers.utils.logging import disable_progress_bar

from spade_hf import BUNDLED_MODEL, SPADEPipeline
from spade_hf.export import export_generator, graph_inputs, save_onnx


def main(args: argparse.Namespace) -> None:
    """Print one line per mask: median milliseconds, and how many of them the search for the neighborhoods takes."""
    disable_progress_bar()
    pipeline = SPADEPipeline.from_pretrained(args.model)
    height, width = pipeline.generator.native_size
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    sessions = {}
    with tempfile.TemporaryDirectory() as folder:
        for modulation in ("dense", "sparse"):
            file = Path(folder, f"{modulation}.onnx")
            save_onnx(export_generator(pipeline, modulation=modulation), file)
            sessions[modulation] = onnxruntime.InferenceSession(file, options)
    latents = None
    if pipeline.generator.config.latent_dim is not None:
        latents = torch.randn(1, pipeline.generator.config.latent_dim, generator=torch.Generator().manual_seed(0))
    print(
        f"{height}x{width}, {args.threads} threads, onnxruntime {onnxruntime.__version__}, medians of {args.repeats}"
    )
    print("| mask | dense, ms | sparse, ms | of which the search | dense / sparse | largest difference |")
    print("|---|---|---|---|---|---|")
    for file in args.masks:
        label_map = pipeline.image_processor.preprocess_mask(str(file), height=height, width=width)
        seconds = {"dense": [], "sparse": [], "search": []}
        for _ in range(args.repeats + 1):
            images = {}
            for modulation, session in sessions.items():
                started = time.perf_counter()
                inputs = graph_inputs(session, pipeline.image_processor.label_set, label_map, latents)
                found = time.perf_counter()
                images[modulation] = session.run(None, inputs)[0]
                seconds[modulation].append(time.perf_counter() - started)
            seconds["search"].append(found - started)  # of sparse, which comes last
        dense, sparse, search = (1000 * statistics.median(times[1:]) for times in seconds.values())
        difference = np.abs(images["dense"] - images["sparse"]).max()
        print(f"| {file.name} | {dense:.0f} | {sparse:.0f} | {search:.0f} | {dense / sparse:.2f} | {difference:.1e} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default=BUNDLED_MODEL, help="folder or Hub id of a model without instance edges")
    parser.add_argument("--masks", type=Path, nargs="+", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    main(parser.parse_args())
