# /// script
# requires-python = ">=3.10,<3.15"
# # All but this library, whose name on PyPI is not ours: uv run --with-editable . examples/train_outlines.py in a
# # clone, --with its wheel elsewhere (docs/rented_gpu.md)
# dependencies = [
#     "torch>=2.8",
#     "diffusers>=0.41",
#     "huggingface-hub>=1.32",
#     "safetensors>=0.8",
#     "numpy>=1.26",
#     "pillow>=10.3",
#     "tqdm>=4.66",
#     "accelerate>=1.10",
#     "datasets>=4.0",
#     "pyarrow>=15.0",
#     "PyYAML>=6.0",
#     "scikit-image>=0.22",
#     "scipy>=1.11",
# ]
#
# [tool.hf-jobs]  # what `hf jobs uv run` rents if it is given no other flags: about a dollar
# flavor = "l4x1"
# timeout = "75m"
# secrets = ["HF_TOKEN"]
# ///
"""Train an outline model, which gives painted label maps natural outlines, on any label maps.

    accelerate launch examples/train_outlines.py --dataset_name FOLDER_OR_HUB_ID --output_dir my-outlines

The run is src/spade_hf_cli/train_outlines/run.py; `spade-hf train-outlines` is the same program. See docs/outlines.md,
and `--help` for all options.
"""

import sys


try:
    from spade_hf_cli.program import run_program
except ModuleNotFoundError:
    sys.exit('error: spade_hf is not installed: pip install ".[train]" in a clone')

if __name__ == "__main__":
    sys.exit(run_program("train-outlines"))
