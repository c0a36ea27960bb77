"""The benchmark on a small generator: it runs, and what it times paints the same images."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from ..waiting import LONGEST


ROOT = Path(__file__).resolve().parents[2]
RESEARCH = ROOT / "research"
SMALL = "--base_channels 4 --num_labels 12 --latent_dim 8 --resolution 64 --num_masks 2 --threads 1".split()


def benchmark(*options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(RESEARCH / "benchmark.py"), *SMALL, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=LONGEST)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Iterator[Callable[..., str]]:
    """Run the benchmark with options that end it before its first suite; return the error."""
    monkeypatch.syspath_prepend(RESEARCH)
    import benchmark

    def refused(*options: str) -> str:
        monkeypatch.setattr(sys, "argv", ["benchmark.py", *SMALL, *options])
        with pytest.raises(SystemExit, match="^2$"):
            benchmark.main()
        out, error = capsys.readouterr()
        assert out == ""
        return error

    threads = torch.get_num_threads()
    yield refused
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_suites(tmp_path: Path):
    file = tmp_path / "results.json"
    result = benchmark(
        "--suites", "latency", "breakdown", "styles", "training", "recipe", "equality", "--json", str(file)
    )
    assert result.returncode == 0, result.stderr
    results = json.loads(file.read_text())
    latency = {row["variant"]: row for row in results["latency"]}
    for name in ("dense fp32", "sparse fp32"):
        assert 0 < latency[name]["largest error"] < 1e-4  # another order of the sums, not another image
    for name in ("dense bf16", "sparse bf16"):
        assert latency[name]["PSNR, dB"] > 40
    assert [row["type"] for row in results["breakdown"]] == ["fp32", "bf16"]
    assert all(row["backbone's convolutions"] > 0 for row in results["breakdown"])
    assert [row["backend"] for row in results["styles"]] == ["dense", "sparse"]
    assert [row["work"] for row in results["training"]] == ["forward and backward", "whole iteration"]
    types = ["fp32", "bf16 autocast", "bf16 autocast, reused fakes"]
    assert [row["type"] for row in results["recipe"]] == types
    for row in results["equality"]:
        if row["pair"].endswith("on the same side of every kink"):
            assert row["gradients"] < 1e-4
    float64 = results["equality"][0]
    assert float64["images"] < 5e-12
    assert float64["gradients"] < 1e-10
    assert "Latency of one image" in result.stdout


@pytest.mark.slow
def test_suites_of_large_images(tmp_path: Path):
    file = tmp_path / "results.json"
    result = benchmark("--suites", "memory", "scaling", "--json", str(file))
    assert result.returncode == 0, result.stderr
    results = json.loads(file.read_text())
    assert [row["resolution"] for row in results["memory"]] == [256, 512, 1024]
    shares = [row["distinct, %"] for row in results["scaling"] if row["case"].startswith("random")]
    assert shares == sorted(shares)


def test_a_folder_without_masks(refused: Callable[..., str], tmp_path: Path):
    assert "holds no mask. Give a folder of PNGs" in refused("--mask_folder", str(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--resolution", "100"), "--resolution is 100; allowed are multiples of 32"),
        (("--num_masks", "0"), "--num_masks is 0; give 1 or more"),
        (("--device", "tpu"), "invalid choice: 'tpu'"),
    ],
)
def test_bad_options(refused: Callable[..., str], options: tuple[str, str], message: str):
    assert message in refused(*options)


def test_a_column_that_is_not_there(refused: Callable[..., str], tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    file = str(tmp_path / "pairs.parquet")
    datasets.Dataset.from_dict({"image": [1], "mask": [2]}).to_parquet(file)
    error = refused("--dataset_name", file, "--mask_column", "label")
    assert "--mask_column is 'label'; the data set has ['image', 'mask']" in error


def test_missing_packages_are_found_at_the_start(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch):
    message = "accelerate is missing for the suites training and recipe or --dataset_name: pip install"
    code = (
        f"import sys; sys.modules['accelerate'] = None; sys.path.insert(0, {str(RESEARCH)!r})\n"
        "import benchmark; benchmark.main()"  # which imports nothing that needs the package
    )
    command = [sys.executable, "-c", code, *SMALL, "--suites", "training"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST)
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    assert message in result.stderr

    monkeypatch.setitem(sys.modules, "accelerate", None)
    assert message in refused("--suites", "styles", "--dataset_name", "a/b")


def test_images_beside_the_masks_are_not_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(RESEARCH)
    from benchmark_tools import load_label_maps

    options = {"mask_folder": ROOT / "examples" / "assets", "dataset_name": None, "num_masks": 13, "resolution": 64}
    maps = load_label_maps(argparse.Namespace(**options, num_labels=12, device="cpu"))
    assert len(maps) == 3 and all(label_map.max() < 12 for label_map in maps)


def test_a_half_size_head():
    """It costs a few percent for four times the pixels."""
    mask = ROOT / "examples" / "assets" / "lake_mask.png"
    script, options = str(RESEARCH / "benchmark_head.py"), ["--rounds", "1", "--threads", "1"]
    command = [sys.executable, script, "--masks", str(mask), *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST)
    assert result.returncode == 0, result.stderr
    own, head, large = (float(line.split()[-1]) for line in result.stdout.splitlines()[-3:])
    assert own < head < 1.1 * own and large > 3 * own
