"""The output folder: a run in it is not written over by accident."""

import shutil
from pathlib import Path

from .checkpoints import PREFIX


# A run's own files and folders; those of trackers stay.
PIPELINE_INDEX = "model_index.json"
WRITTEN = (PIPELINE_INDEX, "README.md", "generator", "style_encoder", "image_processor", "samples", f"{PREFIX}*")


def refuse_existing_run(output_dir: Path) -> None:
    """Check that a new run can begin in a folder.

    Raises:
        ValueError: If the folder holds checkpoints or a pipeline.
    """
    if (output_dir / PIPELINE_INDEX).exists() or any(output_dir.glob(f"{PREFIX}*")):
        raise ValueError(
            f"`output_dir` {output_dir} holds a run: go on with it by `resume_from_checkpoint=latest`, delete it by "
            "`overwrite_output_dir`, or name another folder."
        )


def delete_existing_run(output_dir: Path) -> None:
    """Delete the checkpoints, samples and pipeline in a folder, so that a new run can begin there."""
    for pattern in WRITTEN:
        for path in output_dir.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
