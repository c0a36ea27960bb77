"""The console script `spade-hf`. It imports `spade_hf`, which takes seconds, only when a command runs."""

import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from .options import as_typed
from .parser import build_parser
from .parsing import USER_ERROR, one_line
from .program import INTERRUPTED, PROGRAMS, run_program
from .streams import finish_output, open_streams, reader_is_gone
from .unused import unused_option


LIGHT = ("labels",)  # commands without torch and diffusers, which take seconds to load
LAZY = "SPADE_HF_LAZY_IMPORT"  # see spade_hf/__init__.py
NO_READER = 141  # exit status, as a shell reports a program whose reader has ended, such as `head`


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; an error is one line on stderr, with exit status 2."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    open_streams()
    try:
        status = _run(arguments)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:
        if not reader_is_gone():  # another pipe has broken
            raise
        status = NO_READER
    error = finish_output()
    if isinstance(error, BrokenPipeError):
        return NO_READER
    if error is not None and status == 0:
        print(f"error: stdout cannot be written: {error}", file=sys.stderr)
        return USER_ERROR
    return status


def _run(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in PROGRAMS:
        return run_program(arguments[0], arguments[1:], prog=f"spade-hf {arguments[0]}")
    args = build_parser().parse_args(arguments)
    try:
        if problem := unused_option(args, args.rules):
            raise ValueError(problem)
        return _load(args.command).run(args) or 0
    except BrokenPipeError:  # see `main`
        raise
    except (ValueError, OSError, ImportError, RuntimeError, MemoryError) as error:  # RuntimeError: torch's
        print(f"error: {as_typed(one_line(error), args.options)}", file=sys.stderr)
        return USER_ERROR


def _load(command: str) -> ModuleType:
    """Import the module of a command, and the library with it."""
    before = os.environ.get(LAZY)
    if command in LIGHT:
        os.environ[LAZY] = "1"
    try:
        return importlib.import_module(f"{__name__}.commands.{command.replace('-', '_')}")
    finally:
        if command in LIGHT and before is None:
            del os.environ[LAZY]
