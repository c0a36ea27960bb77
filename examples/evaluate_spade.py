r"""Score a model: does it paint what the mask says, and do its images look like the real ones?

    python examples/evaluate_spade.py --model my-model --dataset_name FOLDER_OR_HUB_ID --split validation \
        --output_dir evaluation --json evaluation.json

    python examples/evaluate_spade.py --real --reduce 192 --dataset_name ...    # figures for reference

The run is src/spade_hf_cli/evaluate/run.py; `spade-hf evaluate` is the same program. See docs/evaluation.md, and
`--help` for all options.
"""

import sys


try:
    from spade_hf_cli.program import run_program
except ModuleNotFoundError:
    sys.exit('error: spade_hf is not installed: pip install ".[eval]" in a clone')

if __name__ == "__main__":
    sys.exit(run_program("evaluate"))
