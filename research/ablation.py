"""Train and evaluate a grid of models with equal budgets, and tabulate their figures and costs.

    python research/ablation.py research/ablations/camvid.yaml --dataset_name FOLDER_OR_HUB_ID --output_dir ablation

A file names the options that all arms share, each arm's own options, and the seeds; see research/ablations/. Each arm
and seed is a run of train_spade.py, then of evaluate_spade.py. If it was stopped, the same command resumes: from the
last checkpoint of the interrupted run, skipping finished runs. Other options or other data in the same folder are an
error. At the end it writes table.md, and sheet.png: mask, real picture, and the first seed of each arm.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from kept_options import as_words, describe, describe_data, keep, resolve
from PIL import Image

from spade_hf import SPADEPipeline
from spade_hf.images.sheets import add_headings
from spade_hf_cli.evaluate import parser as evaluation
from spade_hf_cli.evaluate.run import SHEET_ROWS
from spade_hf_cli.parsing import OptionParser, count
from spade_hf_cli.program import status_of
from spade_hf_cli.train import parser as training


SCRIPTS = Path(__file__).resolve().parents[1] / "examples"
TRAINED = "model_index.json"  # a run that has ended has it
FIGURES = ("miou", "pixel_accuracy", "kid", "sharpness", "feature_distance", "diversity")
TIMED_PICTURES = 20


@dataclass(frozen=True)
class Grid:
    """The models to compare.

    Args:
        data (`dict`): Options that both scripts share, such as `dataset_name`.
        training, evaluation (`dict`): Options of all arms.
        seeds (`list[int]`): Of every arm without seeds of its own.
        arms (`dict[str, dict]`): Name -> training options that differ, and optionally `seeds`.
    """

    data: Mapping[str, Any]
    arms: Mapping[str, Mapping[str, Any] | None]
    seeds: Sequence[int] = (0,)
    training: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_file(cls, file: Path) -> "Grid":
        """Read a YAML or JSON file.

        Raises:
            ValueError: If it is not a grid; the message says what is missing or unknown.
        """
        try:
            values = yaml.safe_load(file.read_text(encoding="utf-8"))
            return cls(**values)
        except (OSError, yaml.YAMLError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                f"{file} cannot be used as a grid: {reason}. It needs `data` and `arms`, and can have `seeds`, "
                "`training` and `evaluation`; all but `seeds` are tables of options."
            ) from error

    def runs(self) -> list[tuple[str, int, dict[str, Any]]]:
        """List arm name, seed and training options of each run; all arms run once before any gets its second seed."""
        arms = {name: dict(options or {}) for name, options in self.arms.items()}
        seeds = {name: options.pop("seeds", self.seeds) for name, options in arms.items()}
        longest = max(map(len, seeds.values()))
        return [
            (name, seeds[name][turn], {**self.data, **self.training, **options})
            for turn in range(longest)
            for name, options in arms.items()
            if turn < len(seeds[name])
        ]


def main(args: argparse.Namespace) -> None:
    """Do the remaining runs, then write the table."""
    grid = Grid.from_file(args.grid)
    if args.dataset_name is not None:
        grid = replace(grid, data={**grid.data, "dataset_name": args.dataset_name})
    runs = grid.runs()
    for number, (name, seed, options) in enumerate(runs, 1):
        folder = args.output_dir / f"{name}-{seed}"
        print(f"{number} of {len(runs)}: {folder}", flush=True)
        train(folder, {**options, "seed": seed})
        evaluate(folder, {**grid.data, **grid.evaluation}, args.output_dir / "evaluation")
        if not is_measured(folder / "costs.json"):
            write_costs(folder)
    table = tabulate(args.output_dir, runs)
    (args.output_dir / "table.md").write_text(table + "\n", encoding="utf-8")
    first_runs = {name: args.output_dir / f"{name}-{seed}" for name, seed, _ in reversed(runs)}
    side_by_side({name: first_runs[name] for name in grid.arms}).save(args.output_dir / "sheet.png")
    print(table)


def train(folder: Path, options: Mapping[str, Any]) -> None:
    """Train a run to its end; nothing is left to do if it has ended.

    Raises:
        ValueError: If it was begun with other options or on other data.
    """
    resolved = resolve(training.parse_args, options)
    begun = (folder / TRAINED).is_file() or any(folder.glob("checkpoint-*"))
    remedy = "Delete this folder to train again, or name another --output_dir."
    keep(folder / "training.json", describe(resolved, resolved.train_split), begun=begun, remedy=remedy)
    if (folder / TRAINED).is_file():
        return
    for name in ("figures.json", "costs.json"):  # of a model that is there no more
        (folder / name).unlink(missing_ok=True)
    started = time.perf_counter()
    try:
        run_script("train_spade.py", options, output_dir=folder, resume_from_checkpoint="latest")
    finally:
        add_seconds(folder, time.perf_counter() - started)


def evaluate(folder: Path, options: Mapping[str, Any], shared: Path) -> None:
    """Evaluate a run; nothing is left to do if it has figures.

    Args:
        folder (`Path`): Of the run.
        options (`Mapping[str, Any]`): Of the evaluation.
        shared (`Path`): Folder of the segmenter, which is trained once.

    Raises:
        ValueError: If its figures are of other options or of other data.
    """
    resolved = resolve(evaluation.parse_args, options)
    description = describe(resolved, resolved.split)
    if resolved.segmenter == "train" and resolved.dataset_name is not None:
        pairs = argparse.Namespace(**vars(resolved))
        pairs.dataset_name = resolved.segmenter_dataset or resolved.dataset_name
        try:
            description["segmenter data"] = describe_data(pairs, resolved.segmenter_split or "train")
        except ValueError:  # then it is not trained, and the figures say why
            pass
    figures = folder / "figures.json"
    remedy = f"Delete {figures} to evaluate again, or name another --output_dir."
    keep(folder / "evaluation.json", description, begun=figures.is_file(), remedy=remedy)
    if not figures.is_file():
        run_script("evaluate_spade.py", options, model=folder, json=figures, output_dir=shared)
        (shared / "sheet.png").replace(folder / "sheet.png")


def is_measured(file: Path) -> bool:
    """Whether the costs are known, for this number of threads."""
    return file.is_file() and json.loads(file.read_text()).get("threads") == torch.get_num_threads()


def run_script(script: str, options: Mapping[str, Any], **more: Any) -> None:
    """Run one of the scripts in examples/.

    Raises:
        ValueError: If it fails; the script has printed the reason.
    """
    words = as_words({**options, **more})
    status = subprocess.run([sys.executable, str(SCRIPTS / script), *words]).returncode
    if status != 0:
        raise ValueError(f"{script} ended with status {status}. Fix what it says, and run the same command again.")


def add_seconds(folder: Path, seconds: float) -> None:
    """Store the training time, including that of earlier starts."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "seconds.json"
    before = json.loads(file.read_text()) if file.is_file() else 0.0
    file.write_text(json.dumps(before + seconds))


@torch.no_grad()
def write_costs(folder: Path) -> None:
    """Measure a model: its generator's parameters, and the time per picture for masks of random blocks of labels."""
    pipeline = SPADEPipeline.from_pretrained(str(folder))
    generator, config = pipeline.generator, pipeline.generator.config
    height, width = generator.native_size
    rng, seconds = torch.Generator().manual_seed(0), []
    for _ in range(TIMED_PICTURES + 1):  # the first one warms up
        blocks = torch.randint(config.num_labels, (1, -(-height // 16), -(-width // 16)), generator=rng)
        mask = blocks.repeat_interleave(16, 1).repeat_interleave(16, 2)[:, :height, :width]
        edges = torch.zeros_like(mask) if config.use_instance_edges else None
        z = None if config.latent_dim is None else torch.randn(1, config.latent_dim, generator=rng)
        started = time.perf_counter()
        generator(mask, z, instance_edges=edges)
        seconds.append(time.perf_counter() - started)
    costs = {
        "parameters": generator.num_parameters(),
        "seconds_per_picture": statistics.median(seconds[1:]),
        "threads": torch.get_num_threads(),
    }
    (folder / "costs.json").write_text(json.dumps(costs))


def tabulate(output_dir: Path, runs: Sequence[tuple[str, int, Mapping[str, Any]]]) -> str:
    """Format a Markdown table: one line per arm, with mean and range over its seeds."""
    arms: dict[str, dict[int, dict[str, float | None]]] = {}
    for name, seed, _ in runs:
        arms.setdefault(name, {})[seed] = read_run(output_dir / f"{name}-{seed}")
    rows = [row for seeds in arms.values() for row in seeds.values()]
    columns = [column for column in rows[0] if any(row[column] is not None for row in rows)]
    lines = [f"| arm | seeds | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for name, seeds in arms.items():
        cells = [mean_and_range([row[column] for row in seeds.values()]) for column in columns]
        lines.append(f"| {name} | {', '.join(map(str, seeds))} | {' | '.join(cells)} |")
    return "\n".join(lines)


def read_run(folder: Path) -> dict[str, float | None]:
    """Read the figures of a run, by the table's columns."""
    figures, costs = (json.loads((folder / name).read_text()) for name in ("figures.json", "costs.json"))
    seconds = folder / "seconds.json"
    return {
        **{name: figures[name] for name in FIGURES},
        "painted miou": None if figures["painted"] is None else figures["painted"]["miou"],
        "parameters, M": costs["parameters"] / 1e6,
        "ms per picture": 1000 * costs["seconds_per_picture"],
        "training, min": json.loads(seconds.read_text()) / 60 if seconds.is_file() else None,
    }


def side_by_side(folders: Mapping[str, Path]) -> Image.Image:
    """Combine mask, real picture, and each arm's picture of the exact mask, the first three columns of its sheet."""
    columns: list[Image.Image] = []
    for folder in folders.values():
        report = json.loads((folder / "figures.json").read_text())
        height, width = report["settings"]["resolution"]
        num_rows = min(SHEET_ROWS, report["counts"]["pictures"])
        with Image.open(folder / "sheet.png") as sheet:
            shown = range(3) if not columns else [2]
            top = sheet.height - num_rows * height  # below the headings
            columns += [sheet.crop((width * number, top, width * (number + 1), sheet.height)) for number in shown]
    whole = Image.new("RGB", (columns[0].width * len(columns), columns[0].height))
    for number, column in enumerate(columns):
        whole.paste(column, (number * column.width, 0))
    return add_headings(whole, ["mask", "real", *folders])


def mean_and_range(values: Sequence[float | None]) -> str:
    """Format the mean and, for several values, half of their range."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    mean = f"{statistics.mean(known):.3g}"
    return mean if len(known) == 1 else f"{mean} ± {(max(known) - min(known)) / 2:.2g}"


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    parser = OptionParser(description=__doc__.partition("\n")[0])
    parser.add_argument("grid", type=Path, help="YAML or JSON file")
    parser.add_argument("--dataset_name", help="Hub data set, folder or parquet file, instead of the grid's")
    parser.add_argument("--output_dir", type=Path, default=Path("ablation"), help="one folder per run, and table.md")
    parser.add_argument("--threads", type=count, help="CPU threads for timing pictures")
    args = parser.parse_args(arguments)
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    return args


if __name__ == "__main__":
    sys.exit(status_of(lambda: main(parse_args()), {}))
