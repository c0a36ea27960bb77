"""Downloads of images: streamed, with limits on size and time. They can be switched off."""

import os
import queue
import threading
import time

import requests


MAX_BYTES = 64 * 2**20
MAX_SECONDS = 60.0  # for the whole download
SILENCE_SECONDS = 10.0  # before the answer begins, or between two parts of it
CHUNK = 2**14  # bytes
SWITCH = "SPADE_HF_ALLOW_URLS"  # environment variable; "0" switches URLs off


def is_url(source: object) -> bool:
    """Return whether a source is an http(s) URL rather than a path."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def download(url: str) -> bytes:
    """Fetch a file of at most 64 MB, within a minute.

    It follows redirects to any address: a service that passes on strings from its users must switch URLs off, by
    `SPADE_HF_ALLOW_URLS=0` in the environment.

    Args:
        url (`str`): An http or https URL.

    Raises:
        ValueError: If URLs are switched off, the file is too large, or it takes too long.
        requests.RequestException: If the download fails.
    """
    allowed = os.environ.get(SWITCH, "1")
    if allowed not in ("0", "1"):
        raise ValueError(f"{SWITCH} is {allowed!r} in the environment; it is 1 (URLs are fetched) or 0 (they are not)")
    if allowed == "0":
        raise ValueError(f"URLs are switched off here ({SWITCH}=0 in the environment)")
    # In a thread: a server that sends a byte now and then never exceeds the time-out of a single read.
    answers: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(_outcome(url)), daemon=True).start()
    try:
        answer = answers.get(timeout=MAX_SECONDS)
    except queue.Empty:
        answer = _too_slow()
    if isinstance(answer, Exception):
        raise answer
    return answer


def _outcome(url: str) -> bytes | Exception:
    try:
        return _read(url, time.monotonic() + MAX_SECONDS)
    except Exception as error:
        return error


def _read(url: str, deadline: float) -> bytes:
    data = bytearray()
    with requests.get(url, stream=True, timeout=SILENCE_SECONDS) as response:
        response.raise_for_status()
        for chunk in response.iter_content(CHUNK):
            data += chunk
            if len(data) > MAX_BYTES:
                raise ValueError(f"it has more than {MAX_BYTES // 2**20} MB, the most that is downloaded")
            if time.monotonic() > deadline:
                raise _too_slow()
    return bytes(data)


def _too_slow() -> ValueError:
    return ValueError(f"it did not arrive within {MAX_SECONDS:.0f} seconds")
