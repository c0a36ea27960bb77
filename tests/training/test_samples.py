"""Grids of sample images."""

import numpy as np
import pytest

from spade_hf.training import ModelEMA
from spade_hf.training.publishing import export_pipeline
from spade_hf.training.samples import paint_samples, sample_grid, save_image

from ..training_data import LABELS, make_dataset, make_networks, make_rows, mask


def averages():
    networks = make_networks()
    return {name: ModelEMA(networks[name], 0.9) for name in ("generator", "style_encoder")}


@pytest.mark.parametrize(("latent_dim", "with_encoder", "columns"), [(4, True, 5), (4, False, 4), (None, False, 3)])
def test_grid_has_a_column_for_every_style(latent_dim, with_encoder, columns):
    ours = averages()
    if not with_encoder:
        del ours["style_encoder"]
    if latent_dim is None:
        generator = type(ours["generator"].model).from_config({**ours["generator"].model.config, "latent_dim": None})
        ours = {"generator": ModelEMA(generator, 0.9)}
    dataset = make_dataset()
    pipeline = export_pipeline(ours, dataset, 2, num_batches=1)
    samples = [dataset[0], dataset[1]]
    sheet = np.array(sample_grid(paint_samples(pipeline, samples)))
    headings, grid = sheet[:-64], sheet[-64:]
    assert grid.shape == (2 * 32, columns * 32, 3) and 10 < len(headings) < 40
    for heading in np.split(headings, columns, axis=1):  # black on white, in each column
        assert heading.min() < 100 and np.mean(heading == 255) > 0.5
    for row, sample in enumerate(samples):
        tiles = np.split(grid[32 * row : 32 * (row + 1)], columns, axis=1)
        assert np.array_equal(tiles[0], LABELS.palette[sample["label_map"].numpy()])
        real = (sample["real_images"].movedim(0, -1).numpy() + 1) * 127.5
        assert np.abs(tiles[1].astype(float) - real).max() <= 1
    assert np.array_equal(sheet, np.array(sample_grid(paint_samples(pipeline, samples))))


def test_grid_of_a_model_with_edges():
    rows = make_rows(instance=[mask(index) for index in range(6)])
    dataset = make_dataset(rows, instance_column="instance")
    networks = make_networks()
    generator = type(networks["generator"]).from_config(networks["generator"].config, use_instance_edges=True)
    ours = {"generator": ModelEMA(generator, 0.9)}
    pipeline = export_pipeline(ours, dataset, 2, num_batches=1)
    assert sample_grid(paint_samples(pipeline, [dataset[0]])).width == 4 * 32


def test_images_are_saved_with_their_folders(tmp_path):
    save_image(mask(0, mode="RGB"), tmp_path / "a" / "b" / "c.png")
    assert (tmp_path / "a" / "b" / "c.png").is_file()
