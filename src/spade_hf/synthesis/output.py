"""Output of rows: parquet files, or plain folders of PNG files. No file is ever left half-written."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import pyarrow.parquet

from ..files import write_text
from .data_card import Summary
from .row import AGREEMENT, Row, image_seeds, read_agreement, row_name, style_number
from .settings import writing


FOLDER_OF = {"image": "images", "label": "labels", "instance": "instances"}


@dataclass(frozen=True)
class Output(ABC):
    """A folder of rows.

    Args:
        folder (`Path`): The data set's folder.
        columns (`Sequence[str]`): Image columns: `image`, `label` and, if there are instance maps, `instance`.
        num_images_per_mask (`int`): Rows per mask.
        seed (`int`): The data set's seed.
        chunks (`Sequence[range]`): Rows of the source that are written together.
        has_agreement (`bool`, defaults to `False`): Whether rows have a column of their images' mean agreement.
        styles (`Sequence[str]`, defaults to `()`): Names of the style pictures, if there are any; a row's is in its
            column `style`. See [`style_number`].
    """

    folder: Path
    columns: Sequence[str]
    num_images_per_mask: int
    seed: int
    chunks: Sequence[range]
    has_agreement: bool = False
    styles: Sequence[str] = ()

    @abstractmethod
    def missing(self, chunk: range) -> list[int]:
        """List the masks of a chunk that lack some or all of their rows."""

    @abstractmethod
    def write(self, chunk: range, rows: Iterable[Row]) -> None:
        """Write the rows of a chunk."""

    @abstractmethod
    def files(self) -> list[Path]:
        """List the existing files of rows."""

    @abstractmethod
    def features(self) -> datasets.Features | None:
        """Return the columns for the card's metadata; `None` if the card needs none."""

    def about(self, source_index: int, seed: int) -> dict[str, int | str]:
        """Return the columns of a row that are no images."""
        style = {"style": self.styles[style_number(seed, len(self.styles))]} if self.styles else {}
        return {"source_index": source_index, "seed": seed, **style}

    def all_missing(self) -> list[int]:
        """List the masks that lack some or all of their rows."""
        return [index for chunk in self.chunks for index in self.missing(chunk)]

    def finish(self) -> Summary:
        """Summarize the existing rows after all chunks are written."""
        missing = self.all_missing()
        num_masks = sum(map(len, self.chunks))
        return Summary(
            num_rows=(num_masks - len(missing)) * self.num_images_per_mask,
            num_bytes=sum(path.stat().st_size for path in self.files()),
            missing=missing,
            columns=self.columns,
            has_agreement=self.has_agreement,
            features=self.features(),
        )


class ParquetOutput(Output):
    """Parquet files `data/train-00000-of-00012.parquet`, one per chunk, which `load_dataset` and the Hub read."""

    def path(self, chunk: range) -> Path:
        """Return the file of a chunk."""
        number = chunk.start // len(self.chunks[0])  # all chunks but the last have the same length
        return self.folder / "data" / f"train-{number:05}-of-{len(self.chunks):05}.parquet"

    def missing(self, chunk: range) -> list[int]:
        """List the masks of a chunk that lack some or all of their rows."""
        path = self.path(chunk)
        if not path.is_file():
            return list(chunk)
        # its rows, not its existence: broken masks have none, and get them when they are mended
        present = set(pyarrow.parquet.read_table(path, columns=["source_index"])["source_index"].to_pylist())
        return [index for index in chunk if index not in present]

    def write(self, chunk: range, rows: Iterable[Row]) -> None:
        """Write the file of a chunk, unless it has no rows."""
        values = [
            {
                **{name: {"bytes": data, "path": f"{row.name}.png"} for name, data in row.images.items()},
                **self.about(row.source_index, row.seed),
                **({AGREEMENT: row.agreement} if self.has_agreement else {}),
            }
            for row in rows
        ]
        if not values:
            return
        path = self.path(chunk)
        path.parent.mkdir(exist_ok=True)
        with writing(path) as unfinished:
            datasets.Dataset.from_list(values, features=self.features()).to_parquet(unfinished)

    def files(self) -> list[Path]:
        """List the existing files of rows."""
        return [path for path in map(self.path, self.chunks) if path.is_file()]

    def features(self) -> datasets.Features:
        """Return the columns of the files, also for the card's metadata."""
        types = {int: "int64", str: "string"}
        about = {name: types[type(value)] for name, value in self.about(0, 0).items()}
        if self.has_agreement:
            about[AGREEMENT] = "float32"
        columns = {name: datasets.Value(kind) for name, kind in about.items()}
        return datasets.Features({name: datasets.Image() for name in self.columns} | columns)


class FolderOutput(Output):
    """Files `images/NAME.png`, `labels/NAME.png`, and at the end `metadata.jsonl` for `load_dataset`."""

    def paths(self, source_index: int, number: int) -> dict[str, Path]:
        """Return the files of a row."""
        name = f"{row_name(source_index, number)}.png"
        return {column: self.folder / FOLDER_OF[column] / name for column in self.columns}

    def missing(self, chunk: range) -> list[int]:
        """List the masks of a chunk that lack some or all of their rows."""
        return [
            index
            for index in chunk
            if not all(path.is_file() for number in self._numbers for path in self.paths(index, number).values())
        ]

    def write(self, chunk: range, rows: Iterable[Row]) -> None:
        """Write the files of a chunk."""
        for column in self.columns:
            (self.folder / FOLDER_OF[column]).mkdir(exist_ok=True)
        for row in rows:  # each file as soon as it is made: a stopped run loses nothing
            for column, path in self.paths(row.source_index, row.number).items():
                with writing(path) as unfinished:
                    unfinished.write_bytes(row.images[column])

    def files(self) -> list[Path]:
        """List the existing files of rows."""
        return [path for column in self.columns for path in (self.folder / FOLDER_OF[column]).glob("*.png")]

    def features(self) -> None:
        """Return `None`: `metadata.jsonl` takes the place of the card's metadata."""

    def finish(self) -> Summary:
        """Summarize the existing rows after all chunks are written, and list them in `metadata.jsonl`."""
        summary = super().finish()
        left_out = set(summary.missing)
        lines = [
            json.dumps(self._metadata(index, number, seed))
            for chunk in self.chunks
            for index in chunk
            if index not in left_out
            for number, seed in enumerate(image_seeds(self.seed, index, self.num_images_per_mask))
        ]
        write_text(self.folder / "metadata.jsonl", "".join(f"{line}\n" for line in lines))
        return summary

    @property
    def _numbers(self) -> range:
        return range(self.num_images_per_mask)

    def _metadata(self, index: int, number: int, seed: int) -> dict[str, str | int | float | None]:
        paths = self.paths(index, number)
        files = {
            "file_name" if column == "image" else f"{column}_file_name": path.relative_to(self.folder).as_posix()
            for column, path in paths.items()
        }
        agreement = {AGREEMENT: read_agreement(paths["image"])} if self.has_agreement else {}
        return {**files, **self.about(index, seed), **agreement}
