import subprocess
import sys
import textwrap


def test_a_process_exits_although_its_workers_outlive_stop_signals():
    """At exit, multiprocessing sends its workers SIGTERM and waits: they may ignore every other one, but not that."""
    script = """
        import os, signal, torch
        from spade_hf.data import build_loader

        class Endless(torch.utils.data.Dataset):
            def __len__(self): return 10_000
            def __getitem__(self, number): return torch.zeros(())

        batches = iter(build_loader(Endless(), 1, num_workers=2))
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
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, timeout=100)
    assert result.returncode == 2, result.stderr.decode()
