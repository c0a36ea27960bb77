"""Makes random styles like those of a data set's pictures.

The prior of styles is N(0, I), but after training the styles of pictures lie elsewhere: off the origin, and along a
few directions. A random style is then one that the generator has hardly seen. An affine map of the latents changes
that, and no picture with a style of its own: what it does to the encoder's means, the generator's first layer undoes.

Legend: N pictures, Z latent.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from ..models import SPADEGenerator, SPADEStyleEncoder


LEAST_VARIANCE = 0.05  # of the styles along a direction; below, the direction carries no style


@torch.no_grad()
def align_latents(generator: SPADEGenerator, style_encoder: SPADEStyleEncoder, batches: Iterable[Tensor]) -> None:
    """Map the latents, in place, so that the styles of these pictures have mean 0 and covariance I.

    The variances of the posterior, which training alone draws from, become constants: their mean over the pictures.

    Args:
        generator (`SPADEGenerator`): With latent.
        style_encoder (`SPADEStyleEncoder`): Its encoder.
        batches (`Iterable[Tensor]`): Pictures `(N, 3, H, W)` in [-1, 1], as many as there are styles to learn from;
            more than Z in all.

    Raises:
        ValueError: If there are too few pictures.
    """
    means, variances = [], []
    for images in batches:
        mean, logvar = style_encoder(images, return_dict=False)
        means.append(mean.double())
        variances.append(logvar.exp().double())
    if sum(map(len, means)) <= style_encoder.config.latent_dim:
        raise ValueError(
            f"{sum(map(len, means))} pictures were given; it takes more than the {style_encoder.config.latent_dim} "
            "numbers of a style, and better ten times as many."
        )
    styles = torch.cat(means)  # (N, Z)
    center, covariance = styles.mean(dim=0), torch.cov(styles.T)
    powers, directions = torch.linalg.eigh(covariance)  # (Z,), (Z, Z): a column for each direction
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
