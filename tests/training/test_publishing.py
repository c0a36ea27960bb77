"""Pipelines of averaged networks."""

import torch

from spade_hf import SPADEPipeline
from spade_hf.training import ModelEMA
from spade_hf.training.publishing import export_pipeline

from ..training_data import LABELS, make_dataset, make_networks, mask


def averages():
    networks = make_networks()
    return {name: ModelEMA(networks[name], 0.9) for name in ("generator", "style_encoder")}


def test_the_pipeline_is_fused_saved_and_paints(tmp_path):
    ours = averages()
    before = {name: value.clone() for name, value in ours["generator"].model.state_dict().items()}
    pipeline = export_pipeline(ours, make_dataset(), 2, num_batches=3)
    assert not pipeline.generator.config.use_spectral_norm and not pipeline.style_encoder.config.use_spectral_norm
    assert not [name for name in pipeline.generator.state_dict() if "parametrizations" in name]
    after = ours["generator"].model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)  # what is trained is not touched

    pipeline.save_pretrained(str(tmp_path))
    loaded = SPADEPipeline.from_pretrained(str(tmp_path))
    z = torch.zeros(1, 4)
    expected, found = (one(mask(0), latents=z, output_type="pt").images for one in (pipeline, loaded))
    torch.testing.assert_close(found, expected)
    assert found.shape == (1, 3, 32, 32) and found.std() > 0
    assert loaded.image_processor.label_set == LABELS


def test_statistics_are_estimated_from_the_data_and_repeat():
    pipelines = [export_pipeline(averages(), make_dataset(), 2, num_batches=2) for _ in range(2)]
    first, second = (one.generator.state_dict() for one in pipelines)
    assert all(torch.equal(first[name], second[name]) for name in first)
    counts = {value.item() for name, value in first.items() if name.endswith("num_batches_tracked")}
    assert counts == {2}
    more = export_pipeline(averages(), make_dataset(), 2, num_batches=3).generator.state_dict()
    assert any(not torch.equal(first[name], more[name]) for name in first if "running_mean" in name)
