"""Spoiled inputs for whatever reads what others made, and what may come of them: a result, or an error of ours."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import spade_hf


PACKAGE = str(Path(spade_hf.__file__).parent)
MAX_PIXELS = 4_000_000  # of Pillow while fuzzing
SLOW = 20.0  # seconds of the processor: no input of a few kilobytes may take longer
Target = Callable[[Random, Path], None]  # draws an input, writes it into the folder, has it read


class Failure(Exception):
    """What a target finds itself: a traceback of a command, a half-written file."""


@dataclass
class Result:
    """What came of a target's inputs."""

    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


def is_ours(error: BaseException) -> bool:
    """Whether an error is one that we document: a ValueError that our own code raises, with a message."""
    frames = traceback.extract_tb(error.__traceback__)
    return type(error) is ValueError and frames[-1].filename.startswith(PACKAGE) and len(str(error)) > 10


def run(name: str, target: Target, folder: Path, *, seed: int, first: int = 0, count: int) -> Result:
    """Try `count` inputs; each is the same wherever `name`, `seed` and its number are the same."""
    result, start = Result(), time.perf_counter()
    for number in range(first, first + count):
        begun = time.process_time()  # of this process: others on the machine do not count
        own_folder = folder / f"{name}-{number}"
        own_folder.mkdir(parents=True)
        problem = None
        try:
            target(Random(f"{name} {seed} {number}"), own_folder)
            result.accepted += 1
        except Exception as error:
            result.refused += 1
            if not is_ours(error):
                problem = "".join(traceback.format_exception(error)[-6:])
        if problem is None and (seconds := time.process_time() - begun) > SLOW:
            problem = f"took {seconds:.0f} seconds"
        if problem is None:
            _remove(own_folder)
        else:
            result.failures.append(f"{name}, seed {seed}, input {number}, kept in {own_folder}:\n{problem}")
    result.seconds = time.perf_counter() - start
    return result


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    folder.rmdir()
