"""Protects a run in the output folder from being overwritten by accident."""

import shutil
from pathlib import Path

from .checkpoints import PREFIX
from .validation import NAMES_FILE


# Files and folders that a run writes; those of trackers are kept.
PIPELINE_INDEX = "model_index.json"
WRITTEN = (PIPELINE_INDEX, "README.md", "generator", "style_encoder", "image_processor", "samples", NAMES_FILE)
WRITTEN += (f"{PREFIX}*",)


def refuse_existing_run(output_dir: Path) -> None:
    """Check that a new run can start in a folder.

    Raises:
        ValueError: If the folder holds checkpoints or a pipeline.
    """
    if (output_dir / PIPELINE_INDEX).exists() or any(output_dir.glob(f"{PREFIX}*")):
        raise ValueError(
            f"`output_dir` {output_dir} holds a run: continue it with `resume_from_checkpoint=latest`, delete it "
            "with `overwrite_output_dir`, or give another folder."
        )


def delete_existing_run(output_dir: Path) -> None:
    """Delete the checkpoints, samples and pipeline in a folder, so that a new run can start there."""
    for pattern in WRITTEN:
        for path in output_dir.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
