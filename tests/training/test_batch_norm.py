"""Batch norm over gloo processes equals batch norm over the whole batch."""

import copy
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from spade_hf.training import CrossProcessBatchNorm2d, synchronize_batch_norm

from ..training_data import make_networks


BATCH = torch.randn(5, 3, 4, 6, generator=torch.Generator().manual_seed(0)) * 3 + 1
GRADIENT = torch.randn(5, 3, 4, 6, generator=torch.Generator().manual_seed(1))
PARTS = (slice(0, 2), slice(2, 5))  # of unlike size


def norm(affine: bool, momentum: float | None, kind: type = nn.BatchNorm2d) -> nn.Module:
    layer = kind(3, affine=affine, momentum=momentum).train()
    if affine:
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([0.5, 2.0, -1.0]))
            layer.bias.copy_(torch.tensor([1.0, 0.0, 3.0]))
    return layer


def passes(layer: nn.Module, part: slice) -> dict[str, torch.Tensor]:
    """Two forward passes and a backward one; everything that they give."""
    x = BATCH[part].clone().requires_grad_(True)
    y = layer(layer(x))
    y.backward(GRADIENT[part])
    results = {"output": y.detach(), "gradient": x.grad, **{name: b.clone() for name, b in layer.named_buffers()}}
    return results | {f"{name}.grad": parameter.grad for name, parameter in layer.named_parameters()}


CASES = [(True, 0.1), (False, None)]  # affine, momentum


def work(rank: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder / 'rendezvous'}", rank=rank, world_size=2)
    results = {}
    for case in CASES:
        layer = norm(*case, CrossProcessBatchNorm2d)
        results[case] = passes(layer, PARTS[rank])
        results[case]["evaluation"] = layer.eval()(BATCH[PARTS[rank]]).detach()
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each of two processes computes of its part of the batch."""
    folder = tmp_path_factory.mktemp("processes")
    mp.spawn(work, (folder,), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_are_one_batch(case, results):
    first, second = (one[case] for one in results)
    layer = norm(*case)
    expected = passes(layer, slice(None))
    expected["evaluation"] = layer.eval()(BATCH).detach()
    for name in expected:
        if name in ("output", "gradient", "evaluation"):
            found = torch.cat([first[name], second[name]])
        elif name.endswith(".grad"):  # of parameters: each process has the part of its samples
            found = first[name] + second[name]
        else:
            torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)
            found = first[name]
        torch.testing.assert_close(found, expected[name], rtol=1e-5, atol=1e-5)


def test_alone_it_is_plain_batch_norm():
    expected, found = (
        passes(norm(True, 0.1, kind), slice(None)) for kind in (nn.BatchNorm2d, CrossProcessBatchNorm2d)
    )
    for name in expected:
        assert torch.equal(found[name], expected[name])


@pytest.mark.parametrize(("device", "kind"), [("cpu", CrossProcessBatchNorm2d), ("cuda", nn.SyncBatchNorm)])
def test_a_network_is_converted_in_place_and_keeps_its_keys(device, kind):
    plain = make_networks()["generator"]
    converted = synchronize_batch_norm(copy.deepcopy(plain), torch.device(device))
    kinds = {type(module) for module in converted.modules()}
    assert kind in kinds and nn.BatchNorm2d not in kinds
    before, after = plain.state_dict(), converted.state_dict()
    assert list(before) == list(after) and all(torch.equal(before[name], after[name]) for name in before)
    assert nn.BatchNorm2d in {type(module) for module in plain.modules()}  # the copy shares no class with it
