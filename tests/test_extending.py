"""The examples of docs/extending.md run, in their order, and are what the page says of them."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from spade_hf import SPADEGenerator, SPADEImageProcessor, SPADEPipeline
from spade_hf.labels.label_set import LabelSet
from spade_hf.layers import MASK_NORMS
from spade_hf.losses import TERMS, Objective
from spade_hf.metrics import FIGURES
from spade_hf.training import DISCRIMINATORS, Pretrained, discriminator_step, generator_step
from spade_hf.training.monitoring import read_metrics

from .tiny_networks import (
    NUM_LABELS,
    assert_finite_gradients,
    random_images,
    random_label_map,
    random_latents,
    randomized,
    tiny_discriminator,
    tiny_generator,
)
from .training_data import write_imagefolder
from .waiting import LONGEST


PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
SMALL = {"num_labels": NUM_LABELS, "image_size": 64, "base_channels": 4, "latent_dim": 8}


@pytest.fixture(scope="module")
def page():
    """What the page's blocks define."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    module, tables = ModuleType("page"), [TERMS, MASK_NORMS, DISCRIMINATORS, FIGURES]
    before = [dict(table) for table in tables]
    sys.modules["page"] = module  # as if it had been imported
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), vars(module))
    yield module
    del sys.modules["page"]
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)


def batch_of(label_map):
    return {"label_map": label_map, "real_images": random_images(), "seed": torch.arange(len(label_map))}


@pytest.mark.parametrize("name", ["clade", "conditional_batch"])
def test_a_norm_trains_saves_and_paints(name, page, tmp_path):
    generator = randomized(SPADEGenerator(**SMALL, mask_norm=name), seed=0)
    norms = [module for module in generator.modules() if isinstance(module, page.CLADE)]
    assert len(norms) == sum(3 if block.has_learned_shortcut else 2 for block in generator.blocks)
    generator.train()
    options = {"objective": Objective({"perceptual": 0, "roughness": 0}), "latent_dim": 8}
    output = generator_step(generator, None, tiny_discriminator(), batch_of(random_label_map()), **options)
    output.loss.backward()
    assert_finite_gradients(generator)

    processor = SPADEImageProcessor(label_set=LabelSet.anonymous(NUM_LABELS))
    SPADEPipeline(generator.eval(), processor).save_pretrained(tmp_path)
    pipeline = SPADEPipeline.from_pretrained(tmp_path)
    assert pipeline.generator.config.mask_norm == name
    mask, latents = random_label_map(batch_size=1), random_latents(1)
    image = pipeline(mask, latents=latents, output_type="pt").images
    torch.testing.assert_close(image, (generator(mask, latents).images / 2 + 0.5).clamp(0, 1))


def test_what_the_norms_see(page):
    """CLADE sees a label where it is; conditional batch norm sees how much there is of it."""
    layers = {name: randomized(getattr(page, name)(3, NUM_LABELS), 1) for name in ("CLADE", "ConditionalBatchNorm")}
    x, label_map = torch.randn(1, 3, 8, 8), random_label_map((8, 8), 1)
    label_map[:, :4] = (label_map[:, 4:] + 1) % NUM_LABELS
    spade = tiny_generator()

    def modulated(name, label_map):
        return layers[name](x, spade.read_mask(label_map, None, dtype=x.dtype))

    flipped = label_map.flip(1)
    torch.testing.assert_close(*(modulated("ConditionalBatchNorm", one) for one in (label_map, flipped)))
    changed = (modulated("CLADE", label_map) != modulated("CLADE", flipped)).any(dim=1)
    assert torch.equal(changed, label_map != flipped)


def test_known_labels_keep_what_another_norm_learned(page):
    """Fine-tuning finds the weights that read the mask by what the norm says of itself."""
    old, new = (
        SPADEImageProcessor(label_set=LabelSet.anonymous(4)),
        SPADEImageProcessor(label_set=LabelSet.anonymous(5)),
    )
    trained, fresh = (SPADEGenerator(**{**SMALL, "num_labels": count}, mask_norm="clade") for count in (4, 5))
    randomized(trained, 0).fuse_spectral_norm()
    before = fresh.blocks[0].norm1.gamma_beta.weight.clone()
    Pretrained({"generator": trained}, old).initialize({"generator": fresh}, new)
    weight = fresh.blocks[0].norm1.gamma_beta.weight
    assert torch.equal(weight[:, :4], trained.blocks[0].norm1.gamma_beta.weight)
    assert torch.equal(weight[:, 4], before[:, 4])


def test_a_discriminator_with_its_objective(page):
    generator, discriminator = (
        tiny_generator().train(),
        page.PixelDiscriminator(num_labels=NUM_LABELS, base_channels=16),
    )
    batch, options = batch_of(random_label_map()), {"objective": page.objective, "latent_dim": 8}
    output = discriminator_step(generator, None, discriminator, batch, **options)
    output.loss.backward()
    assert_finite_gradients(discriminator)
    assert list(output.terms) == ["discriminator_real", "discriminator_fake"]
    discriminator.requires_grad_(False)
    output = generator_step(generator, None, discriminator, batch, **options)
    output.loss.backward()
    assert_finite_gradients(generator)
    assert list(output.terms) == ["adversarial"]  # no features, no perceptual network, no style encoder


def test_it_learns_labels(page):
    """Real images that show their labels: after some updates, real pixels are told from fake ones by label."""
    torch.manual_seed(0)
    generator, discriminator = tiny_generator(), page.PixelDiscriminator(num_labels=NUM_LABELS, base_channels=16)
    label_map = random_label_map()
    batch = {**batch_of(label_map), "real_images": (label_map[:, None].expand(-1, 3, -1, -1) / 2 - 0.75)}
    optimizer = torch.optim.Adam(discriminator.parameters(), 0.02)
    for _ in range(60):
        options = {"objective": page.objective, "latent_dim": 8}
        output = discriminator_step(generator, None, discriminator, batch, **options)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
    (logits,), _ = discriminator(label_map, batch["real_images"], return_dict=False)
    assert (logits.argmax(dim=1) == label_map).float().mean() > 0.8


def test_a_term(page):
    generator, batch = tiny_generator(), batch_of(random_label_map())
    assert Objective().weights["roughness"] == 1 and Objective({"roughness": 3}).weights["roughness"] == 3
    weights = {"perceptual": 0, "feature_matching": 0, "adversarial": 0, "roughness": 3}
    options = {"objective": Objective(weights), "latent_dim": 8}
    output = generator_step(generator, None, tiny_discriminator(), batch, **options)
    assert list(output.terms) == ["roughness"]
    torch.testing.assert_close(output.loss, 3 * output.terms["roughness"])


def test_a_source_of_data(page):
    batches = list(page.loader)
    assert len(batches) == 3
    for batch in batches:
        assert batch["real_images"].shape == (2, 3, 32, 32) and batch["label_map"].shape == (2, 32, 32)
        assert 0 <= batch["label_map"].min() and batch["label_map"].max() < 4


def test_the_training_program_imports_the_page(tmp_path):
    """Its command, with two updates; the pipeline loads once the module is imported."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.py").write_text("\n".join(blocks), encoding="utf-8")
    write_imagefolder(tmp_path / "my_data")
    (command,) = re.findall(r"^spade-hf (train .*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    words = [*shlex.split(command.replace("\\\n", " ")), "--max_train_steps", "2", "--log_steps", "1"]
    code = (
        "import sys, spade_hf_cli; sys.path.remove(''); status = spade_hf_cli.main(sys.argv[1:]); "
        "from spade_hf import SPADEPipeline; pipeline = SPADEPipeline.from_pretrained('my_model'); "
        "print(pipeline.generator.config.mask_norm); "
        "sys.exit(status)"
    )
    environment = {**os.environ, "PYTHONPATH": str(PAGE.parents[1] / "src"), "ACCELERATE_USE_CPU": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=LONGEST,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "clade"
    assert [row["roughness"] > 0 for row in read_metrics(tmp_path / "my_model" / "metrics.csv")] == [True, True]
    card = (tmp_path / "my_model" / "README.md").read_text(encoding="utf-8")
    for row in ("| mask_norm | clade |", "| discriminator | pixel |", "| roughness_weight | 1.0 |"):
        assert row in card
    arguments = json.loads((tmp_path / "my_model" / "checkpoint-2" / "arguments.json").read_text())
    assert arguments["import"] == ["mine"]
