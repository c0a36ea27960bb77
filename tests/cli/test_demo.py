"""`spade-hf demo`: what is checked before the page is served."""

import http.server
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

import spade_hf_cli
from spade_hf import BUNDLED_MODEL
from spade_hf_cli import main

from ..waiting import LONGEST


SOURCES = Path(spade_hf_cli.__file__).parents[1]


def test_it_starts_the_demo_and_says_where(monkeypatch, capsys):
    started = {}

    def serve(model, *, on_start, **where):
        started.update(where, model=model)
        on_start("http://here/")

    monkeypatch.setattr("spade_hf.demo.main", serve)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert main(["demo", "--model", BUNDLED_MODEL, "--port", str(port)]) == 0
    assert started == {"model": BUNDLED_MODEL, "host": None, "port": port, "mcp": False}
    assert capsys.readouterr().out.splitlines()[1:] == ["Paint at http://here/ (Ctrl-C ends it)"]


def test_tools_for_agents_are_an_option(monkeypatch, capsys, fails):
    started = {}

    def serve(model, *, on_start, **options):
        started.update(options)
        on_start("http://here/")

    monkeypatch.setattr("spade_hf.demo.main", serve)
    monkeypatch.setattr("spade_hf_cli.commands.demo.find_spec", lambda name: object())
    assert main(["demo", "--mcp"]) == 0
    assert started["mcp"] is True
    assert "Tools for agents (MCP) at http://here/gradio_api/mcp/" in capsys.readouterr().out
    monkeypatch.setattr("spade_hf_cli.commands.demo.find_spec", lambda name: None)
    fails("demo", "--mcp", match="--mcp needs the package mcp: pip install")


def test_uploads_go_to_a_folder_of_the_process(monkeypatch, tmp_path):
    """Gradio's own folder is shared: it can belong to another user, or, as here, be no folder at all."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    (tmp_path / "gradio").write_text("of another user")
    seen = []

    def serve(model, **where):
        from gradio.utils import get_upload_folder

        seen.append(Path(get_upload_folder()))
        (seen[-1] / "upload.png").write_text("")

    monkeypatch.setattr("spade_hf.demo.main", serve)
    assert main(["demo"]) == 0
    assert seen[0].parent == tmp_path and not seen[0].exists() and "GRADIO_TEMP_DIR" not in os.environ
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    assert main(["demo"]) == 0
    assert seen[1] == tmp_path and tmp_path.is_dir()


def test_an_error_of_gradio_is_one_line(monkeypatch, fails):
    def serve(model, **where):
        raise Exception("Couldn't start the app")  # Gradio's are of this class

    monkeypatch.setattr("spade_hf.demo.main", serve)
    fails("demo", match="The page cannot be served: Couldn't start the app")


@pytest.mark.slow
def test_behind_a_proxy_on_a_shared_machine(model, tmp_path):
    """As a process: the proxy of a company refuses this machine's own addresses; another user began with Gradio."""

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(403)

    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    (tmp_path / "gradio").write_text("of another user")
    environment = {name: value for name, value in os.environ.items() if name.lower() not in ("no_proxy", "all_proxy")}
    environment |= {"http_proxy": f"http://127.0.0.1:{proxy.server_port}", "TMPDIR": str(tmp_path)}
    environment.pop("GRADIO_TEMP_DIR", None)
    command = [sys.executable, "-m", "spade_hf_cli", "demo", "--model", str(model)]
    process = subprocess.Popen(
        command, cwd=SOURCES, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip
    assert process.stdout is not None
    lines = [process.stdout.readline(), process.stdout.readline()]
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=LONGEST)
    proxy.shutdown()
    assert re.fullmatch(r"Paint at http://127\.0\.0\.1:\d+/ \(Ctrl-C ends it\)\n", lines[1]), (lines, errors)
    assert "share=True" not in rest and not list(tmp_path.glob("spade-hf-demo-*"))


def test_without_gradio_it_says_what_to_install(monkeypatch, fails):
    for name in [name for name in sys.modules if name.startswith("spade_hf.demo")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gradio", None)
    fails("demo", match=r'pip install "\.\[demo\]" \(in a clone of the project\)')


@pytest.mark.parametrize("port", [0, -1, 99999])
def test_a_port_that_is_none(port, fails):
    fails("demo", "--port", port, match=rf"--port is {port}; allowed are 1\.\.65535")


def test_a_port_in_use(fails):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        fails("demo", "--port", port, match=rf"--port {port} cannot be used: .* Give another --port")


def test_a_host_of_another_machine(fails):
    fails("demo", "--host", "192.0.2.1", match=r"--host 192\.0\.2\.1 cannot be used: ")


def test_a_model_that_is_not_there(model, fails):
    name = model.with_name("stret_model")
    fails("demo", "--model", name, match=rf"--model is {name}, which is neither .* Did you mean {model}\?")
