import torch

from spade_hf.batch import Batch, stack_samples

from .training_data import make_dataset


def test_what_the_data_give_is_a_batch():
    dataset = make_dataset()
    batch = stack_samples([dataset[0], dataset[1]], "cpu")
    assert Batch.__required_keys__ <= set(batch) <= set(Batch.__annotations__)
    assert all(torch.equal(value[1], dataset[1][name]) for name, value in batch.items())
    assert (
        batch["real_images"].shape == (2, 3, 32, 32) and batch["label_map"].dtype == batch["seed"].dtype == torch.int64
    )
