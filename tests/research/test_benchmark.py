"""The benchmark on a small generator: it runs, and what it times paints the same images."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest


ROOT = Path(__file__).resolve().parents[2]
SMALL = "--base_channels 4 --num_labels 12 --latent_dim 8 --resolution 64 --num_masks 2 --threads 1".split()


def benchmark(*options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "research" / "benchmark.py"), *SMALL, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


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


def test_a_folder_without_masks(tmp_path: Path):
    result = benchmark("--mask_folder", str(tmp_path))
    assert result.returncode == 2
    assert "holds no mask. Give a folder of PNGs" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--resolution", "100"), "--resolution is 100; allowed are multiples of 32"),
        (("--num_masks", "0"), "--num_masks is 0; give 1 or more"),
        (("--device", "tpu"), "invalid choice: 'tpu'"),
    ],
)
def test_bad_options(options: tuple[str, str], message: str):
    result = benchmark(*options)
    assert result.returncode == 2
    assert message in result.stderr


def test_a_column_that_is_not_there(tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    file = str(tmp_path / "pairs.parquet")
    datasets.Dataset.from_dict({"image": [1], "mask": [2]}).to_parquet(file)
    result = benchmark("--dataset_name", file, "--mask_column", "label")
    assert result.returncode == 2
    assert "--mask_column is 'label'; the data set has ['image', 'mask']" in result.stderr


@pytest.mark.parametrize("option", [("--suites", "training"), ("--suites", "styles", "--dataset_name", "a/b")])
def test_missing_packages_are_found_at_the_start(option: tuple[str, ...]):
    research = str(ROOT / "research")
    code = (
        f"import sys; sys.modules['accelerate'] = None; sys.path.insert(0, {research!r})\n"
        "import benchmark; benchmark.main()"
    )
    command = [sys.executable, "-c", code, *SMALL, *option]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 2, result.stderr
    assert "accelerate is missing for the suites training and recipe or --dataset_name: pip install" in result.stderr
    assert result.stdout == ""  # no suite ran


def test_images_beside_the_masks_are_not_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(ROOT / "research")
    from benchmark_tools import load_label_maps

    options = {"mask_folder": ROOT / "examples" / "assets", "dataset_name": None, "num_masks": 13, "resolution": 64}
    maps = load_label_maps(argparse.Namespace(**options, num_labels=12, device="cpu"))
    assert len(maps) == 3 and all(label_map.max() < 12 for label_map in maps)


def test_a_half_size_head():
    """It begins with the model's own images, and costs a few percent for four times the pixels."""
    mask = ROOT / "examples" / "assets" / "lake_mask.png"
    command = [sys.executable, str(ROOT / "research" / "benchmark_head.py"), "--masks", str(mask), "--rounds", "1"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "the model's images, enlarged: within 0e+00" in result.stdout
    own, head, large = (float(line.split()[-1]) for line in result.stdout.splitlines()[-3:])
    assert own < head < 1.1 * own and large > 3 * own
