"""The SPADE generator (Park et al., CVPR 2019, https://arxiv.org/abs/1903.07291, figure 4 and appendix A).

Differences from the paper: gamma and beta come from one fused convolution, and the first activation of a model with a
latent is resized if another image size is requested, so that one model serves any size and shape. On request, the last
convolution writes several pixels at each position, so that the blocks work at a fraction of the image's size.

Legend: N masks, S images of one mask, C channels, I image channels, L semantic channels, P condition channels, H W
height and width, h w those of the first activation, n upsamplings between blocks, R upsampling in the head, Z latent.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput
from torch import Tensor, nn

from ..execution.cpu_products import is_cpu_inference
from ..execution.gradient_checkpointing import checkpoint_block
from ..execution.plain_layers import is_plain_conv
from ..images.channels import check_image_channels
from ..layers import SPADE, ModulationBackend, NormType, SemanticMask, SPADEResnetBlock
from ..layers.initialization import LEAKY_SLOPE, conv2d, linear, subpixel_conv2d
from ..layers.norms import MASK_NORMS
from ..layers.resnet import upsample
from ..layers.sparse.path import permits_sparse, run_eagerly
from .semantics import MaskToImageMixin, num_semantic_channels
from .tiling import MAX_BAND_BYTES, Tiling, synthesize_in_bands


# Widths of the blocks' outputs, as multiples of `base_channels`, by number of upsamplings.
PAPER_CHANNEL_MULT = {5: (16, 16, 16, 8, 4, 2, 1), 6: (16, 16, 16, 8, 4, 2, 1), 7: (16, 16, 16, 8, 4, 2, 1, 0.5)}
# Upsampling factors of each block's input.
UPSAMPLING = {5: (1, 2, 1, 2, 2, 2, 2), 6: (1, 2, 2, 2, 2, 2, 2), 7: (1, 2, 2, 2, 2, 2, 2, 2)}


@dataclass
class SPADEGeneratorOutput(BaseOutput):
    """Output of [`SPADEGenerator`].

    Args:
        images (`Tensor`): `(N, I, H, W)` in [-1, 1].
    """

    images: Tensor


class SPADEGenerator(MaskToImageMixin):
    """A generator from a label map, and optionally a latent, to an image.

    Args:
        num_labels (`int`): Classes, without unknown and edges.
        use_unknown_label (`bool`, defaults to `False`): One more channel for pixels of unknown class.
        use_instance_edges (`bool`, defaults to `False`): One more channel that is 1 at the borders of instances.
        image_size (`int` or `tuple[int, int]`, defaults to 256): Native (height, width) in pixels, multiples of
            `2 ** num_upsampling_layers * head_upsampling`. Other sizes can also be generated.
        base_channels (`int`, defaults to 64): Unit of the widths in `channel_mult`.
        channel_mult (`tuple[float, ...]`, *optional*): Width of each block's output as a multiple of `base_channels`;
            the first is also the width of the first activation. `None` means the paper's values: (16, 16, 16, 8, 4, 2,
            1), and 0.5 for an eighth block.
        latent_dim (`int` or `None`, defaults to 256): Z. With `None`, the model starts from the downsampled mask and
            is deterministic.
        spade_hidden_channels (`int`, defaults to 128): Width of the mask's hidden activation in each SPADE layer.
        spade_kernel_size (`int`, defaults to 3): 1, 3 or 5, for the convolutions over the mask.
        norm_type (`str`, defaults to `"sync_batch"`): `"sync_batch"`, `"batch"` or `"instance"`.
        use_spectral_norm (`bool`, defaults to `True`): Spectral norm in the residual blocks. `fuse_spectral_norm` sets
            it to `False`, as the weights then hold the normalized values.
        num_upsampling_layers (`int`, defaults to 5): 5, 6 or 7 (the public code's "normal", "more" and "most").
        mask_norm (`str`, defaults to `"spade"`): The norm that reads the mask, a name in `layers.norms.MASK_NORMS`.
        head_upsampling (`int`, defaults to 1): R. With 1, the paper's head, the last block works at the image's size.
            With 2 it works at half of it, and the last convolution computes 2x2 pixels at each position (sub-pixel
            convolution, Shi et al. 2016, https://arxiv.org/abs/1609.05158): four times the pixels from the same
            blocks. The mask is then read at half the image's size at most.
        image_channels (`int`, defaults to 3): I, channels of the images: 1 for gray, 3 for RGB, or any other number.
        condition_channels (`int`, defaults to 0): P, planes of real numbers that are read beside the labels, such as
            depth. With at least one, `num_labels` can be 0: image to image.
    """

    divisor_formula = "2 ** num_upsampling_layers * head_upsampling"
    _supports_gradient_checkpointing = True
    _no_split_modules = ["SPADEResnetBlock"]
    _skip_layerwise_casting_patterns = ["param_free_norm"]
    _repeated_blocks = ["SPADEResnetBlock"]
    mask_weights = ("conv_in.weight",)  # of a model without latent

    @register_to_config
    def __init__(
        self,
        *,
        num_labels: int,
        use_unknown_label: bool = False,
        use_instance_edges: bool = False,
        image_size: int | tuple[int, int] = 256,
        base_channels: int = 64,
        channel_mult: tuple[float, ...] | None = None,
        latent_dim: int | None = 256,
        spade_hidden_channels: int = 128,
        spade_kernel_size: int = 3,
        norm_type: NormType = "sync_batch",
        use_spectral_norm: bool = True,
        num_upsampling_layers: int = 5,
        mask_norm: str = "spade",
        head_upsampling: int = 1,
        image_channels: int = 3,
        condition_channels: int = 0,
    ) -> None:
        super().__init__()
        check_image_channels(image_channels)
        if num_upsampling_layers not in PAPER_CHANNEL_MULT:
            raise ValueError(f"`num_upsampling_layers` is {num_upsampling_layers}; allowed are 5, 6 and 7.")
        if head_upsampling not in (1, 2):
            raise ValueError(
                f"`head_upsampling` is {head_upsampling}; allowed are 1, the paper's head, and 2, with a last block "
                "at half the image's size."
            )
        paper_mult = PAPER_CHANNEL_MULT[num_upsampling_layers]
        channel_mult = channel_mult or paper_mult
        if len(channel_mult) != len(paper_mult):
            raise ValueError(
                f"`channel_mult` has {len(channel_mult)} entries; with `num_upsampling_layers` "
                f"{num_upsampling_layers} it must have {len(paper_mult)}."
            )
        # Sizes and widths: the activation starts at 1 / (2^n R) of the image's size.
        self.size_divisor = 2**num_upsampling_layers * head_upsampling
        self.check_size(*self.native_size, "`image_size`")
        self.start_size = self.first_size(*self.native_size)
        num_semantics = num_semantic_channels(num_labels, use_unknown_label, use_instance_edges, condition_channels)
        widths = [round(base_channels * mult) for mult in channel_mult]  # C' of each block
        if min(widths) < 1:
            raise ValueError(
                f"`base_channels` is {base_channels}; with `channel_mult` {channel_mult} a block has no channels. "
                "Increase either."
            )
        if latent_dim is not None and latent_dim < 1:
            raise ValueError(f"`latent_dim` is {latent_dim}; pass at least 1, or None for a model without latent.")
        # Layers, in the order of a forward pass.
        if latent_dim is None:
            self.conv_in = conv2d(num_semantics, widths[0], 3, padding=1)
        else:
            self.linear_in = linear(latent_dim, widths[0] * self.start_size[0] * self.start_size[1])
        self.blocks = nn.ModuleList(
            self.build_block(in_channels, out_channels, num_semantics)
            for in_channels, out_channels in zip([widths[0], *widths[:-1]], widths, strict=True)
        )
        self.upsampling = UPSAMPLING[num_upsampling_layers]
        self.conv_out = subpixel_conv2d(widths[-1], image_channels, 3, upsampling=head_upsampling, padding=1)
        self.gradient_checkpointing = False
        self.tiling: Tiling | None = Tiling()

    def forward(
        self,
        segmap: Tensor | None,
        z: Tensor | None = None,
        *,
        instance_edges: Tensor | None = None,
        condition: Tensor | None = None,
        return_dict: bool = True,
    ) -> SPADEGeneratorOutput | tuple[Tensor]:
        """Generate images as large as the mask.

        Args:
            segmap (`Tensor` or `None`): int `(N, H, W)` of label channels (`SPADEImageProcessor.preprocess_mask`
                computes them from ids), or float `(N, L - P, H, W)`, one-hot or soft. H and W are multiples of
                `size_divisor`. `None` for a model without labels.
            z (`Tensor`, *optional*): `(N * S, Z)` latents, required by a model with `latent_dim`; the S latents of a
                mask are consecutive and share the work on the mask.
            instance_edges (`Tensor`, *optional*): 0/1 `(N, H, W)`, required with label ids by a model with edges.
            condition (`Tensor`, *optional*): float `(N, P, H, W)` in [-1, 1], required by a model with condition
                channels; see `SPADEImageProcessor.preprocess_condition`.
            return_dict (`bool`, defaults to `True`): Whether to return a [`SPADEGeneratorOutput`] or a tuple.

        Raises:
            ValueError: If ids, shapes or sizes do not fit the model.
        """
        # What holds for all layers of this pass: S, and whether they may read labels instead of one-hot maps.
        mask = self.read_mask(segmap, instance_edges, condition, dtype=self.dtype)
        images_per_mask = self._images_per_mask(mask.num_masks, z)
        is_sparse = permits_sparse(self._spade_layers(), mask)
        mask = replace(mask, images_per_mask=images_per_mask, permits_sparse=is_sparse)

        # The first activation. Channels-last speeds up the convolutions and the pointwise work between them, and makes
        # a position's channels contiguous.
        x = self._start(mask, z).contiguous(memory_format=torch.channels_last)  # (N * S, C, h, w)

        # The blocks, in parts on a CPU and outside of compiled graphs if they read labels: the same images.
        synthesize = self._synthesize_tiled if self._is_tiled(x) else self.synthesize
        images = run_eagerly(synthesize, x, mask) if is_sparse else synthesize(x, mask)  # (N * S, I, H, W)
        return SPADEGeneratorOutput(images=images) if return_dict else (images,)

    def synthesize(self, x: Tensor, mask: SemanticMask) -> Tensor:
        """Map the first activation to images: figure 4.

        The mask enters in every block, at the block's resolution; the latent only in the first activation.

        Args:
            x (`Tensor`): `(N * S, C, h, w)` with h = H / (2^n R) and w = W / (2^n R).
            mask (`SemanticMask`): The N masks.

        Returns:
            `Tensor`: `(N * S, I, H, W)` in [-1, 1].
        """
        # Coarse to fine: each stage upsamples by 1 or 2, and its block maps C channels to C'.
        for scale, block in zip(self.upsampling, self.blocks, strict=True):
            x = upsample(x, scale)  # (N * S, C, scale * h, scale * w)
            x = self._run_block(block, x, mask)  # (N * S, C', scale * h, scale * w)
        return self.to_image(x)  # (N * S, I, H, W)

    def _run_block(self, block: nn.Module, x: Tensor, mask: SemanticMask) -> Tensor:
        """Call `block(x, mask)`; with gradient checkpointing, its activations are computed again in backward."""
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(block, x, mask)  # pyright: ignore[reportOptionalCall]
        return block(x, mask)

    def to_image(self, x: Tensor) -> Tensor:
        """Map the last block's output, `(N, C, H / R, W / R)`, to images `(N, I, H, W)` in [-1, 1]."""
        x = self.conv_out(F.leaky_relu(x, LEAKY_SLOPE))  # (N, I R^2, H / R, W / R)
        if self.config.head_upsampling > 1:
            x = F.pixel_shuffle(x, self.config.head_upsampling)  # (N, I, H, W)
        return torch.tanh(x)

    def check_size(self, height: int, width: int, name: str) -> None:
        """Raise a ValueError unless the model can make images of this size; see [`MaskToImageMixin`]."""
        super().check_size(height, width, name)
        divisor = self.size_divisor
        if self.config.norm_type == "instance" and height == width == divisor:
            raise ValueError(
                f"{name} is {height}x{width}: the first activation is a single position, which instance norm "
                f"cannot normalize. With `norm_type='instance'` the smallest size is {divisor}x{2 * divisor}."
            )

    def build_block(self, in_channels: int, out_channels: int, num_semantic_channels: int) -> nn.Module:
        """Build a residual block; override this method, or [`build_norm`], for other generators of this structure.

        Args:
            in_channels, out_channels (`int`): Channels of the activation.
            num_semantic_channels (`int`): Channels of the mask.
        """
        return SPADEResnetBlock(
            in_channels,
            out_channels,
            num_semantic_channels,
            use_spectral_norm=self.config.use_spectral_norm,
            build_norm=self.build_norm,
        )

    def build_norm(self, num_channels: int, num_semantic_channels: int) -> nn.Module:
        """Build a block's norm, the `mask_norm` of the config; see docs/extending.md for norms from outside.

        Args:
            num_channels (`int`): Channels of the activation.
            num_semantic_channels (`int`): Channels of the mask.

        Raises:
            ValueError: If the config names an unknown norm.
        """
        name = self.config.mask_norm
        if name not in MASK_NORMS:
            raise ValueError(f"`mask_norm` is {name!r}; allowed are {', '.join(map(repr, MASK_NORMS))}.")
        norm = MASK_NORMS[name]
        options = {argument: self.config[key] for argument, key in norm.options.items()}
        return norm.kind(num_channels, num_semantic_channels, **options)

    def set_modulation_backend(self, backend: ModulationBackend) -> None:
        """Choose how SPADE layers compute gamma and beta; the result is the same.

        Args:
            backend (`str`): `"dense"` convolves the one-hot mask, `"sparse"` computes each distinct label
                neighborhood once, `"auto"` takes the faster path on CPUs, and the dense path on other devices, where
                sparse has not been measured. Soft masks, conditions, exported graphs, and networks in which a
                convolution over the mask is hooked or replaced always take the dense path. Under `torch.compile` the
                sparse path runs eagerly, because a graph cannot depend on the labels.
        """
        if backend not in ("auto", "dense", "sparse"):
            raise ValueError(f"`backend` is {backend!r}; allowed are 'auto', 'dense' and 'sparse'.")
        for layer in self._spade_layers():
            layer.modulation_backend = backend

    def enable_tiling(self, max_bytes: int = MAX_BAND_BYTES) -> None:
        """Process large images in bands of rows, and large batches image by image, in CPU inference.

        Tiling is on by default: the images are the same, and take less memory and time.

        Args:
            max_bytes (`int`): Bytes of the largest upsampled activation that a block reads at once.

        Raises:
            ValueError: If `max_bytes` is below 1.
        """
        self.tiling = Tiling(max_bytes)

    def disable_tiling(self) -> None:
        """Process the whole batch at once in every block."""
        self.tiling = None

    def enable_gradient_checkpointing(self, gradient_checkpointing_func: Callable | None = None) -> None:
        """Recompute the blocks in the backward pass instead of keeping their activations: less memory, same numbers.

        Args:
            gradient_checkpointing_func (`Callable`, *optional*): As in diffusers. When recomputing, the default
                updates neither batch-norm statistics nor singular vectors.
        """
        super().enable_gradient_checkpointing(gradient_checkpointing_func or checkpoint_block)

    def _images_per_mask(self, num_masks: int, z: Tensor | None) -> int:
        """Check `z` and return S."""
        latent_dim = self.config.latent_dim
        if latent_dim is None:
            if z is not None:
                raise ValueError("`z` was given, but this model has no latent (`latent_dim` is None); leave it out.")
            return 1
        if z is None or z.ndim != 2 or z.shape[1] != latent_dim or z.shape[0] % num_masks or z.shape[0] == 0:
            given = "missing" if z is None else f"of shape {tuple(z.shape)}"
            raise ValueError(
                f"`z` is {given}; this model and mask need {(num_masks, latent_dim)}, or a multiple of {num_masks} "
                "rows for several styles of each mask, drawn from a standard normal."
            )
        return z.shape[0] // num_masks

    def _spade_layers(self) -> list[SPADE]:
        return [module for module in self.modules() if isinstance(module, SPADE)]

    def _start(self, mask: SemanticMask, z: Tensor | None) -> Tensor:
        """Compute the first activation, `(N * S, C, h, w)`."""
        self.check_size(*mask.size, "`condition`" if self.config.num_labels == 0 else "`segmap`")
        size = self.first_size(*mask.size)
        if self.config.latent_dim is None:
            # from the mask itself: (N, L, *size) to (N, C, *size), with S = 1
            return self.conv_in(mask.segmap_at(size))
        # from the latent alone: (N * S, Z)
        x = self.linear_in(z).unflatten(1, (-1, *self.start_size))  # (N * S, C, *start_size)
        if size != self.start_size:  # another image size than the native one
            x = F.interpolate(x, size, mode="bilinear", align_corners=False)  # (N * S, C, *size)
        return x

    def _is_tiled(self, x: Tensor) -> bool:
        # a norm in training mode, even a single one, takes the statistics of the whole batch
        return self.tiling is not None and is_cpu_inference(x) and not any(m.training for m in self.modules())

    def _synthesize_tiled(self, x: Tensor, mask: SemanticMask) -> Tensor:
        assert self.tiling is not None
        halo = self.conv_out.kernel_size[0] // 2 if is_plain_conv(self.conv_out) else None  # a hook gets whole ones
        stages = [*zip(self.upsampling, self.blocks, strict=True)]
        return synthesize_in_bands(x, mask, self.tiling, stages=stages, to_image=self.to_image, output_halo=halo)
