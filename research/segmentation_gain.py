"""Do synthesized pictures help? Train segmenters on real pictures, with and without synthesized ones, and compare.

    python research/segmentation_gain.py research/ablations/camvid.yaml --dataset_name FOLDER_OR_HUB_ID \
        --shares 0.05 1 --seeds 0 1 2 --output_dir gain

For each share of the real pairs and each seed: take that share at random, train SPADE only on it (train_spade.py, with
the training options of the file), paint its masks in random styles (synthesize_dataset.py), and train one segmenter on
the real pairs and one on both, with the same number of updates. With a share below 1, a third segmenter is trained on
the real pairs and on pictures that the same SPADE paints of all masks, as if there were more masks than pictures. With
--agreement_threshold, each of these is trained a second time, on the same pictures without the labels that they do not
show, according to a segmenter that was trained on the real pairs (train_segmenter.py). All segmenters are tested on
the real pictures of another split. If it was stopped, the same command resumes; other options or other data in the
same folder are an error. At the end it writes table.md.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import torch
from ablation import Grid, mean_and_range, run_script
from kept_options import describe, describe_data, keep, resolve

from spade_hf import SPADEImageProcessor
from spade_hf.data import PairedImageDataset, PairedTransform, PairReader, load_label_set, load_rows
from spade_hf.files import write_text
from spade_hf.labels.label_set import LabelSet
from spade_hf.metrics import load_feature_network
from spade_hf.metrics.features import FeatureNetwork, feature_maps
from spade_hf.metrics.segmentation import (
    Segmenter,
    class_ious,
    confusion_matrix,
    pixel_accuracy,
    train_segmenter,
)
from spade_hf_cli.parsing import OptionParser, count, natural, positive_share, share
from spade_hf_cli.program import status_of
from spade_hf_cli.train.parser import parse_args as parse_training


COLUMNS = ("image", "label")
REAL, BOTH, ALL_MASKS = "real", "real + synthesized", "real + synthesized from all masks"
CHECKED = "{}, checked at {:g}"  # of an arm and a threshold
TEST_BATCH = 16
OPTIONS_FILE = "options.json"


def main(args: argparse.Namespace) -> None:
    """Do the remaining runs, then write the table."""
    datasets.disable_progress_bars()
    grid = Grid.from_file(args.grid)
    name = args.dataset_name or grid.data["dataset_name"]
    options = {**grid.data, **grid.training, "dataset_name": name}
    resolved = resolve(parse_training, options)
    kept = {
        **describe(resolved, "train"),
        "test data": describe_data(resolved, args.test_split),
        "images_per_mask": args.images_per_mask,
        "segmenter_steps": args.segmenter_steps,
    }
    if args.agreement_threshold is not None:
        kept["agreement_threshold"] = args.agreement_threshold
    begun = args.output_dir.is_dir() and any(path.name != OPTIONS_FILE for path in args.output_dir.iterdir())
    remedy = "Name another --output_dir, or delete this one."
    keep(args.output_dir / OPTIONS_FILE, kept, begun=begun, remedy=remedy)
    label_set = load_label_set(grid.data.get("label_set"), dataset_name=name)
    train, test = (load_rows(name, split=split).select_columns(COLUMNS) for split in ("train", args.test_split))
    network = load_feature_network("efficientnet-lite2")
    for seed in args.seeds:
        for part in args.shares:
            folder = args.output_dir / f"{part:g}-{seed}"
            run = Run(args, options, resolved.resolution, label_set, folder, part, seed)
            print(run.folder, flush=True)
            run.complete(train, test, network)
    table = tabulate(args.output_dir, args.shares, args.seeds)
    (args.output_dir / "table.md").write_text(table + "\n", encoding="utf-8")
    print(table)


class Run:
    """One share and one seed.

    Args:
        args (`argparse.Namespace`): The options.
        options (`Mapping[str, Any]`): Options of training.
        resolution (`Sequence[int]`): Height and width.
        label_set (`LabelSet`): The data's labels.
        folder (`Path`): Folder of its files: `real/`, `model/`, `checker/`, `synthesized/`, `figures.json`.
        share (`float`): Of the real pairs, in (0, 1].
        seed (`int`): Of the choice of pairs and of all training.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        options: Mapping[str, Any],
        resolution: Sequence[int],
        label_set: LabelSet,
        folder: Path,
        share: float,
        seed: int,
    ) -> None:
        self.args, self.options, self.label_set = args, options, label_set
        self.height, self.width = resolution
        self.folder, self.share, self.seed = folder, share, seed

    def complete(self, train: datasets.Dataset, test: datasets.Dataset, network: FeatureNetwork) -> None:
        """Do the remaining steps."""
        real, model, synthesized = self.folder / "real", self.folder / "model", self.folder / "synthesized"
        if not (real / "labels.json").is_file():  # written last
            write_rows(real, take(train, self.share, self.seed), self.label_set)
        if not (model / "model_index.json").is_file():
            options = {**self.options, "dataset_name": real, "seed": self.seed}
            run_script("train_spade.py", options, output_dir=model, resume_from_checkpoint="latest")
        sources = {BOTH: real}
        if self.share < 1:
            sources[ALL_MASKS] = self.args.output_dir / "all"
            if not (sources[ALL_MASKS] / "labels.json").is_file():
                write_rows(sources[ALL_MASKS], train, self.label_set)
        real_rows = load_rows(str(real))
        self.measure(REAL, real_rows, test, network)
        threshold, checker = self.args.agreement_threshold, self.folder / "checker"
        if threshold is not None and not (checker / "config.json").is_file():
            self.train_checker(real, checker)
        for arm, source in sources.items():
            arms: dict[str, dict[str, Any]] = {arm: {}}
            if threshold is not None:
                arms[CHECKED.format(arm, threshold)] = {"agreement_threshold": threshold, "segmenter": checker}
            for name, options in arms.items():
                output = synthesized / (f"{source.name}-checked" if options else source.name)
                run_script(
                    "synthesize_dataset.py",
                    {"images_per_mask": self.args.images_per_mask, "seed": self.seed, "output_dir": output, **options},
                    model=model,
                    dataset_name=source,
                    height=self.height,
                    width=self.width,
                )
                rows = load_rows(str(output)).select_columns(COLUMNS).cast(real_rows.features)
                times = max(1, round(len(rows) / len(real_rows)))  # about half of the pairs are then real
                self.measure(name, datasets.concatenate_datasets([real_rows] * times + [rows]), test, network)

    def train_checker(self, real: Path, checker: Path) -> None:
        """Train the segmenter that says which labels a picture does not show, on the real pairs."""
        run_script(
            "train_segmenter.py",
            {"resolution": min(self.height, self.width), "max_train_steps": self.args.segmenter_steps},
            dataset_name=real,
            seed=self.seed,
            output_dir=checker,
            resume_from_checkpoint="latest",
        )

    def measure(self, arm: str, train: datasets.Dataset, test: datasets.Dataset, network: FeatureNetwork) -> None:
        """Train a segmenter and test it, unless its figures exist."""
        file = self.folder / "figures.json"
        figures = json.loads(file.read_text()) if file.is_file() else {}
        if arm in figures:
            return
        dataset = self.pairs(train, random_flip=True)
        segmenter = train_segmenter(network, dataset, num_steps=self.args.segmenter_steps, seed=self.seed)
        figures[arm] = {"pairs": len(train), **test_segmenter(segmenter, self.pairs(test), network, self.label_set)}
        write_text(file, json.dumps(figures, indent=2) + "\n")

    def pairs(self, rows: datasets.Dataset, random_flip: bool = False) -> PairedImageDataset:
        """Build a data set of whole pictures at the size that SPADE paints."""
        transform = PairedTransform(
            resolution=(self.height, self.width), resize_ratio=1.0, center_crop=True, random_flip=random_flip
        )
        processor = SPADEImageProcessor(label_set=self.label_set)
        reader = PairReader(
            image_column="image", mask_column="label", instance_column=None, processor=processor, transform=transform
        )
        return PairedImageDataset(rows, reader, seed=self.seed)


def take(rows: datasets.Dataset, share: float, seed: int) -> datasets.Dataset:
    """Take a random share of the rows."""
    number = max(1, round(share * len(rows)))
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:number]
    return rows.select(sorted(chosen.tolist()))


def write_rows(folder: Path, rows: datasets.Dataset, label_set: LabelSet) -> None:
    """Write a data set that `load_dataset` reads, with its labels."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    rows.to_parquet(str(folder / "data" / "train-00000-of-00001.parquet"))
    (folder / "labels.json").write_text(json.dumps(label_set.to_dict()), encoding="utf-8")


@torch.no_grad()
def test_segmenter(
    segmenter: Segmenter, dataset: PairedImageDataset, network: FeatureNetwork, label_set: LabelSet
) -> dict[str, object]:
    """Compute the figures of a segmenter on real pictures."""
    number = label_set.num_channels
    confusion = torch.zeros(number, number, dtype=torch.int64)
    for start in range(0, len(dataset), TEST_BATCH):
        samples = [dataset[index] for index in range(start, min(start + TEST_BATCH, len(dataset)))]
        images, masks = (torch.stack([sample[name] for sample in samples]) for name in ("real_images", "label_map"))
        confusion += confusion_matrix(segmenter.predict(images, feature_maps(network, images)), masks, number)
    unknown = label_set.unknown_channel
    ious = class_ious(confusion, unknown=unknown)
    return {
        "miou": sum(ious.values()) / len(ious),
        "pixel_accuracy": pixel_accuracy(confusion, unknown=unknown),
        "class_iou": {label_set.names[channel]: iou for channel, iou in ious.items()},
    }


def tabulate(output_dir: Path, shares: Sequence[float], seeds: Sequence[int]) -> str:
    """Format a Markdown table: mean and half range over the seeds; gains are computed seed by seed."""
    lines = ["| share | trained on | pairs | mIoU | gain | pixel accuracy | gain |", "|---" * 7 + "|"]
    for part in shares:
        runs = [json.loads((output_dir / f"{part:g}-{seed}" / "figures.json").read_text()) for seed in seeds]
        for arm in runs[0]:
            cells = []
            for figure in ("miou", "pixel_accuracy"):
                values, base = ([run[name][figure] for run in runs] for name in (arm, REAL))
                gains = [value - real for value, real in zip(values, base, strict=True)]
                cells += [mean_and_range(values), "" if arm == REAL else mean_and_range(gains)]
            lines.append(f"| {part:.0%} | {arm} | {runs[0][arm]['pairs']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    parser = OptionParser(description=__doc__.partition("\n")[0])
    parser.add_argument("grid", type=Path, help="YAML or JSON file as for ablation.py; its arms are ignored")
    parser.add_argument("--dataset_name", help="Hub data set, folder or parquet file, instead of the grid's")
    parser.add_argument("--test_split", default="validation", help="split to test the segmenters on")
    parser.add_argument("--shares", type=positive_share, nargs="+", default=[0.05, 1.0], help="of the split train")
    parser.add_argument("--seeds", type=natural, nargs="+", default=[0, 1, 2])
    parser.add_argument("--images_per_mask", type=count, default=4)
    parser.add_argument("--segmenter_steps", type=count, default=1000, help="updates of 8 pairs")
    parser.add_argument(
        "--agreement_threshold", type=share, help="also drop labels that the pictures do not show, see synthesize"
    )
    parser.add_argument("--output_dir", type=Path, default=Path("segmentation_gain"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(status_of(lambda: main(parse_args()), {}))
