"""Files that a run writes into its output folder, and the protection of others.

A run writes checkpoints, samples, its numbers and the names of held-out pairs while it trains, and its pipeline, model
card and pictures at the end. Trackers write theirs to a folder of their own, which is kept.
"""

import json
import re
from pathlib import Path

from diffusers.utils import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME

from .integrity import ABANDONED, LEFTOVER, PREFIX, is_own, list_checkpoints, remove
from .monitoring import LOSSES, METRICS, read_metrics
from .remote import STAGED
from .validation import NAMES_FILE


PIPELINE_INDEX, README, SAMPLES = "model_index.json", "README.md", "samples"
TRAINED = "Trained with the `spade_hf` library"  # in the card of every run, and of no converted model
NETWORK_FILES = (CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME)
PIPELINE_FILES = (
    PIPELINE_INDEX,
    *(f"{network}/{file}" for network in ("generator", "style_encoder") for file in NETWORK_FILES),
    "image_processor/preprocessor_config.json",
)
GRID, STEP_GRID = f"{SAMPLES}/final.png", f"{SAMPLES}/step-{{:07d}}.png"
MASK, PICTURE = f"{SAMPLES}/gallery-{{}}-mask.png", f"{SAMPLES}/gallery-{{}}.png"
RECORDS = (METRICS, LOSSES, NAMES_FILE)  # a run wrote all of them if the first has its form
FINAL_SAMPLES = (GRID, f"{SAMPLES}/gallery-*.png")
_SAMPLE = re.compile(r"final\.png|step-\d+\.png|gallery-\d+(-mask)?\.png")


def refuse_existing_run(output_dir: Path) -> None:
    """Check that a new run can start in a folder.

    Raises:
        ValueError: If the folder holds checkpoints or a pipeline of a run.
    """
    if holds_run(output_dir):
        raise ValueError(
            f"`output_dir` {output_dir} holds a run: continue it with `resume_from_checkpoint=latest`, delete it "
            "with `overwrite_output_dir`, or give another folder."
        )


def refuse_foreign_files(output_dir: Path) -> None:
    """Check that a run will not replace files that no run wrote.

    Raises:
        ValueError: If they would; the message names them.
    """
    foreign = [README] if (output_dir / README).exists() and not _is_card(output_dir / README) else []
    foreign += [path.name for path in output_dir.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit()
                and not is_own(path)]  # fmt: skip
    if not _has_metrics(output_dir):
        foreign += [name for name in RECORDS if (output_dir / name).exists()]
    if not holds_run(output_dir):  # a killed one can have left only samples of its steps
        paths = (path for pattern in (*PIPELINE_FILES, *FINAL_SAMPLES) for path in output_dir.glob(pattern))
        foreign += [path.relative_to(output_dir).as_posix() for path in paths]
    if foreign:
        raise ValueError(
            f"`output_dir` {output_dir} has files that no run wrote and this one would replace: {', '.join(foreign)}. "
            "Move them, or give another folder."
        )


def holds_run(output_dir: Path) -> bool:
    """Return whether a folder holds a checkpoint, or a pipeline with the card of its training."""
    try:
        class_name = json.loads((output_dir / PIPELINE_INDEX).read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, LookupError, TypeError):
        class_name = None
    is_trained = class_name == "SPADEPipeline" and (output_dir / README).exists() and _is_card(output_dir / README)
    return is_trained or bool(_checkpoints_in(output_dir))


def delete_existing_run(output_dir: Path) -> None:
    """Delete what a run wrote, so that a new one can start there: checkpoints, samples, records, pipeline and card.

    Other files are kept, and all files of a folder that holds no run. Of a linked checkpoint, the link is deleted.
    """
    if not holds_run(output_dir):
        return
    for checkpoint in _checkpoints_in(output_dir):
        remove(checkpoint)
    for path in output_dir.glob(f"{PREFIX}*"):
        if LEFTOVER.fullmatch(path.name):
            remove(path)
    for path in output_dir.iterdir():
        if STAGED.fullmatch(path.name):
            remove(path)
    files = [output_dir / name for name in PIPELINE_FILES] + _samples_in(output_dir)
    if (output_dir / README).exists() and _is_card(output_dir / README):
        files.append(output_dir / README)
    if _has_metrics(output_dir):
        files += [output_dir / name for name in RECORDS]
    for file in files:
        file.unlink(missing_ok=True)
    for folder in {file.parent for file in files} - {output_dir}:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _checkpoints_in(output_dir: Path) -> list[Path]:
    """Return the checkpoints that runs wrote, also abandoned ones."""
    abandoned = [path for path in output_dir.glob(f"{PREFIX}*") if ABANDONED.fullmatch(path.name) and is_own(path)]
    return list_checkpoints(output_dir) + abandoned


def _samples_in(output_dir: Path) -> list[Path]:
    return [path for path in (output_dir / SAMPLES).glob("*.png") if _SAMPLE.fullmatch(path.name)]


def _has_metrics(output_dir: Path) -> bool:
    """Return whether a folder has the table of a run's numbers."""
    try:
        read_metrics(output_dir / METRICS)
    except (OSError, ValueError):
        return False
    return True


def _is_card(file: Path) -> bool:
    """Return whether a README is the model card of a run."""
    return TRAINED in file.read_text(encoding="utf-8", errors="replace")
