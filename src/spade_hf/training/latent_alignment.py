"""Makes random styles similar to those of a data set's images.

The prior of styles is N(0, I), but after training the styles of images are not centred at 0, and vary along only a few
directions. Random styles are then rare in training. An affine map of the latents corrects this. It does not change
images in an encoded style, because the generator's first layer inverts the map of the encoder's means.

Legend: N images, Z latent.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from ..models import SPADEGenerator, SPADEStyleEncoder


LEAST_VARIANCE = 0.05  # of the styles along a direction; directions below carry no style


@torch.no_grad()
def align_latents(generator: SPADEGenerator, style_encoder: SPADEStyleEncoder, batches: Iterable[Tensor]) -> None:
    """Map the latents, in place, so that the styles of these images have mean 0 and covariance I.

    Directions with a variance below `LEAST_VARIANCE` keep a variance below 1. The posterior's variances, which are
    used only in training, become constants: their mean over the images.

    Args:
        generator (`SPADEGenerator`): A generator with a latent.
        style_encoder (`SPADEStyleEncoder`): Its encoder.
        batches (`Iterable[Tensor]`): Images `(N, 3, H, W)` in [-1, 1], more than Z in all.

    Raises:
        ValueError: If there are too few images.
    """
    means, variances = [], []
    for images in batches:
        mean, logvar = style_encoder(images, return_dict=False)
        means.append(mean.double())
        variances.append(logvar.exp().double())
    if sum(map(len, means)) <= style_encoder.config.latent_dim:
        raise ValueError(
            f"{sum(map(len, means))} images were given; give more than {style_encoder.config.latent_dim}, the "
            "dimension of a style, and better ten times as many."
        )
    styles = torch.cat(means)  # (N, Z)
    center, covariance = styles.mean(dim=0), torch.cov(styles.T)
    powers, directions = torch.linalg.eigh(covariance)  # (Z,), (Z, Z): one column per direction
    scales = powers.clamp(min=LEAST_VARIANCE).sqrt()
    there, back = directions / scales, directions * scales  # old - center = back @ new; new = there.T @ (old - center)
    first, mean, logvar = generator.linear_in, style_encoder.linear_mean, style_encoder.linear_logvar
    weight = first.weight.double()
    first.bias.add_((weight @ center).to(first.bias.dtype))
    first.weight.copy_(weight @ back)
    mean.bias.copy_(there.T @ (mean.bias.double() - center))
    mean.weight.copy_(there.T @ mean.weight.double())
    logvar.weight.zero_()
    logvar.bias.copy_((there.T.square() @ torch.cat(variances).mean(dim=0)).log())
