"""What a graph is told about itself."""

import pytest
import torch
from torch import Tensor, nn

from spade_hf.execution.graphs import is_exporting


class Told(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if is_exporting() else x


def test_a_compiled_graph_is_not_exported():
    """torch 2.8 tells it that it is: a generator would lose sparse modulation, a feature network its padding."""
    torch._dynamo.reset()
    x = torch.zeros(2)
    assert torch.equal(torch.compile(Told(), fullgraph=True, backend="eager")(x), x)
    assert torch.equal(Told()(x), x)


@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_graph_is(strict: bool):
    x = torch.zeros(2)
    assert torch.equal(torch.export.export(Told(), (x,), strict=strict).module()(x), x + 1)
    assert not is_exporting()
