"""Output that survives odd names, closed streams and readers that end early."""

import io
import os
import select
import sys


def open_streams() -> None:
    """Let stdout and stderr take any text, and replace those that the caller has closed.

    A file name can hold characters that the output's encoding lacks; they are printed as escapes.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def reader_is_gone() -> bool:
    """Return whether stdout is a pipe whose reader has ended."""
    if not hasattr(select, "poll"):  # Windows
        return True
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def finish_output() -> OSError | None:
    """Write what is left of stdout; if that fails, return the error and forget the rest.

    Otherwise the interpreter tries it again at its end, and prints an error of several lines.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        return error
    return None
