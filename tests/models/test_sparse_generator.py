"""The whole generator, sparse against dense, and its options that save memory."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from spade_hf import SPADEGenerator, SPADEResnetBlock
from spade_hf.layers.sparse.path import SparsePath
from spade_hf.layers.sparse.row_gather import RowGather

from ..tiny_networks import one_hot, random_label_map, random_latents, tiny_generator


def outcome(generator: SPADEGenerator, label_map: Tensor, z: Tensor, **inputs: Tensor) -> dict[str, Tensor]:
    """Images, gradients and buffers of one training step."""
    generator = copy.deepcopy(generator).train()
    images = generator(label_map, z, **inputs).images
    (images * torch.linspace(-1, 1, images.numel(), dtype=images.dtype).view_as(images)).sum().backward()
    gradients = {name: parameter.grad for name, parameter in generator.named_parameters()}
    return {"images": images.detach(), **gradients, **dict(generator.named_buffers())}


def outcomes(
    generator: SPADEGenerator, *inputs: Tensor, **more: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    generator.set_modulation_backend("dense")
    dense = outcome(generator, *inputs, **more)
    generator.set_modulation_backend("sparse")
    return dense, outcome(generator, *inputs, **more)


def largest_difference(expected: dict[str, Tensor], actual: dict[str, Tensor], *, noise: float = 1e-11) -> float:
    """The largest difference, relative to each tensor's maximum; gradients of biases before batch norm are noise."""
    noise *= max(tensor.abs().max().item() for tensor in expected.values())
    return max(
        ((actual[name] - tensor).abs().max() / tensor.abs().max()).item()
        for name, tensor in expected.items()
        if tensor.is_floating_point() and tensor.abs().max() > noise
    )


@pytest.mark.parametrize(("kernel_size", "head_upsampling"), [(1, 1), (3, 1), (5, 1), (3, 2)])
@pytest.mark.parametrize("norm_type", ["sync_batch", "instance"])
def test_training_step(kernel_size: int, norm_type: str, head_upsampling: int):
    options = {"use_instance_edges": True, "head_upsampling": head_upsampling, "image_size": 64 * head_upsampling}
    generator = tiny_generator(spade_kernel_size=kernel_size, norm_type=norm_type, **options).double()
    label_map = random_label_map((64, 96 if head_upsampling == 1 else 128))
    edges = torch.rand(label_map.shape, generator=torch.Generator().manual_seed(4)) < 0.05
    dense, sparse = outcomes(generator, label_map, random_latents().double(), instance_edges=edges)
    assert largest_difference(dense, sparse) < 1e-10
    if norm_type == "sync_batch":
        assert sparse["blocks.0.norm1.param_free_norm.num_batches_tracked"] == 1


@pytest.mark.slow
def test_float32_training_step_at_the_papers_widths(monkeypatch: pytest.MonkeyPatch):
    """Without LeakyReLU's kink, across which rounding flips a few activations.

    With the kink, gradients of any two summation orders differ by 3e-3, also those of the dense path in float32 and
    float64.
    """
    for module in ("spade_hf.layers.resnet", "spade_hf.models.generator"):
        monkeypatch.setattr(f"{module}.LEAKY_SLOPE", 1.0)
    torch.manual_seed(0)
    generator = SPADEGenerator(num_labels=184, image_size=128)
    label_map = random_label_map((128, 128), num_labels=184)
    dense, sparse = outcomes(generator, label_map, torch.randn(len(label_map), 256))
    assert largest_difference(dense, sparse, noise=1e-6) < 1e-4


def test_real_masks(shared_folder: Path):
    """13 COCO-Stuff masks, every fourth pixel, in evaluation mode."""
    datasets = pytest.importorskip("datasets")
    samples = datasets.load_dataset(str(shared_folder / "data" / "coco-stuff-sample"), split="train").with_format(
        "torch"
    )
    label_map = torch.stack([sample["label"].squeeze()[::4, ::4][:64, :64].long() for sample in samples])
    label_map[label_map == 255] = 182  # unknown is the last channel
    generator = tiny_generator(num_labels=182, use_unknown_label=True).double()
    z = random_latents(len(label_map)).double()
    generator.set_modulation_backend("sparse")
    with torch.no_grad():
        sparse = generator(label_map, z).images
        generator.set_modulation_backend("dense")
        torch.testing.assert_close(sparse, generator(label_map, z).images, atol=5e-12, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("backend", ["dense", "sparse"])
def test_several_styles_of_each_mask(backend: str):
    generator, label_map, z = tiny_generator().double(), random_label_map(), random_latents(6).double()
    generator.set_modulation_backend(backend)
    together = generator(label_map, z).images
    assert together.shape == (6, 3, 64, 64)
    torch.testing.assert_close(together, generator(label_map.repeat_interleave(3, dim=0), z).images)


@torch.no_grad()
@pytest.mark.parametrize("masks", ["dense", "sparse", "soft"])
def test_images_painted_one_by_one(masks: str, monkeypatch: pytest.MonkeyPatch):
    """A large batch on a CPU gives the same images, and every layer reads a mask once for all its styles."""
    generator, label_map, z = tiny_generator(use_instance_edges=True).double(), random_label_map(), random_latents(6)
    generator.set_modulation_backend("dense" if masks == "soft" else masks)
    edges = torch.rand(label_map.shape, generator=torch.Generator().manual_seed(4)) < 0.05
    segmap = one_hot(label_map).double() if masks == "soft" else label_map
    together = generator(segmap, z.double(), instance_edges=edges).images
    block_inputs, reads = [], []
    last = generator.blocks[-1]
    last.register_forward_pre_hook(lambda _, inputs: block_inputs.append(len(inputs[0])))
    if masks == "sparse":
        scale_shift = SparsePath._scale_shift
        monkeypatch.setattr(
            SparsePath,
            "_scale_shift",
            lambda path, *inputs: path.layer is last.norm2 and reads.append(1) or scale_shift(path, *inputs),
        )
    else:
        gamma_beta = last.norm2.gamma_beta
        monkeypatch.setattr(last.norm2, "gamma_beta", lambda segmap: reads.append(1) or gamma_beta(segmap))
    generator.enable_tiling(max_bytes=512)
    apart = generator(segmap, z.double(), instance_edges=edges).images
    assert len(block_inputs) >= 6
    assert set(block_inputs) == {1}
    assert len(reads) == 2
    torch.testing.assert_close(apart, together)


@torch.no_grad()
@pytest.mark.parametrize("norm_type", ["sync_batch", "instance"])
@pytest.mark.parametrize(("kernel_size", "head_upsampling"), [(1, 1), (3, 1), (5, 1), (3, 2)])
def test_one_image_painted_in_bands(
    kernel_size: int, norm_type: str, head_upsampling: int, monkeypatch: pytest.MonkeyPatch
):
    """A large image on a CPU stays the same in bands, except that instance norm processes it whole."""
    options = {"head_upsampling": head_upsampling, "image_size": 64 * head_upsampling}
    generator = tiny_generator(spade_kernel_size=kernel_size, norm_type=norm_type, **options).double()
    generator.set_modulation_backend("sparse")
    label_map = random_label_map((head_upsampling * 96, head_upsampling * 160), batch_size=1)
    z = random_latents(1).double()
    whole = generator(label_map, z).images
    heights, forward = [], SPADEResnetBlock.forward  # a hook would turn bands off

    def counted(block: SPADEResnetBlock, x: Tensor, mask: object) -> Tensor:
        if block is generator.blocks[-1]:
            heights.append(x.shape[2])
        return forward(block, x, mask)

    monkeypatch.setattr(SPADEResnetBlock, "forward", counted)
    generator.enable_tiling(max_bytes=2**17)
    banded = generator(label_map, z).images
    assert len(heights) > 3 if norm_type == "sync_batch" else heights == [96]
    torch.testing.assert_close(banded, whole, atol=1e-13, rtol=0)


@torch.no_grad()
def test_training_mode_keeps_the_batch_together():
    """Batch norm takes its statistics from the whole batch."""
    generator = tiny_generator().train()
    generator.enable_tiling(max_bytes=512)
    block_inputs = []
    generator.blocks[-1].register_forward_pre_hook(lambda _, inputs: block_inputs.append(len(inputs[0])))
    generator(random_label_map(), random_latents())
    assert block_inputs == [2]


@pytest.mark.parametrize("num_latents", [0, 1, 3])
def test_latents_that_are_no_multiple_of_the_masks(num_latents: int):
    with pytest.raises(ValueError, match=r"`z` is of shape .* need \(2, 8\), or a multiple of 2 rows"):
        tiny_generator()(random_label_map(), random_latents(num_latents))


@pytest.mark.parametrize("head_upsampling", [1, 2])
@pytest.mark.parametrize("backend", ["dense", "sparse"])
def test_gradient_checkpointing_changes_no_bit(backend: str, head_upsampling: int):
    """Images, gradients, batch-norm statistics and the singular vectors of spectral norm stay the same."""
    generator = tiny_generator(head_upsampling=head_upsampling)
    generator.set_modulation_backend(backend)
    expected = outcome(generator, random_label_map(), random_latents())
    generator.enable_gradient_checkpointing()
    assert generator.is_gradient_checkpointing
    calls = []
    generator.blocks[3].register_forward_pre_hook(lambda *_: calls.append(None))
    actual = outcome(generator, random_label_map(), random_latents())
    assert len(calls) == 2  # once more in the backward pass
    for name, tensor in expected.items():
        torch.testing.assert_close(actual[name], tensor, atol=0, rtol=0, msg=name)


@torch.no_grad()
@pytest.mark.slow
def test_dense_path_compiles_as_one_graph():
    generator = tiny_generator()
    generator.set_modulation_backend("dense")
    segmap = torch.nn.functional.one_hot(random_label_map(), 4).movedim(-1, 1).float()
    compiled = torch.compile(generator, fullgraph=True, backend="aot_eager")
    z = random_latents()
    torch.testing.assert_close(compiled(segmap, z).images, generator(segmap, z).images, atol=5e-5, rtol=1e-4)
    torch.testing.assert_close(compiled(random_label_map(), z).images, compiled(segmap, z).images)


@torch.no_grad()
@pytest.mark.parametrize(
    ("what", "head_upsampling"),
    [("generator", 1), ("generator", 2), ("repeated blocks", 1)],  # the head is no block
)
def test_a_compiled_generator_stays_sparse(what: str, head_upsampling: int, monkeypatch: pytest.MonkeyPatch):
    """A graph cannot depend on the labels, and a compiled dense graph would be slower than the sparse path."""
    torch._dynamo.reset()
    generator = tiny_generator(head_upsampling=head_upsampling)
    label_map, z = random_label_map(), random_latents()
    expected = generator(label_map, z).images
    counts = []
    forward_sum = RowGather.forward_sum
    monkeypatch.setattr(RowGather, "forward_sum", lambda *inputs: (counts.append(1), forward_sum(*inputs))[1])
    generator(label_map, z)
    num_gathers = len(counts)
    if what == "generator":
        generator.compile(backend="aot_eager")
    else:
        generator.compile_repeated_blocks(backend="aot_eager")
    torch.testing.assert_close(generator(label_map, z).images, expected, atol=1e-5, rtol=0)
    assert len(counts) == 2 * num_gathers > 0


@torch.no_grad()
def test_one_graph_of_the_sparse_path():
    torch._dynamo.reset()
    compiled = torch.compile(tiny_generator(), fullgraph=True, backend="aot_eager")
    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"`set_modulation_backend\('dense'\)` makes one graph"):
        compiled(random_label_map(), random_latents())


@torch.no_grad()
def test_an_exported_generator_is_dense():
    """An exported graph must work for any labels."""
    generator, z = tiny_generator(), random_latents()
    exported = torch.export.export(generator, (random_label_map(), z)).module()
    other = random_label_map().flip(2)
    torch.testing.assert_close(exported(other, z).images, generator(other, z).images, atol=1e-5, rtol=0)


@torch.no_grad()
def test_tiling_is_on_until_it_is_disabled():
    generator, label_map, z = tiny_generator().double(), random_label_map(), random_latents().double()
    block_inputs = []
    generator.blocks[-1].register_forward_pre_hook(lambda _, inputs: block_inputs.append(len(inputs[0])))
    generator.enable_tiling(max_bytes=512)
    tiled = generator(label_map, z).images
    assert set(block_inputs) == {1}
    block_inputs.clear()
    generator.disable_tiling()
    torch.testing.assert_close(generator(label_map, z).images, tiled)
    assert block_inputs == [2]
    generator.enable_tiling()  # with the default, this image is small
    generator(label_map, z)
    assert block_inputs == [2, 2]


def test_tiles_of_no_bytes():
    with pytest.raises(ValueError, match=r"`max_bytes` is 0; it must be at least 1. `disable_tiling\(\)`"):
        tiny_generator().enable_tiling(max_bytes=0)
