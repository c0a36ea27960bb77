r"""Paint each mask of a data set in several styles, and write the images as a data set.

    python examples/synthesize_dataset.py --model my-model --dataset_name FOLDER_OR_HUB_ID --images_per_mask 4 \
        --output_dir synthetic

    accelerate launch examples/synthesize_dataset.py ...    # the same rows, from several processes or machines

The run is src/spade_hf_cli/synthesize/run.py; `spade-hf synthesize` is the same program. See docs/synthesis.md, and
`--help` for all options.
"""

import sys


try:
    from spade_hf_cli.program import run_program
except ModuleNotFoundError:
    sys.exit('error: spade_hf is not installed: pip install ".[train]" in a clone')

if __name__ == "__main__":
    sys.exit(run_program("synthesize"))
