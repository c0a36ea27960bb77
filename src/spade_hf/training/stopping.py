"""Stops a run early without losing its progress."""

import os
import signal
from types import FrameType, TracebackType

from accelerate import Accelerator


class StopOnSignal:
    """Context in which Ctrl-C and SIGTERM request a stop after the current update, on all processes.

    Job schedulers send SIGTERM before they take a machine away, which leaves time for a checkpoint. A second Ctrl-C
    ends the process at once.

    Args:
        accelerator (`Accelerator`): Sends the request to the other processes.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.is_requested = False
        self._signal = signal.SIGTERM  # of processes that did not get the signal themselves

    def __enter__(self) -> "StopOnSignal":
        self._before = {number: signal.signal(number, self._receive) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> bool:
        """Return whether any process was asked to stop; every process calls this after each update."""
        self.is_requested = self.accelerator.check_trigger()
        return self.is_requested

    @property
    def name(self) -> str:
        """The signal's name: `"SIGINT"` for Ctrl-C, or `"SIGTERM"`."""
        return self._signal.name

    @property
    def exit_status(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM, as shells report it."""
        return 128 + self._signal

    def _receive(self, number: int, _: FrameType | None) -> None:
        self._signal = signal.Signals(number)
        self.accelerator.set_trigger()
        again = b""
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            again = b" Ctrl-C again quits at once."
        if self.accelerator.is_main_process:  # not by `print`, whose lock the interrupted code can hold
            os.write(2, b"\n%s: finishing the update and saving.%s\n" % (self.name.encode(), again))
