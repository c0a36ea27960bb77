"""Inception-v3 (Szegedy et al. 2016, arXiv 1512.00567) as a frozen feature network, without torchvision.

Weights: torchvision's, as in `timm/inception_v3.tv_in1k` on the Hub, or TensorFlow's of 2015, with which papers report
FID, as in `pt_inception-2015-12-05-6726825d.pth` of the project pytorch-fid. Both have the same keys.

Legend: N batch, C channels, H W height and width.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn


SIZE = 299  # pixels per side of the training images
BATCH_NORM_EPS = 1e-3
FID_CLASSES = 1008  # of the 2015 network; all others have 1000

STEM = {  # in and out channels, kernel size, stride, padding
    "Conv2d_1a_3x3": (3, 32, 3, 2, 0),
    "Conv2d_2a_3x3": (32, 32, 3, 1, 0),
    "Conv2d_2b_3x3": (32, 64, 3, 1, 1),
    "Conv2d_3b_1x1": (64, 80, 1, 1, 0),
    "Conv2d_4a_3x3": (80, 192, 3, 1, 0),
}
POOLED = ("Conv2d_2b_3x3", "Conv2d_4a_3x3")

# A block's branches are parallel. A branch is a sequence of convolutions, each written channels:height x width; "/2"
# means stride 2 and no padding, "1x3|3x1" two convolutions whose outputs are concatenated. The convolutions of
# `branch_pool` follow a pooling layer.


def _figure_5(pooled: int) -> dict[str, str]:
    return {
        "branch1x1": "64:1x1",
        "branch5x5": "48:1x1 64:5x5",
        "branch3x3dbl": "64:1x1 96:3x3 96:3x3",
        "branch_pool": f"{pooled}:1x1",
    }


def _figure_6(inner: int) -> dict[str, str]:
    return {
        "branch1x1": "192:1x1",
        "branch7x7": f"{inner}:1x1 {inner}:1x7 192:7x1",
        "branch7x7dbl": f"{inner}:1x1 {inner}:7x1 {inner}:1x7 {inner}:7x1 192:1x7",
        "branch_pool": "192:1x1",
    }


FIGURE_10 = {
    "branch3x3": "192:1x1 320:3x3/2",
    "branch7x7x3": "192:1x1 192:1x7 192:7x1 192:3x3/2",
    "branch_pool": "",
}
FIGURE_7 = {
    "branch1x1": "320:1x1",
    "branch3x3": "384:1x1 384:1x3|3x1",
    "branch3x3dbl": "448:1x1 384:3x3 384:1x3|3x1",
    "branch_pool": "192:1x1",
}
BLOCKS: dict[str, dict[str, str]] = {
    "Mixed_5b": _figure_5(32),
    "Mixed_5c": _figure_5(64),
    "Mixed_5d": _figure_5(64),
    "Mixed_6a": {"branch3x3": "384:3x3/2", "branch3x3dbl": "64:1x1 96:3x3 96:3x3/2", "branch_pool": ""},
    "Mixed_6b": _figure_6(128),
    "Mixed_6c": _figure_6(160),
    "Mixed_6d": _figure_6(160),
    "Mixed_6e": _figure_6(192),
    "Mixed_7a": FIGURE_10,
    "Mixed_7b": FIGURE_7,
    "Mixed_7c": FIGURE_7,
}
FEATURE_BLOCKS = ("Mixed_6e", "Mixed_7c")


class ConvNormRelu(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=BATCH_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, I, H, W)` to `(N, O, h, w)`."""
        return F.relu(self.bn(self.conv(x)))


class InceptionBlock(nn.Module):
    """Parallel branches, whose outputs are concatenated.

    Args:
        in_channels (`int`): I.
        branches (`Mapping[str, str]`): Name -> convolutions, see `BLOCKS`.
        pool (`str`): "average", "average_inside", which excludes the padding from the mean, or "max".
    """

    def __init__(self, in_channels: int, branches: Mapping[str, str], pool: str) -> None:
        super().__init__()
        self.pool = pool
        self.branches: dict[str, list[list[str]]] = {}  # per step, the layers whose outputs are concatenated
        self.out_channels = 0
        for branch, text in branches.items():
            channels, steps = in_channels, []
            convolutions = text.split()
            for number, convolution in enumerate(convolutions, 1):
                name = branch if len(convolutions) == 1 else f"{branch}_{number}"
                layers = self._add_layers(name, channels, convolution)
                channels = sum(layers.values())
                steps.append(list(layers))
            self.branches[branch] = steps
            self.out_channels += channels

    def _add_layers(self, name: str, in_channels: int, convolution: str) -> dict[str, int]:
        """Add the layers of one word in `BLOCKS`, and return their names and channels."""
        width, _, kernels = convolution.partition(":")
        kernels, _, stride = kernels.partition("/")
        layers = {}
        for letter, kernel in zip("ab", kernels.split("|"), strict=False):
            height, across = map(int, kernel.split("x"))
            layer = name + letter if "|" in kernels else name
            padding = 0 if stride else (height // 2, across // 2)
            self.add_module(layer, ConvNormRelu(in_channels, int(width), (height, across), int(stride or 1), padding))
            layers[layer] = int(width)
        return layers

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, I, H, W)` to `(N, O, h, w)`."""
        outputs = []
        for branch, steps in self.branches.items():
            # (N, I, H, W); a pooling branch without convolutions halves the size, as the other branches do by a stride
            y = self._pooled(x, halve=not steps) if branch == "branch_pool" else x
            for layers in steps:
                y = torch.cat([self.get_submodule(layer)(y) for layer in layers], dim=1)  # layers side by side
            outputs.append(y)
        return torch.cat(outputs, dim=1)  # the channels of all branches

    def _pooled(self, x: Tensor, *, halve: bool) -> Tensor:
        # 3x3 windows: (N, I, (H - 1) // 2, (W - 1) // 2) if halved, else of the same size
        if halve:
            return F.max_pool2d(x, 3, stride=2)
        if self.pool == "max":
            return F.max_pool2d(x, 3, stride=1, padding=1)
        return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=self.pool == "average")


class InceptionV3Features(nn.Module):
    """Frozen Inception-v3 that returns the maps after its first two pooling layers, and the last 17x17 and 8x8 maps.

    The mean of the last map gives the 2048 features of FID. Constructed directly, the weights are random; see
    [`~InceptionV3Features.from_file`].

    Args:
        is_fid_network (`bool`, defaults to `True`): Whether to build the 2015 network, whose pooling layers differ:
            means exclude the padding, and the last block takes the maximum.

    Source: arXiv 1512.00567, table 1 and figures 5 to 7.
    """

    def __init__(self, is_fid_network: bool = True) -> None:
        super().__init__()
        for name, (in_channels, out_channels, kernel_size, stride, padding) in STEM.items():
            self.add_module(name, ConvNormRelu(in_channels, out_channels, kernel_size, stride, padding))
        pools = dict.fromkeys(BLOCKS, "average_inside" if is_fid_network else "average")
        if is_fid_network:
            pools["Mixed_7c"] = "max"
        channels = STEM["Conv2d_4a_3x3"][1]
        for name, branches in BLOCKS.items():
            block = InceptionBlock(channels, branches, pools[name])
            self.add_module(name, block)
            channels = block.out_channels
        self.eval().requires_grad_(False)

    @staticmethod
    def feature_channels() -> tuple[int, ...]:
        """Return C of each of the four maps, shallow to deep."""
        return 64, 192, 768, 2048

    @classmethod
    def from_file(cls, file: Path) -> "InceptionV3Features":
        """Load weights. The classifier's number of classes identifies the network: the 2015 network has 1008.

        Args:
            file (`Path`): A torch state dict, or safetensors.

        Raises:
            ValueError: If the file can't be read, or is not an Inception-v3.
        """
        try:
            if file.suffix == ".safetensors":
                weights = load_file(file)
            else:
                weights = torch.load(file, map_location="cpu", weights_only=True)
            net = cls(is_fid_network=len(weights["fc.weight"]) == FID_CLASSES)
            missing = sorted(set(net.state_dict()) - set(weights) - set(_counters(net)))
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, SafetensorError) as error:
            # torch's message is left out: it recommends `weights_only=False`
            raise ValueError(
                f"{file} can't be read as weights ({type(error).__name__}). Download it again."
            ) from error
        except (KeyError, TypeError) as error:
            raise ValueError(f"{file} is not an Inception-v3: it lacks {error}. Give another file.") from error
        if missing:
            raise ValueError(f"{file} is not an Inception-v3: it lacks {missing[0]!r}. Give another file.")
        state = {name: weights.get(name, value) for name, value in net.state_dict().items()}
        try:
            net.load_state_dict(state)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise ValueError(f"{file} is not an Inception-v3: {reason} Give another file.") from error
        return net

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the feature maps.

        Args:
            images (`Tensor` of shape `(N, 3, H, W)`): RGB in [-1, 1]; resized to 299x299 as pytorch-fid does.

        Returns:
            `list[Tensor]`: `(N, 64, 73, 73)`, `(N, 192, 35, 35)`, `(N, 768, 17, 17)` and `(N, 2048, 8, 8)`.
        """
        x = F.interpolate(images, (SIZE, SIZE), mode="bilinear")  # (N, 3, 299, 299)
        maps = []
        for name in STEM:
            x = self.get_submodule(name)(x)  # sides of 149, 147, 147; after the first pool 73, 71
            if name in POOLED:
                x = F.max_pool2d(x, 3, stride=2)  # 73, then 35
                maps.append(x)
        for name in BLOCKS:
            x = self.get_submodule(name)(x)  # sides of 35 in blocks 5, 17 in blocks 6, 8 in blocks 7
            if name in FEATURE_BLOCKS:
                maps.append(x)
        return maps


def _counters(net: nn.Module) -> list[str]:
    """Return the keys of batch counters, which older files lack and inference does not read."""
    return [name for name in net.state_dict() if name.endswith(".num_batches_tracked")]
