"""One table for the two samplers of label maps: the library's, in Python, and the static page's, in JavaScript.

    python -m tests.outline_cases

writes it anew, from the library. A label map is a list of rows, a letter per pixel, and "." where it is not painted.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spade_hf.pipelines.parts import find_parts, keep_parts
from spade_hf.pipelines.refinement import refine_label_maps


FILE = Path(__file__).with_name("outline_cases.json")
LABELS = "abc"
LEVELS = {"min_log_snr": -12.0, "max_log_snr": 4.0}
# A network that both languages can compute: at each pixel,
# logits[l] = sum over k of noisy[l][k] x[k] + painted[l][label] + level[l] * log_snr.
NETWORK = {
    "noisy": [[2.0, -0.75, 0.25], [-0.5, 1.75, 0.5], [0.25, -0.25, 2.25]],
    "painted": [[1.5, -0.5, -1.0, 0.5], [-1.0, 1.0, 0.25, 0.25], [-0.5, -0.25, 1.25, 0.75]],
    "level": [0.125, -0.0625, 0.03125],
}
SCENE = """\
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
aaaccccccccccccccccccccaaaaaaaaa
aaaaaaaaaaaaaaaaaaaaaaacaaaaaaaa
aaaaaaaaaaaaaaaaaaaaaaaccaaaaaaa
aaaaaaabbbbaaaaaaaaaaaaacaaaaaaa
aaaaaabbbbbbaaaaaaaaaaaaccaaaaaa
bbbbbbbbbbbbbbbaaaaaaaaaacaaaaaa
bbbbbbbbbbbbbbbbbaaaaaaaacaaabbb
bbbbbbbbbbbbbbbbbbbbbbbbbcbbbbbb
bbbbbbbbbbbbbbbbbbbbbbbbbcbbbbbb
bbbccccccbbbbbbbbbbbbbbbbccbbbbb
bbbccccccbbbbbaabbbbbbbbbbcbbbbb
bbbccccccbbbbbaabbbbbbbbbbccccbb
bbbccccccbbbbbbbbbbbbbbbbbbbbbbb
bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb""".split("\n")
HOLES = [row[:10] + 14 * "." + row[24:] if 3 < number < 12 else row for number, row in enumerate(SCENE)]
ONE_LABEL_HOLES = [row.replace("a", ".").replace("c", ".") for row in SCENE]
NOTHING = [32 * "."] * 16
BARS = [32 * "a"] * 3 + ["a" + 30 * "b" + "a"] * 2 + [32 * "a"] * 4 + ["a" + 12 * "b" + 19 * "a"] * 2 + [32 * "a"] * 5
REFINED: list[dict[str, Any]] = [
    {"painted": SCENE, "strength": 0.5, "steps": 4, "seed": 1},
    {"painted": SCENE, "strength": 1.0, "steps": 1, "seed": 2},
    {"painted": SCENE, "strength": 0.7, "steps": 3, "seed": 3},
    {"painted": SCENE, "strength": 0.0, "steps": 4, "seed": 4},
    {"painted": [row.replace("c", "b") for row in SCENE], "strength": 0.9, "steps": 4, "seed": 5},
    {"painted": HOLES, "strength": 0.0, "steps": 2, "seed": 6},
    {"painted": HOLES, "strength": 0.5, "steps": 4, "seed": 7},
    {"painted": ONE_LABEL_HOLES, "strength": 0.3, "steps": 4, "seed": 8},
    {"painted": NOTHING, "strength": 0.6, "steps": 4, "seed": 9},
]
KEPT: list[dict[str, Any]] = [
    {"painted": SCENE, "natural": [row.replace("c", "a") for row in SCENE], "seed": 1},  # a lost label
    {"painted": SCENE, "natural": [row[:12] + "aa" + row[14:] for row in SCENE], "seed": 2},  # a line in two pieces
    {"painted": SCENE, "natural": [row[::-1] for row in SCENE], "seed": 3},
    {"painted": HOLES, "natural": [row.replace("b", "c") for row in SCENE], "seed": 4},
    {
        "painted": BARS,
        "natural": [row[:6] + "a" + row[7:] for row in BARS],
        "seed": 5,
    },  # only the long one stays whole
]


def read(rows: Sequence[str]) -> np.ndarray:
    """Rows to int64 `(H, W)`."""
    return np.array([[(LABELS + ".").index(letter) for letter in row] for row in rows])


def written(label_map: np.ndarray) -> list[str]:
    return ["".join(LABELS[label] for label in row) for row in label_map]


def noise(seed: int, label_map: np.ndarray) -> Tensor:
    """float `(1, L, H, W)`."""
    return torch.randn(1, len(LABELS), *label_map.shape, generator=torch.Generator().manual_seed(seed))


class Network:
    """The network of the table, which also notes levels and what it reads at two pixels."""

    config = SimpleNamespace(num_labels=len(LABELS), **LEVELS)

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(self, noisy_map: Tensor, label_map: Tensor, log_snr: Tensor) -> SimpleNamespace:
        first, last = noisy_map[0, :, 0, 0], noisy_map[0, :, 7, 16]
        self.calls.append({"log_snr": log_snr.item(), "noisy": torch.cat([first, last]).tolist()})
        weights = {name: torch.tensor(values) for name, values in NETWORK.items()}
        logits = torch.einsum("lk,nkhw->nlhw", weights["noisy"], noisy_map)
        logits += weights["painted"].T[label_map].movedim(-1, 1) + (weights["level"] * log_snr)[:, None, None]
        return SimpleNamespace(logits=logits)


def refined(case: dict[str, Any]) -> dict[str, Any]:
    """What the sampler makes of a painted map, and what it asks the network."""
    painted, network = read(case["painted"]), Network()
    (natural,) = refine_label_maps(
        network,  # type: ignore[arg-type]
        torch.from_numpy(painted)[None],
        noise(case["seed"], painted),
        strength=case["strength"],
        num_inference_steps=case["steps"],
    )
    return {**case, "calls": network.calls, "natural": written(natural.numpy())}


def parts(rows: Sequence[str]) -> dict[str, Any]:
    """The parts of a map; with their first pixels, which number them."""
    found = find_parts(read(rows))
    return {
        "painted": rows,
        "labels": found.labels.tolist(),
        "areas": found.areas.tolist(),
        "widths": found.widths.tolist(),
        "first": np.unique(found.numbers, return_index=True)[1].tolist(),
    }


def kept(case: dict[str, Any]) -> dict[str, Any]:
    """What a natural map gets back of a painted one; scores are noise."""
    painted, natural = read(case["painted"]), read(case["natural"])
    scores = noise(case["seed"], painted)[0].numpy()
    return {**case, "kept": written(keep_parts(painted, natural, scores))}


def table() -> dict[str, Any]:
    return {
        "levels": LEVELS,
        "network": NETWORK,
        "refined": [refined(case) for case in REFINED],
        "parts": [parts(rows) for rows in (SCENE, HOLES, NOTHING, ["ab", "ba"], ["a"])],
        "kept": [kept(case) for case in KEPT],
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(table(), indent=1) + "\n", encoding="utf-8")
