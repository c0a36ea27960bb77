"""Pairs of images and label maps from a `datasets` data set: on the Hub, in a folder, in parquet files.

Legend: H W height and width of the training crop.
"""

from pathlib import Path
from typing import Any

import datasets
import torch
from torch import Tensor

from ..image_processor import SPADEImageProcessor
from .seeding import derive_seed
from .transforms import PairedTransform


def load_rows(
    dataset_name: str,
    *,
    config_name: str | None = None,
    split: str = "train",
    cache_dir: str | None = None,
) -> datasets.Dataset:
    """Load one split.

    Args:
        dataset_name (`str`): A data set on the Hub, a folder that `datasets.load_dataset` reads (parquet, or an
            `imagefolder` with `metadata.jsonl`), a folder that `save_to_disk` wrote, or a parquet file.
        config_name (`str`, *optional*): The data set's configuration.
        split (`str`, defaults to `"train"`): Also slices such as `"train[:100]"`.
        cache_dir (`str`, *optional*): Where `datasets` keeps what it prepared.

    Raises:
        ValueError: If the data set or the split cannot be loaded.
    """
    path = Path(dataset_name)
    try:
        if path.suffix == ".parquet":
            return datasets.load_dataset(
                "parquet", data_files={"train": dataset_name}, split=split, cache_dir=cache_dir
            )
        if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
            loaded = datasets.load_from_disk(dataset_name)
            return loaded[split] if isinstance(loaded, datasets.DatasetDict) else loaded
        return datasets.load_dataset(dataset_name, config_name, split=split, cache_dir=cache_dir)
    except (OSError, KeyError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise ValueError(
            f"`dataset_name` {dataset_name!r} (config {config_name!r}, split {split!r}) cannot be loaded: {error}"
        ) from error


class PairedImageDataset(torch.utils.data.Dataset):
    """Training samples. What a sample looks like depends on (seed, epoch, index) alone, so that runs can be resumed.

    Args:
        rows (`datasets.Dataset`): Rows with the columns named below.
        image_column (`str`): The pictures.
        mask_column (`str`): Their label maps: ids, palette or RGB in the label set's colours.
        instance_column (`str`, *optional*): Instance maps, for models with instance edges.
        processor (`SPADEImageProcessor`): Reads them.
        transform (`PairedTransform`): Augments them.
        seed (`int`): The run's seed.

    Raises:
        ValueError: If a column is missing, or a row holds what the processor cannot read.
    """

    def __init__(
        self,
        rows: datasets.Dataset,
        *,
        image_column: str,
        mask_column: str,
        instance_column: str | None,
        processor: SPADEImageProcessor,
        transform: PairedTransform,
        seed: int,
    ) -> None:
        options = {"--image_column": image_column, "--mask_column": mask_column, "--instance_column": instance_column}
        for option, column in options.items():
            if column is not None and column not in rows.column_names:
                raise ValueError(
                    f"`{option}` is {column!r}; the data set has the columns {', '.join(rows.column_names)}."
                )
        if processor.config.use_instance_edges and instance_column is None:
            raise ValueError("The model reads instance edges; name the column of instance maps (`--instance_column`).")
        self.rows = rows
        self.image_column, self.mask_column, self.instance_column = image_column, mask_column, instance_column
        self.processor, self.transform, self.seed = processor, transform, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose augmentation the next samples get."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """`real_images` `(3, H, W)` in [-1, 1], `label_map` int64 `(H, W)`, and `instance_edges` bool `(H, W)`."""
        row = self._row(index)
        mask = row[self.mask_column]
        size = self.transform.resized_shape(mask.height, mask.width)
        named = {"height": size[0], "width": size[1]}
        try:
            image = self.processor.preprocess_image(row[self.image_column], size=size)[0]  # (3, H', W')
            label_map = self.processor.preprocess_mask(mask, **named)[0]  # (H', W')
            edges = None
            if self.processor.config.use_instance_edges:
                edges = self.processor.preprocess_instance_map(row[self.instance_column], **named)[0]  # (H', W')
        except ValueError as error:
            raise ValueError(f"{self._describe(index, row)}: {error}") from error
        image, label_map, edges = self.transform(
            image,
            label_map,
            edges,
            num_labels=self.processor.label_set.num_channels,
            rng=torch.Generator().manual_seed(derive_seed(self.seed, self.epoch, index)),
        )
        sample = {"real_images": image.contiguous(), "label_map": label_map.contiguous()}
        return sample if edges is None else sample | {"instance_edges": edges.contiguous()}

    def _row(self, index: int) -> dict[str, Any]:
        try:
            return self.rows[index]
        except OSError as error:  # PIL's error for a picture that cannot be decoded
            raise ValueError(f"Row {index} of the data set has a picture that cannot be read: {error}") from error

    def _describe(self, index: int, row: dict[str, Any]) -> str:
        name = row.get("file_name") or getattr(row[self.mask_column], "filename", "")
        return f"Row {index} of the data set" + (f" ({name})" if name else "")
