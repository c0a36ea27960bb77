"""The segmenter's loss, against its definition."""

import pytest
import torch
import torch.nn.functional as F

from spade_hf.losses.labels import label_loss


IGNORED = 3


def case():
    rng = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 4, 6, generator=rng), torch.randint(4, (2, 8, 12), generator=rng)


def test_it_is_the_mean_over_labeled_pixels():
    logits, label_map = case()
    enlarged = F.interpolate(logits, (8, 12), mode="bilinear").log_softmax(dim=1)
    known = label_map != IGNORED
    chosen = enlarged.gather(1, label_map.clamp(max=2)[:, None])[:, 0]
    torch.testing.assert_close(label_loss(logits, label_map, ignored=IGNORED), -chosen[known].mean())


def test_unknown_pixels_teach_nothing():
    logits, label_map = case()
    logits.requires_grad_()
    label_map[0] = IGNORED
    label_loss(logits, label_map, ignored=IGNORED).backward()
    assert (logits.grad[0] == 0).all() and (logits.grad[1] != 0).any()


def test_a_batch_without_labels_is_zero():
    logits, label_map = case()
    assert label_loss(logits, torch.full_like(label_map, IGNORED), ignored=IGNORED).item() == pytest.approx(0)
