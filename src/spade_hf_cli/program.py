"""Runs the programs, such as `train` and `evaluate`: for `spade-hf`, and for the files in examples/.

A program is a package of two modules: `parser` parses the command line without heavy imports, `run` does the work.
"""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence

from .options import as_typed, options_of
from .parsing import USER_ERROR, one_line


# Program -> its help, and the extra that it needs.
PROGRAMS = {
    "train": ("train on your own masks (needs the extra `train`)", "train"),
    "train-outlines": ("train an outline model on label maps (needs the extra `train`)", "train"),
    "train-segmenter": (
        "train a network that segments photographs (needs the extras `train` and `eval`)",
        "train,eval",
    ),
    "evaluate": ("measure how good a model is (needs the extra `eval`)", "eval"),
    "synthesize": ("paint a data set of masks in many styles (needs the extra `train`)", "train"),
}
INTERRUPTED = 130  # as a shell reports a program that ended by Ctrl-C


def run_program(name: str, arguments: Sequence[str] | None = None, *, prog: str | None = None) -> int:
    """Parse the command line, and run a program; an error is one line on stderr, with exit status 2.

    Args:
        name (`str`): A key of `PROGRAMS`.
        arguments (`Sequence[str]`, *optional*): The words of the command line. Default: those of this process.
        prog (`str`, *optional*): Name in the help. Default: that of this process.
    """
    try:
        package = f"{__package__}.{name.replace('-', '_')}"
        parser = importlib.import_module(f"{package}.parser")
        args = parser.parse_args(arguments, prog=prog)
        program = importlib.import_module(f"{package}.run")
    except ModuleNotFoundError as error:
        print(f"error: {_missing(name, error)}", file=sys.stderr)
        return USER_ERROR
    return status_of(lambda: program.main(args), {**options_of(parser.build_parser()), **parser.RENAMED})


def status_of(run: Callable[[], int | None], options: Mapping[str, str]) -> int:
    """Run a program's work, and return the exit status; an error is one line on stderr.

    Args:
        run (`Callable`): The work; it returns a status, or `None` for 0.
        options (`dict[str, str]`): Parameter -> option, for errors of the library; see [`as_typed`].
    """
    try:
        return run() or 0
    except (ValueError, FloatingPointError, ImportError, OSError) as error:
        print(f"error: {as_typed(one_line(error), options)}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:  # of training: before the first update or after the last
        return INTERRUPTED


def _missing(name: str, error: ModuleNotFoundError) -> str:
    from spade_hf.project import install_command

    _, extra = PROGRAMS[name]
    package = (error.name or "").partition(".")[0]
    return f"{name} needs the package {package}, which is not installed: {install_command(extra)}"
