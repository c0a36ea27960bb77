"""SPADE layers in custom networks, with label maps and one-hot tensors as masks."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spade_hf import SPADE, SPADEResnetBlock
from spade_hf.layers import read_mask


LABELS = 5


def label_map(batch_size: int = 2) -> torch.Tensor:
    return torch.randint(LABELS, (batch_size, 12, 16), generator=torch.Generator().manual_seed(0))


def layer(kind: str) -> nn.Module:
    torch.manual_seed(1)
    module = SPADE(8, LABELS) if kind == "spade" else SPADEResnetBlock(8, 4, LABELS)
    return module.double().eval()


@torch.no_grad()
@pytest.mark.parametrize("kind", ["spade", "block"])
def test_label_maps_and_one_hot_masks_give_the_same(kind: str):
    module, ids = layer(kind), label_map()
    x = torch.randn(2, 8, 6, 8, dtype=torch.float64)  # half the mask's size
    by_ids = module(x, ids)
    one_hot = F.one_hot(ids, LABELS).movedim(-1, 1).double()
    torch.testing.assert_close(by_ids, module(x, one_hot))
    shared = read_mask(
        ids, None, num_labels=LABELS, use_unknown_label=False, use_instance_edges=False, dtype=torch.float64
    )
    torch.testing.assert_close(by_ids, module(x, shared), atol=0, rtol=0)
    assert not torch.allclose(by_ids, module(x, (ids + 1) % LABELS))


@torch.no_grad()
@pytest.mark.parametrize("kind", ["spade", "block"])
def test_several_images_of_each_mask(kind: str):
    module, ids, x = layer(kind), label_map(), torch.randn(6, 8, 12, 16, dtype=torch.float64)
    torch.testing.assert_close(module(x, ids), module(x, ids.repeat_interleave(3, dim=0)))


def test_gradients_reach_the_layer_in_a_network_of_ones_own():
    network = nn.ModuleList([SPADE(8, LABELS), nn.Conv2d(8, 3, 3, padding=1)])
    x = torch.randn(2, 8, 12, 16, requires_grad=True)
    network[1](network[0](x, label_map(), negative_slope=0.2)).square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in [x, *network.parameters()])


@pytest.mark.parametrize("has_edges", [True, False])
@pytest.mark.parametrize("bad", [-1, LABELS, 255])
def test_a_compiled_graph_refuses_unknown_ids_too(bad: int, has_edges: bool):
    """It would otherwise read them modulo the number of labels."""

    def segmap(ids: torch.Tensor, edges: torch.Tensor | None) -> torch.Tensor:
        labels = {"num_labels": LABELS, "use_unknown_label": False, "use_instance_edges": has_edges}
        return read_mask(ids, edges, **labels, dtype=torch.float32).segmap_at((6, 8))

    compiled = torch.compile(segmap, backend="aot_eager", fullgraph=not has_edges)
    ids, edges = label_map(), torch.zeros(2, 12, 16, dtype=torch.bool) if has_edges else None
    torch.testing.assert_close(compiled(ids, edges), segmap(ids, edges), atol=0, rtol=0)
    ids[1, 3, 4] = bad
    with pytest.raises(RuntimeError, match=r"`segmap` has unknown label ids; this model knows the channels 0\.\.4"):
        compiled(ids, edges)
    with pytest.raises(ValueError, match=rf"`segmap` has label ids \[{bad}\]; this model knows the channels 0\.\.4"):
        segmap(ids, edges)


@pytest.mark.parametrize("kind", ["spade", "block"])
@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.full((2, 12, 16), LABELS), r"label ids \[5\]; this model knows the channels 0..4"),
        (torch.zeros(2, LABELS + 1, 12, 16), "6 channels; this model reads 5"),
        (torch.zeros(12, 16), r"float32 of shape \(12, 16\); pass label channels"),
        (torch.zeros(3, 12, 16).long(), "`x` has 2 images and `mask` has 3 masks"),
    ],
)
def test_masks_that_do_not_fit(kind: str, mask: torch.Tensor, message: str):
    with pytest.raises(ValueError, match=message):
        layer(kind)(torch.zeros(2, 8, 12, 16, dtype=torch.float64), mask)
