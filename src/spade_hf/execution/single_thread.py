"""Work that starts no threads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


_LOCK = threading.RLock()  # of two loads at once, the second would take the first one's single thread for the setting


@contextmanager
def single_thread() -> Iterator[None]:
    """Compute in the calling thread alone. OpenMP's threads are not copied by a fork; the new process would hang."""
    with _LOCK:
        num_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(num_threads)
