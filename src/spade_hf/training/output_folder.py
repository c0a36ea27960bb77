"""The files in a run's output folder: their names, which runs they are of, and the protection of others.

A run writes checkpoints, samples, its numbers and the names of held-out pairs while it trains, and its pipeline, model
card and images at the end. Trackers write theirs to a folder of their own, which is kept.
"""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from diffusers.utils import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME

from ..hub.standalone import FILES as CODE_FILES
from ..hub.standalone import is_standalone
from .integrity import ARGUMENTS_FILE, CHECKSUMS_FILE, STATE_FILE
from .monitoring import LOSSES, METRICS, read_metrics
from .validation import NAMES_FILE


# Checkpoints: `checkpoint-500`, `checkpoint-500.partial`, `checkpoint-500.deleted.partial`,
# `checkpoint-500.abandoned`, `checkpoint-500.abandoned-2`
CHECKPOINT_PREFIX, PARTIAL_SUFFIX, ABANDONED_SUFFIX = "checkpoint-", ".partial", ".abandoned"
_LEFTOVER = re.compile(rf"{CHECKPOINT_PREFIX}\d+(\.deleted)?{re.escape(PARTIAL_SUFFIX)}")
_ABANDONED = re.compile(rf"{CHECKPOINT_PREFIX}\d+{re.escape(ABANDONED_SUFFIX)}(-\d+)?")

# Copies that are being uploaded
STAGED_PREFIX = ".upload-"
_STAGED = re.compile(rf"{re.escape(STAGED_PREFIX)}[a-z0-9_]{{8}}")  # as `tempfile` names them

# The pipeline, its card and its images
PIPELINE_INDEX, README, SAMPLES = "model_index.json", "README.md", "samples"
TRAINED = "Trained with the `spade_hf` library"  # in the card of every run, and of no converted model
NETWORK_FILES = (CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME)
PIPELINE_FILES = (
    PIPELINE_INDEX,
    *(f"{network}/{file}" for network in ("generator", "style_encoder") for file in NETWORK_FILES),
    "image_processor/preprocessor_config.json",
)
STANDALONE_FILES = (*PIPELINE_FILES, *CODE_FILES)  # with `hub_standalone`
# what a run leaves in the end: a pipeline, or a network that is not part of a pipeline yet
MODEL_FILES = {"SPADEPipeline": PIPELINE_FILES, "SPADEOutlineModel": NETWORK_FILES, "SPADESegmenter": NETWORK_FILES}
GRID, STEP_GRID = f"{SAMPLES}/final.png", f"{SAMPLES}/step-{{:07d}}.png"
GALLERY_MASK, GALLERY_IMAGE = f"{SAMPLES}/gallery-{{}}-mask.png", f"{SAMPLES}/gallery-{{}}.png"
FINAL_SAMPLES = (GRID, f"{SAMPLES}/gallery-*.png")
_SAMPLE = re.compile(r"final\.png|step-\d+\.png|gallery-\d+(-mask)?\.png")

RECORDS = (METRICS, LOSSES, NAMES_FILE)  # a run wrote all of them if the first has its form


def list_checkpoints(output_dir: Path) -> list[Path]:
    """Return the complete checkpoints of a run, oldest first; folders that no run of this library wrote are not any.

    A damaged checkpoint is one of them as long as one of its JSON files is there.
    """
    return sorted(filter(_is_own, _numbered(output_dir)), key=step_of)


def step_of(checkpoint: Path) -> int:
    """Return the number of updates in a checkpoint's name."""
    return int(checkpoint.name.removeprefix(CHECKPOINT_PREFIX))


def delete(path: Path) -> None:
    """Delete a file or a folder; of a link only the link, because its target can be kept on purpose."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def delete_leftovers(output_dir: Path) -> None:
    """Delete the checkpoints that a killed run was writing or deleting."""
    for path in output_dir.glob(f"{CHECKPOINT_PREFIX}*"):
        if _LEFTOVER.fullmatch(path.name):
            delete(path)


def delete_staged(output_dir: Path) -> None:
    """Delete the copies of a run that was killed during an upload."""
    for path in output_dir.glob(f"{STAGED_PREFIX}*"):
        if _STAGED.fullmatch(path.name):
            delete(path)


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


def refuse_foreign_files(output_dir: Path, model_files: Sequence[str] = PIPELINE_FILES) -> None:
    """Check that a run will not replace files that no run wrote.

    Args:
        output_dir (`Path`): The run's output folder.
        model_files (`Sequence[str]`): What the run writes in the end, a value of `MODEL_FILES`.

    Raises:
        ValueError: If they would; the message names them.
    """
    foreign = [README] if (output_dir / README).exists() and not _is_card(output_dir / README) else []
    foreign += [path.name for path in _numbered(output_dir) if not _is_own(path)]
    if not _has_metrics(output_dir):
        foreign += [name for name in RECORDS if (output_dir / name).exists()]
    if not holds_run(output_dir):  # a killed one can have left only samples of its steps
        paths = (path for pattern in (*model_files, *FINAL_SAMPLES) for path in output_dir.glob(pattern))
        foreign += [path.relative_to(output_dir).as_posix() for path in paths]
    if foreign:
        raise ValueError(
            f"`output_dir` {output_dir} has files that no run wrote and this one would replace: {', '.join(foreign)}. "
            "Move them, or give another folder."
        )


def holds_run(output_dir: Path) -> bool:
    """Return whether a folder holds a checkpoint, or a model with the card of its training."""
    is_trained = bool(trained_files(output_dir)) and (output_dir / README).exists() and _is_card(output_dir / README)
    return is_trained or bool(_checkpoints_in(output_dir))


def trained_files(output_dir: Path) -> Sequence[str]:
    """Return the names of the files of the model in a folder, if it is one that runs leave; else none."""
    if is_standalone(output_dir):
        return STANDALONE_FILES
    return next((files for name, files in MODEL_FILES.items() if _class_in(output_dir / files[0]) == name), ())


def own_files(output_dir: Path) -> set[str]:
    """Return the names of files that belong to a run: a pipeline's, complete or not, and those of a single network.

    In a folder of something else, `config.json` and the weights beside it are not any.
    """
    return {*PIPELINE_FILES, *trained_files(output_dir)}


def _class_in(file: Path) -> str | None:
    """Return the class that a JSON file of diffusers names, or `None`."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def delete_existing_run(output_dir: Path) -> None:
    """Delete what a run wrote, so that a new one can start there: checkpoints, samples, records, pipeline and card.

    Other files are kept, and all files of a folder that holds no run. Of a linked checkpoint, the link is deleted.
    """
    if not holds_run(output_dir):
        return
    for checkpoint in _checkpoints_in(output_dir):
        delete(checkpoint)
    delete_leftovers(output_dir)
    delete_staged(output_dir)
    files = [output_dir / name for name in own_files(output_dir)]
    files += [path for path in (output_dir / SAMPLES).glob("*.png") if _SAMPLE.fullmatch(path.name)]
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
    abandoned = [path for path in output_dir.glob(f"{CHECKPOINT_PREFIX}*") if _ABANDONED.fullmatch(path.name)]
    return list_checkpoints(output_dir) + [path for path in abandoned if _is_own(path)]


def _numbered(output_dir: Path) -> list[Path]:
    """Return what is called like a complete checkpoint."""
    found = output_dir.glob(f"{CHECKPOINT_PREFIX}*")
    return [path for path in found if path.name.removeprefix(CHECKPOINT_PREFIX).isdigit()]


def _is_own(folder: Path) -> bool:
    """Return whether a run of this library wrote a folder called like a checkpoint."""
    return any((folder / name).is_file() for name in (STATE_FILE, ARGUMENTS_FILE, CHECKSUMS_FILE))


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
