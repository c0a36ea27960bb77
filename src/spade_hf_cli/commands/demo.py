"""`spade-hf demo`: serve the painting page."""

import argparse
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec

from diffusers.utils.logging import disable_progress_bar

from spade_hf.project import install_command

from ..models import find_model


MAX_PORT = 65535


def run(args: argparse.Namespace) -> None:
    """Serve the painting demo until it is interrupted."""
    check_address(args.host, args.port)
    if args.mcp and find_spec("mcp") is None:  # Gradio would go on without
        raise ImportError(f"--mcp needs the package mcp: {install_command('mcp')}")
    model = args.model and find_model(args.model)
    print("Loading the model and the page ...", flush=True)
    with private_folder():
        try:
            from spade_hf.demo import main as serve
        except ModuleNotFoundError as error:
            if error.name != "gradio":
                raise
            raise ImportError(f"the demo needs gradio: {install_command('demo')}") from error
        disable_progress_bar()  # diffusers' own, for loading three parts
        try:
            serve(model, host=args.host, port=args.port, mcp=args.mcp, on_start=partial(announce, mcp=args.mcp))
        except Exception as error:
            if type(error) is Exception:  # Gradio's, if it does not reach its own server
                raise RuntimeError(f"The page cannot be served: {error}") from error
            raise


def announce(address: str, *, mcp: bool) -> None:
    """Print where the page is, and its tools for agents."""
    if mcp:
        print(f"Tools for agents (MCP) at {address}gradio_api/mcp/", flush=True)
    print(f"Paint at {address} (Ctrl-C ends it)", flush=True)


@contextmanager
def private_folder() -> Iterator[None]:
    """Give Gradio, before it is imported, a folder of this process, unless `GRADIO_TEMP_DIR` names one.

    Gradio's own folder is shared: the second user of a machine cannot write to it. And what visitors have uploaded is
    deleted with the process's folder at the latest.
    """
    if "GRADIO_TEMP_DIR" in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="spade-hf-demo-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            yield
        finally:
            del os.environ["GRADIO_TEMP_DIR"]


def check_address(host: str | None, port: int | None) -> None:
    """Raise a ValueError if the address cannot be used; Gradio would find out only after the model is loaded."""
    if port is not None and not 1 <= port <= MAX_PORT:
        raise ValueError(f"--port is {port}; allowed are 1..{MAX_PORT}.")
    family = socket.AF_INET6 if ":" in (host or "") else socket.AF_INET
    try:
        socket.create_server((host or "127.0.0.1", port or 0), family=family).close()
    except OSError as error:
        where = " ".join(f"{option} {value}" for option, value in (("--host", host), ("--port", port)) if value)
        raise ValueError(
            f"{where} cannot be used: {error.strerror}. Give another --port, or leave it out for the first free "
            "one from 7860 on; --host must be an address of this machine."
        ) from error
