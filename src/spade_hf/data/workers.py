"""Reader processes of a loader, which end neither before nor after the process that they read for."""

import atexit
import functools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any


def bound_to_this_process() -> Callable[[int], None]:
    """Return a `worker_init_fn` for a loader of this process."""
    is_exiting = multiprocessing.RawValue("b", False)
    atexit.register(setattr, is_exiting, "value", True)  # runs before multiprocessing's own exit function
    return functools.partial(_live_as_long_as_the_parent, os.getpid(), is_exiting)


def _live_as_long_as_the_parent(parent: int, is_exiting: Any, _: int) -> None:
    """Make a worker ignore the signals that stop a job, but end with its parent.

    If all processes of a job get SIGTERM or Ctrl-C, the main process still needs its batches. A worker ends with its
    loader; when its parent exits, because multiprocessing then sends SIGTERM and waits; and when its parent is killed,
    even while the worker is starting, which torch's own watchdog misses.
    """

    def end_at_exit(*_: Any) -> None:
        if is_exiting.value:
            os._exit(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end_at_exit)
    threading.Thread(target=watch, daemon=True).start()
