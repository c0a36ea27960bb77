"""Images from URLs: how much, how long, and the switch."""

import gzip
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import PIL.Image
import pytest

from spade_hf.images import downloads
from spade_hf.images.inputs import open_image

from ..waiting import LONGEST


def png() -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.full((4, 4), 7, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that answers every connection with `answer`, which may be as slow and as wrong as it likes."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=respond, args=(connection,), daemon=True).start()

    def respond(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                answer(connection)
            except OSError:  # the client has gone
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mask.png"


def reply(body: bytes, *headers: str) -> Callable[[socket.socket], None]:
    head = "\r\n".join(["HTTP/1.1 200 OK", "Connection: close", *headers, "", ""])
    return lambda connection: connection.sendall(head.encode() + body)


def drip(first: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(b"a")
            time.sleep(0.05)

    return answer


@pytest.mark.parametrize("scheme", ["http", "HTTP"])
def test_an_image(scheme):
    with server(reply(png())) as url:
        image = open_image(url.replace("http", scheme, 1), argument="`mask`")
    assert (image.size, image.getpixel((0, 0))) == ((4, 4), 7)


@pytest.mark.parametrize("is_packed", [False, True])
def test_at_most_so_many_bytes(monkeypatch, is_packed):
    """Counted as they come, whatever the server says of them, and unpacked."""
    monkeypatch.setattr(downloads, "MAX_BYTES", 2**20)
    body = bytes(3 * 2**20)
    answer = reply(gzip.compress(body), "Content-Encoding: gzip") if is_packed else reply(body)
    with server(answer) as url, pytest.raises(ValueError, match=r"`mask` cannot be downloaded: it has more than 1 MB"):
        open_image(url, argument="`mask`")


@pytest.mark.parametrize(
    "first", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["", "head", "body"]
)
def test_a_server_that_drips_is_left(monkeypatch, first):
    monkeypatch.setattr(downloads, "MAX_SECONDS", 1.0)
    start = time.monotonic()
    with (
        server(drip(first)) as url,
        pytest.raises(ValueError, match="cannot be downloaded: it did not arrive within 1 s"),
    ):
        open_image(url, argument="`mask`")
    assert time.monotonic() - start < LONGEST


def test_a_server_that_is_silent_is_left(monkeypatch):
    monkeypatch.setattr(downloads, "SILENCE_SECONDS", 0.5)
    with server(lambda connection: time.sleep(10)) as url:
        with pytest.raises(ValueError, match=r"cannot be downloaded: .*timed out"):
            open_image(url, argument="`mask`")


def test_a_redirect_leads_to_no_file(tmp_path):
    (tmp_path / "secret.png").write_bytes(png())
    head = f"HTTP/1.1 302 Found\r\nLocation: file://{tmp_path}/secret.png\r\nContent-Length: 0\r\n\r\n"
    with server(lambda connection: connection.sendall(head.encode())) as url:
        with pytest.raises(ValueError, match="cannot be downloaded: No connection adapters"):
            open_image(url, argument="`mask`")


def test_urls_can_be_switched_off(monkeypatch):
    monkeypatch.setenv("SPADE_HF_ALLOW_URLS", "0")
    with pytest.raises(ValueError, match=r"URLs are switched off here \(SPADE_HF_ALLOW_URLS=0.*Give the path"):
        open_image("http://127.0.0.1:1/mask.png", argument="`mask`")
    monkeypatch.setenv("SPADE_HF_ALLOW_URLS", "no")
    with pytest.raises(ValueError, match="SPADE_HF_ALLOW_URLS is 'no' in the environment; it is 1"):
        open_image("https://127.0.0.1:1/mask.png", argument="`mask`")
