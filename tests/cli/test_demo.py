"""`spade-hf demo`: what is checked before the page is served."""

import socket
import sys

import pytest

from spade_hf import BUNDLED_MODEL
from spade_hf_cli import main


def test_it_starts_the_demo(monkeypatch):
    started = {}
    monkeypatch.setattr("spade_hf.demo.main", lambda model, **where: started.update(where, model=model))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert main(["demo", "--model", BUNDLED_MODEL, "--port", str(port)]) == 0
    assert started == {"model": BUNDLED_MODEL, "host": None, "port": port}


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
