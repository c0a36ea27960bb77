"""The global generator of pix2pixHD (Wang et al., CVPR 2018, https://arxiv.org/abs/1711.11585), a baseline of SPADE.

It has ordinary normalization after its convolutions. From a mask of a single label, the first convolution computes a
constant, which instance norm turns into zero whatever the label is (Park et al. 2019, figure 3).

Legend: N batch, C channels, I image channels, L semantic channels, P condition channels, H W height and width.
"""

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from ..images.channels import check_image_channels
from ..layers.initialization import conv2d, initialize
from ..layers.parameter_free import NormType, parameter_free_norm
from .generator import SPADEGeneratorOutput
from .semantics import MaskToImageMixin, num_semantic_channels


class Pix2PixHDBlock(nn.Module):
    """Two normalized convolutions with an identity skip."""

    def __init__(self, channels: int, norm_type: NormType) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv2d(channels, channels, 3), conv2d(channels, channels, 3)
        self.norm1, self.norm2 = parameter_free_norm(norm_type, channels), parameter_free_norm(norm_type, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map `x` `(N, C, H, W)` to the same shape."""
        y = F.relu(self.norm1(self.conv1(_reflect(x, 1))))  # (N, C, H, W)
        return x + self.norm2(self.conv2(_reflect(y, 1)))  # (N, C, H, W)


class Pix2PixHDGenerator(MaskToImageMixin):
    """A generator from a label map to an image, in which only the first layer reads the mask.

    Args:
        num_labels (`int`): Classes, without unknown and edges.
        use_unknown_label (`bool`, defaults to `False`): One more channel for pixels of unknown class.
        use_instance_edges (`bool`, defaults to `False`): One more channel that is 1 at the borders of instances.
        base_channels (`int`, defaults to 64): Width of the first layer.
        num_downsampling_layers (`int`, defaults to 4): Stride-2 convolutions, each doubling the width.
        num_blocks (`int`, defaults to 9): Residual blocks at the lowest resolution.
        norm_type (`str`, defaults to `"instance"`): `"sync_batch"`, `"batch"` or `"instance"`.
        image_size (`int` or `tuple[int, int]`, defaults to 256): Native (height, width) in pixels, the default of a
            pipeline.
        latent_dim (`None`): Always `None`: pipelines, checkpoints and exports ask every generator for it.
        image_channels (`int`, defaults to 3): I, channels of the images.
        condition_channels (`int`, defaults to 0): P, planes of real numbers that are read beside the labels; with
            some, `num_labels` can be 0.
    """

    _no_split_modules = ["Pix2PixHDBlock"]

    @register_to_config
    def __init__(
        self,
        *,
        num_labels: int,
        use_unknown_label: bool = False,
        use_instance_edges: bool = False,
        base_channels: int = 64,
        num_downsampling_layers: int = 4,
        num_blocks: int = 9,
        norm_type: NormType = "instance",
        image_size: int | tuple[int, int] = 256,
        latent_dim: None = None,
        image_channels: int = 3,
        condition_channels: int = 0,
    ) -> None:
        super().__init__()
        check_image_channels(image_channels)
        if latent_dim is not None:
            raise ValueError(f"`latent_dim` is {latent_dim}; pix2pixHD has no latent. Leave it out.")
        self.size_divisor = 2**num_downsampling_layers
        num_semantics = num_semantic_channels(num_labels, use_unknown_label, use_instance_edges, condition_channels)
        widths = [base_channels * 2**level for level in range(num_downsampling_layers + 1)]
        self.conv_in = conv2d(num_semantics, widths[0], 7)
        self.norm_in = parameter_free_norm(norm_type, widths[0])
        self.down_convs, self.down_norms = nn.ModuleList(), nn.ModuleList()
        self.up_convs, self.up_norms = nn.ModuleList(), nn.ModuleList()
        for narrow, wide in zip(widths[:-1], widths[1:], strict=True):
            self.down_convs.append(conv2d(narrow, wide, 3, stride=2, padding=1))
            self.down_norms.append(parameter_free_norm(norm_type, wide))
        self.blocks = nn.ModuleList(Pix2PixHDBlock(widths[-1], norm_type) for _ in range(num_blocks))
        for narrow, wide in zip(widths[-2::-1], widths[:0:-1], strict=True):
            conv = nn.ConvTranspose2d(wide, narrow, 3, stride=2, padding=1, output_padding=1)
            initialize(conv)
            self.up_convs.append(conv)
            self.up_norms.append(parameter_free_norm(norm_type, narrow))
        self.conv_out = conv2d(widths[0], image_channels, 7)

    def forward(
        self,
        segmap: Tensor | None,
        z: None = None,
        *,
        instance_edges: Tensor | None = None,
        condition: Tensor | None = None,
        return_dict: bool = True,
    ) -> SPADEGeneratorOutput | tuple[Tensor]:
        """Generate images as large as the mask.

        Args:
            segmap (`Tensor` or `None`): int `(N, H, W)` of label channels, or float `(N, L - P, H, W)`; `None` for a
                model without labels. H and W are multiples of `2 ** num_downsampling_layers`, and at least twice that.
            z (`None`): Always `None`, so that a pipeline can call every generator in the same way.
            instance_edges (`Tensor`, *optional*): 0/1 `(N, H, W)`, required with label ids by a model with edges.
            condition (`Tensor`, *optional*): float `(N, P, H, W)` in [-1, 1], for a model with condition channels.
            return_dict (`bool`, defaults to `True`): Whether to return a [`SPADEGeneratorOutput`] or a tuple.

        Raises:
            ValueError: If ids, shapes or sizes do not fit the model.
        """
        if z is not None:
            raise ValueError("`z` was given, but this model has no latent; leave it out.")
        mask = self.read_mask(segmap, instance_edges, condition, dtype=self.dtype)
        self.check_size(*mask.size, "`condition`" if segmap is None else "`segmap`")
        # The mask, read here and nowhere else: (N, L, H, W).
        x = F.relu(self.norm_in(self.conv_in(_reflect(mask.segmap_at(mask.size), 3))))  # (N, C, H, W)
        # Down to the lowest resolution, residual blocks there, and up again.
        for conv, norm in zip(self.down_convs, self.down_norms, strict=True):
            x = F.relu(norm(conv(x)))  # (N, 2C, H / 2, W / 2)
        for block in self.blocks:
            x = block(x)  # (N, C, H / 2^n, W / 2^n)
        for conv, norm in zip(self.up_convs, self.up_norms, strict=True):
            x = F.relu(norm(conv(x)))  # (N, C / 2, 2H, 2W)
        images = torch.tanh(self.conv_out(_reflect(x, 3)))  # (N, I, H, W)
        return SPADEGeneratorOutput(images=images) if return_dict else (images,)

    def check_size(self, height: int, width: int, name: str) -> None:
        """Raise a ValueError unless the model can make images of this size; see [`MaskToImageMixin`]."""
        divisor = self.size_divisor
        if height % divisor or width % divisor or min(height, width) < 2 * divisor:  # for reflection padding
            raise ValueError(
                f"{name} is {height}x{width} (height x width); both must be multiples of {divisor}, and at least "
                f"{2 * divisor}."
            )


def _reflect(x: Tensor, padding: int) -> Tensor:
    return F.pad(x, (padding,) * 4, mode="reflect")
