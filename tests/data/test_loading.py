import signal
import subprocess
import sys
import textwrap

import pytest

from ..waiting import LONGEST


def run(script: str) -> subprocess.CompletedProcess:
    """Run it to its end, which is when no process writes to its pipes any more: its workers' end as well."""
    code = """
        import os, signal, time, torch
        from spade_hf.data import build_loader

        class Endless(torch.utils.data.Dataset):
            def __len__(self): return 10_000
            def __getitem__(self, number): return torch.zeros(())

        loader = build_loader(Endless(), 1, num_workers=2)
    """
    command = [sys.executable, "-c", textwrap.dedent(code) + textwrap.dedent(script)]
    return subprocess.run(command, capture_output=True, timeout=LONGEST)


def test_a_process_exits_although_its_workers_outlive_stop_signals():
    """At exit, multiprocessing sends its workers SIGTERM and waits: they may ignore every other one, but not that."""
    script = """
        batches = iter(loader)
        for _ in batches._workers:  # each has given one, so it runs
            next(batches)
        for worker in batches._workers:
            os.kill(worker.pid, signal.SIGTERM)
            os.kill(worker.pid, signal.SIGINT)
        for _ in range(20):  # more than the workers have read ahead
            next(batches)
        try:
            raise ValueError(batches)
        except ValueError:
            raise SystemExit(2)  # its context keeps the iterator alive, as a broken row does in the training script
    """
    result = run(script)
    assert result.returncode == 2, result.stderr.decode()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
@pytest.mark.parametrize("moment", ["start", "later"])
def test_workers_end_with_a_parent_that_is_killed(moment):
    script = """
        if MOMENT == "start":  # as soon as the first worker is there, which never sees its parent
            kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
            os.register_at_fork(after_in_parent=kill, after_in_child=lambda: time.sleep(2))
        batches = iter(loader)
        next(batches)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run(script.replace("MOMENT", repr(moment))).returncode == -signal.SIGKILL
