import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spade_hf.layers import SPADE, SemanticMask
from spade_hf.layers.sparse import modulation
from spade_hf.layers.sparse.modulation import CHUNK_BYTES_CPU


NUM_LABELS, CHANNELS = 4, 6


def spade(dtype: torch.dtype = torch.float64, has_edges: bool = False, **changes) -> SPADE:
    torch.manual_seed(0)
    layer = SPADE(CHANNELS, NUM_LABELS + has_edges, **{"hidden_channels": 8, **changes})
    for name, tensor in layer.state_dict().items():
        if tensor.is_floating_point():
            tensor.normal_().abs_() if name.endswith("var") else tensor.normal_(std=0.5)
    return layer.to(dtype)


def pyramid(label_map: Tensor, edges: Tensor | None = None, **changes) -> SemanticMask:
    codes = label_map if edges is None else label_map + NUM_LABELS * edges
    arguments = {"num_label_channels": NUM_LABELS, "has_edges": edges is not None, "dtype": torch.float64}
    return SemanticMask(codes=codes, **{**arguments, **changes})


def random_map(n: int = 2, h: int = 12, w: int = 20, scale: int = 1) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(0, NUM_LABELS, (n, -(-h // scale), -(-w // scale)), generator=rng)
    return labels.repeat_interleave(scale, 1).repeat_interleave(scale, 2)[:, :h, :w].contiguous()


MAPS = {
    "random": random_map(),
    "every pixel different": torch.arange(NUM_LABELS).repeat(60).view(1, 12, 20),
    "one label": torch.ones(1, 12, 20).long(),
    "blobs": random_map(scale=5),
    "unlike masks": torch.cat([random_map(1), random_map(1, scale=7), torch.zeros(1, 12, 20).long()]),
    "tall": random_map(1, 31, 3),
}


def outcome(layer: SPADE, backend: str, x: Tensor, mask: SemanticMask, slope: float) -> dict[str, Tensor]:
    """Output, all gradients and all statistics of one training step."""
    layer, x = copy.deepcopy(layer), x.clone().requires_grad_()
    layer.modulation_backend = backend
    out = layer(x, mask, negative_slope=slope)
    probe = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(out)
    (out * probe).sum().backward()
    gradients = {name: parameter.grad for name, parameter in layer.named_parameters()}
    return {"out": out.detach(), "x": x.grad, **gradients, **dict(layer.named_buffers())}


def assert_same(layer: SPADE, x: Tensor, mask: SemanticMask, slope: float = 0.2, tolerance: float = 1e-10) -> None:
    dense, sparse = (outcome(layer, backend, x, mask, slope) for backend in ("dense", "sparse"))
    for name, expected in dense.items():
        scale = expected.abs().max().item() + 1e-12
        assert (sparse[name] - expected).abs().max() <= tolerance * scale, name


def activations(mask: SemanticMask, dtype: torch.dtype = torch.float64) -> Tensor:
    shape = (mask.num_masks * mask.images_per_mask, CHANNELS, *mask.size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("name", MAPS)
def test_sparse_is_dense(name: str, kernel_size: int, is_training: bool):
    mask = pyramid(MAPS[name])
    assert_same(spade(kernel_size=kernel_size).train(is_training), activations(mask), mask)


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("norm_type", ["sync_batch", "batch", "instance"])
def test_every_norm(norm_type: str, is_training: bool):
    mask = pyramid(random_map())
    assert_same(spade(norm_type=norm_type).train(is_training), activations(mask), mask, slope=1)


def test_instance_edges():
    edges = (torch.rand(2, 12, 20, generator=torch.Generator().manual_seed(3)) < 0.2).long()
    mask = pyramid(random_map(scale=3), edges)
    assert_same(spade(has_edges=True), activations(mask), mask)


def test_several_images_of_each_mask():
    layer, label_map = spade().eval(), random_map(scale=3)
    mask = pyramid(label_map, images_per_mask=3)
    x = activations(mask)
    assert_same(layer, x, mask)
    repeated = pyramid(label_map.repeat_interleave(3, dim=0))
    torch.testing.assert_close(layer(x, mask), layer(x, repeated))


def test_channels_last_input_and_gradient():
    mask = pyramid(random_map())
    assert_same(spade(), activations(mask).contiguous(memory_format=torch.channels_last), mask)


def test_float32():
    mask = pyramid(random_map(), dtype=torch.float32)
    assert_same(spade(torch.float32), activations(mask, torch.float32), mask, tolerance=1e-4)


def test_products_of_few_outputs_at_a_time(monkeypatch: pytest.MonkeyPatch):
    mask, products = pyramid(random_map(scale=5)), []
    monkeypatch.setattr(modulation, "linear_of_rows", lambda *args: products.append(1) or F.linear(*args))
    monkeypatch.setattr(modulation, "MAX_RECYCLED_BYTES", 50_000)
    assert_same(spade(), activations(mask), mask)
    assert len(products) > 2


def test_more_positions_than_one_chunk():
    size = int((CHUNK_BYTES_CPU / 8 / CHANNELS) ** 0.5) + 5
    mask = pyramid(random_map(1, size, size, scale=40), images_per_mask=2)
    layer, x = spade().eval(), activations(mask)
    sparse = layer(x, mask)
    layer.modulation_backend = "dense"
    torch.testing.assert_close(sparse, layer(x, mask))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype):
    layer, label_map = spade().eval(), random_map(scale=3)
    x = activations(pyramid(label_map))
    expected = layer(x, pyramid(label_map))
    out = layer.to(dtype)(x.to(dtype), pyramid(label_map, dtype=dtype))
    assert out.dtype == dtype
    assert (out - expected).abs().max() < 0.02 * expected.abs().max()


def test_autocast_trains_in_bfloat16():
    layer, mask = spade(torch.float32), pyramid(random_map(), dtype=torch.float32)
    x = activations(mask, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        F.mse_loss(layer(x, mask).float(), x).backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in layer.parameters())


def test_auto_looks_at_the_mask():
    layer = SPADE(64, 12)
    busy = SemanticMask(
        codes=torch.randint(0, 12, (1, 64, 64)), num_label_channels=12, has_edges=False, dtype=torch.float32
    )
    calm = SemanticMask(
        codes=torch.zeros(1, 64, 64).long(), num_label_channels=12, has_edges=False, dtype=torch.float32
    )
    layer.eval()  # fixed statistics: local if it is sparse
    assert not layer.is_local(busy, (64, 64))
    assert layer.is_local(calm, (64, 64))
    layer.modulation_backend = "sparse"
    assert layer.is_local(busy, (64, 64))


def test_kernel_size_is_checked():
    with pytest.raises(ValueError, match="`kernel_size` is 4; allowed are 1, 3 and 5"):
        SPADE(4, 4, kernel_size=4)


@pytest.mark.parametrize(
    ("device", "backend", "expected"),
    [("cpu", "auto", True), ("meta", "auto", False), ("meta", "sparse", True), ("meta", "dense", False)],
)
def test_auto_is_sparse_where_that_was_measured(device: str, backend: str, expected: bool):
    """A "meta" device stands for a GPU. "sparse" applies on every device."""
    layer = spade().to(device)
    layer.modulation_backend = backend
    assert layer.sparse.permits(pyramid(random_map().to(device))) is expected


@pytest.mark.parametrize("weight", ["conv_mask", "conv_gamma_beta"])
def test_weights_on_another_device_are_left_to_their_hooks(weight: str):
    layer = spade()
    layer.modulation_backend = "sparse"
    getattr(layer, weight).to("meta")
    assert not layer.sparse.permits(pyramid(random_map()))


@pytest.mark.parametrize("weight", ["conv_mask", "conv_gamma_beta"])
def test_weights_that_cannot_be_computed_with_are_left_to_their_hooks(weight: str):
    """Such as weights stored in 8 bits, which a hook casts for a call."""
    layer = spade()
    layer.modulation_backend = "sparse"
    assert layer.sparse.permits(pyramid(random_map()))
    getattr(layer, weight).to(torch.float8_e4m3fn)
    assert not layer.sparse.permits(pyramid(random_map()))
