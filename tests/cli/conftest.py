"""A tiny saved model, a mask for it, and how a command fails."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spade_hf import LabelSet, SPADEGenerator, SPADEImageProcessor, SPADEPipeline, SPADEStyleEncoder
from spade_hf_cli import main


SIZE = 32


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    generator = SPADEGenerator(
        num_labels=12, image_size=SIZE, base_channels=4, latent_dim=8, spade_hidden_channels=8, use_spectral_norm=False
    )
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    encoder = SPADEStyleEncoder(image_size=32, base_channels=4, channel_mult=(1, 2), latent_dim=8)
    folder = tmp_path_factory.mktemp("models") / "street_model"
    processor = SPADEImageProcessor(label_set=LabelSet.from_name("landscapes"))
    SPADEPipeline(generator, processor, encoder).save_pretrained(folder)
    return folder


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    path = tmp_path / "mask.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 12, (SIZE, SIZE), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def fails(capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Run a command that must fail with status 2 and one line that matches; returns the line."""

    def run(*arguments: object, match: str) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: ")
        assert re.search(match, lines[0]), lines[0]
        return lines[0]

    return run
