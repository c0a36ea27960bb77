"""Averaged networks are whole ones, and batch statistics are those of all processes and passes."""

import copy
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from spade_hf.training import CrossProcessBatchNorm2d, ModelEMA, estimate_statistics, synchronize_batch_norm

from ..training_data import make_dataset, make_networks


BATCH = torch.randn(5, 3, 4, 6, generator=torch.Generator().manual_seed(0)) * 3 + 1
GRADIENT = torch.randn(5, 3, 4, 6, generator=torch.Generator().manual_seed(1))
PARTS = (slice(0, 2), slice(2, 5))  # of unlike size


def model(value: float) -> nn.Module:
    net = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1, affine=False))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(value)
        net[1].running_mean.fill_(value)
        net[1].num_batches_tracked.fill_(int(value))
    return net


def test_average_of_parameters_and_copy_of_buffers():
    average, live = ModelEMA(model(0.0), 0.9), model(1.0)
    expected = 0.0
    for update in range(1, 101):
        average.update(live)
        decay = min(0.9, (1 + update) / (10 + update))  # short memory first, then the decay
        expected = decay * expected + (1 - decay)
        assert average.model[0].weight.item() == pytest.approx(expected, rel=1e-5)
    assert average.model[1].running_mean.item() == 1 and average.model[1].num_batches_tracked == 1
    assert live[0].weight.item() == 1


def test_decay_bounds_the_memory():
    average = ModelEMA(model(0.0), 0.9)
    average.num_updates = 10**6
    average.update(model(1.0))
    assert average.model[0].weight.item() == pytest.approx(0.1)


def test_the_average_is_frozen_and_separate():
    live = model(1.0).train()
    average = ModelEMA(live, 0.5)
    assert not average.model.training and not any(p.requires_grad for p in average.model.parameters())
    with torch.no_grad():
        live[0].weight.fill_(5)
    assert average.model[0].weight.item() == 1


@pytest.mark.parametrize("decay", [1.0, -0.1])
def test_decay_out_of_range(decay):
    with pytest.raises(ValueError, match=rf"`decay` is {decay}; it must be in \[0, 1\)"):
        ModelEMA(nn.Linear(1, 1), decay)


def test_spectral_norm_follows_the_live_network():
    """With the vectors of another network the norm of a convolution would be anything; here it stays near 1."""
    live = make_networks()["discriminator"].train()
    average = ModelEMA(live, 0.5)
    images, label_map = torch.zeros(1, 3, 32, 32), torch.zeros(1, 32, 32, dtype=torch.long)
    for _ in range(30):
        with torch.no_grad():
            for parameter in live.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
            live(label_map, images)  # power iterations
        average.update(live)
    for module in average.model.scales[0].convs:
        assert torch.linalg.matrix_norm(module.weight.flatten(1), 2).item() == pytest.approx(1, rel=0.05)


def calls(count: int) -> list[dict]:
    dataset, calls = make_dataset(), []
    for index in range(count):
        z = torch.randn(1, 4, generator=torch.Generator().manual_seed(index))
        calls.append({"segmap": dataset[index]["label_map"][None].repeat(2, 1, 1), "z": z.repeat(2, 1)})
    return calls


def test_statistics_are_the_mean_over_passes():
    generator = make_networks()["generator"].eval()
    generator.fuse_spectral_norm()
    norm = next(module for module in generator.modules() if isinstance(module, nn.BatchNorm2d))
    means, variances = [], []

    def watch(module, inputs, output):
        means.append(inputs[0].mean(dim=(0, 2, 3)))
        variances.append(inputs[0].transpose(0, 1).flatten(1).var(dim=1))

    hook = norm.register_forward_hook(watch)
    momentum = norm.momentum
    estimate_statistics(generator, calls(3))
    hook.remove()
    torch.testing.assert_close(norm.running_mean, torch.stack(means).mean(dim=0))
    torch.testing.assert_close(norm.running_var, torch.stack(variances).mean(dim=0))
    assert norm.momentum == momentum and not any(module.training for module in generator.modules())


def test_statistics_forget_what_was_there_and_leave_the_parameters():
    generator = make_networks()["generator"].eval()
    generator.fuse_spectral_norm()
    spoiled = copy.deepcopy(generator)
    for buffer in spoiled.buffers():
        buffer.fill_(17)
    for one in (generator, spoiled):
        estimate_statistics(one, calls(2))
    assert all(torch.equal(a, b) for a, b in zip(generator.buffers(), spoiled.buffers(), strict=True))
    fresh = make_networks()["generator"].eval()
    fresh.fuse_spectral_norm()
    assert all(torch.equal(a, b) for a, b in zip(generator.parameters(), fresh.parameters(), strict=True))


def test_instance_norm_has_no_statistics_and_costs_no_pass():
    generator = make_networks(norm_type="instance")["generator"]
    passes = iter(calls(1))
    estimate_statistics(generator, passes)
    assert len(list(passes)) == 1


def test_statistics_are_of_the_batch_in_inference_that_would_cut_it():
    """Images one at a time, or in bands, would be other statistics, and more passes."""
    generator = make_networks()["generator"].eval()
    generator.fuse_spectral_norm()
    expected = copy.deepcopy(generator)
    estimate_statistics(expected, calls(3))
    generator.enable_tiling(max_bytes=1)  # every activation is too large
    estimate_statistics(generator, calls(3))
    torch.testing.assert_close(dict(generator.named_buffers()), dict(expected.named_buffers()))


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
