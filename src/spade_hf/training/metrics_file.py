"""The numbers of a run as a table, `metrics.csv`: a row per logged update, with its step in the first column."""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path


METRICS, STEP = "metrics.csv", "step"


class MetricsFile:
    """Writer of a run's table. Use it only on the main process.

    Args:
        output_dir (`Path`): The run's output folder.
        step (`int`, defaults to 0): Finished updates of a resumed run; rows of later ones are deleted.

    Raises:
        ValueError: If the folder has a file of this name that no run wrote.
    """

    def __init__(self, output_dir: Path, *, step: int = 0) -> None:
        self.file = output_dir / METRICS
        rows = [row for row in read_metrics(self.file) if row[STEP] <= step] if self.file.exists() else []
        self._columns = [STEP]
        output_dir.mkdir(parents=True, exist_ok=True)
        self._rewrite(rows)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add numbers to an update's row; the updates come in order."""
        row = {STEP: step, **values}
        if self._last.get(STEP) == step:
            row = self._last | row
            os.truncate(self.file, self._last_start)
        if row.keys() <= set(self._columns):
            self._last, self._last_start = row, self.file.stat().st_size
            with self.file.open("a", encoding="utf-8", newline="") as content:
                content.write(self._line(row))
        else:
            self._rewrite([*read_metrics(self.file), row])

    def _rewrite(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write the table with a column for every number in the rows."""
        self._columns = list(dict.fromkeys([*self._columns, *(name for row in rows for name in row)]))
        lines = [",".join(self._columns) + "\n", *map(self._line, rows)]
        self._last, self._last_start = dict(rows[-1]) if rows else {}, len("".join(lines[: len(rows)]).encode())
        partial = self.file.with_name(f"{METRICS}.partial")
        partial.write_text("".join(lines), encoding="utf-8", newline="")
        partial.replace(self.file)

    def _line(self, row: Mapping[str, float]) -> str:
        return ",".join(f"{row[name]:.7g}" if name in row else "" for name in self._columns) + "\n"


def read_metrics(file: Path) -> list[dict[str, float]]:
    """Read a run's table: a dictionary per row, without the columns that are empty there.

    A last line that was not written completely, as a killed run leaves it, is left out.

    Raises:
        ValueError: If no run wrote the file.
    """
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    complete = [line for line in lines if line.endswith("\n")]
    try:
        if next(csv.reader(complete[:1]))[0] != STEP:
            raise ValueError
        table = csv.DictReader(complete)
        return [{name: float(value) for name, value in row.items() if value} for row in table]
    except (ValueError, TypeError, StopIteration, IndexError, AttributeError) as error:
        raise ValueError(
            f"`output_dir` {file.parent} has a {METRICS} that no run wrote. Move it, or give another folder."
        ) from error
