"""A second SPADE, in the public checkpoints' format, for parity tests: functions on state dicts, plain and dense.

Written from the paper (Park et al. 2019) and the format's key names, without any of the library's code. It gives the
numbers that the public implementation gave, to 1e-5 (tests/test_parity.py), so it can stand in for it on networks
that are small enough for a test.

Legend: N batch, L semantic channels, H W height and width, Z latent.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


Weights = Mapping[str, Tensor]

# For each variant: the blocks, "up" where the resolution doubles.
SCHEDULES = {
    "normal": "head_0 up G_middle_0 G_middle_1 up up_0 up up_1 up up_2 up up_3",
    "more": "head_0 up G_middle_0 up G_middle_1 up up_0 up up_1 up up_2 up up_3",
    "most": "head_0 up G_middle_0 up G_middle_1 up up_0 up up_1 up up_2 up up_3 up up_4",
}
WIDTHS = {
    "head_0": (16, 16),
    "G_middle_0": (16, 16),
    "G_middle_1": (16, 16),
    "up_0": (16, 8),
    "up_1": (8, 4),
    "up_2": (4, 2),
    "up_3": (2, 1),
    "up_4": (1, 0.5),
}


def generate(
    weights: Weights,
    segmap: Tensor,
    z: Tensor | None = None,
    *,
    variant: str = "normal",
    start_size: tuple[int, int] | None = None,
    norm: str = "batch",
    training: bool = False,
) -> Tensor:
    """segmap `(N, L, H, W)` and z `(N, Z)` to images `(N, 3, H, W)`."""

    def normalize(x: Tensor, prefix: str) -> Tensor:
        if norm == "instance":
            variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
        elif training:
            variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0, keepdim=True)
        else:
            mean, variance = (weights[f"{prefix}.running_{what}"].view(1, -1, 1, 1) for what in ("mean", "var"))
        return (x - mean) / (variance + 1e-5).sqrt()

    def modulate(x: Tensor, prefix: str) -> Tensor:
        mask = F.interpolate(segmap, x.shape[-2:], mode="nearest")
        hidden = F.relu(convolve(mask, f"{prefix}.mlp_shared.0"))
        gamma, beta = convolve(hidden, f"{prefix}.mlp_gamma"), convolve(hidden, f"{prefix}.mlp_beta")
        return normalize(x, f"{prefix}.param_free_norm") * (1 + gamma) + beta

    def convolve(x: Tensor, prefix: str) -> Tensor:
        weight = read_weight(weights, prefix, training=training)
        return F.conv2d(x, weight, weights.get(f"{prefix}.bias"), padding=weight.shape[-1] // 2)

    schedule = SCHEDULES[variant].split()
    halvings = 2 ** schedule.count("up")
    if weights["fc.weight"].ndim == 4:
        size = (segmap.shape[2] // halvings, segmap.shape[3] // halvings)
        x = convolve(F.interpolate(segmap, size, mode="nearest"), "fc")
    else:
        x = F.linear(z, weights["fc.weight"], weights["fc.bias"]).view(len(z), -1, *start_size)
    for name in schedule:
        if name == "up":
            x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
            continue
        shortcut = x
        if f"{name}.norm_s.mlp_gamma.weight" in weights:
            shortcut = convolve(modulate(x, f"{name}.norm_s"), f"{name}.conv_s")
        x = convolve(F.leaky_relu(modulate(x, f"{name}.norm_0"), 0.2), f"{name}.conv_0")
        x = shortcut + convolve(F.leaky_relu(modulate(x, f"{name}.norm_1"), 0.2), f"{name}.conv_1")
    return torch.tanh(convolve(F.leaky_relu(x, 0.2), "conv_img"))


def encode(weights: Weights, images: Tensor, *, image_size: int = 256) -> tuple[Tensor, Tensor]:
    """Images `(N, 3, H, W)` to mean and log-variance, `(N, Z)` each."""
    x = F.interpolate(images, (image_size, image_size), mode="bilinear")
    for layer in range(1, 7):
        x = F.conv2d(x, read_weight(weights, f"layer{layer}.0"), stride=2, padding=1)
        x = F.leaky_relu(F.instance_norm(x), 0.2)
    x = x.flatten(1)
    return tuple(F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"]) for name in ("fc_mu", "fc_var"))


def discriminate(
    weights: Weights, segmap: Tensor, images: Tensor, *, training: bool = False
) -> tuple[list[Tensor], list[list[Tensor]]]:
    """Logits of both scales, and the four features of each."""
    x, logits, features = torch.cat([segmap, images], dim=1), [], []
    for scale in range(2):
        if scale == 1:
            x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        prefix, y = f"discriminator_{scale}.model", x
        y = F.conv2d(y, weights[f"{prefix}0.0.weight"], weights[f"{prefix}0.0.bias"], stride=2, padding=2)
        features.append([F.leaky_relu(y, 0.2)])
        for layer in (1, 2, 3):
            weight = read_weight(weights, f"{prefix}{layer}.0.0", training=training)
            y = F.conv2d(features[-1][-1], weight, stride=1 if layer == 3 else 2, padding=2)
            features[-1].append(F.leaky_relu(F.instance_norm(y), 0.2))
        y = F.conv2d(features[-1][-1], weights[f"{prefix}4.0.weight"], weights[f"{prefix}4.0.bias"], padding=2)
        logits.append(y)
    return logits, features


def read_weight(weights: Weights, prefix: str, *, training: bool = False) -> Tensor:
    """A weight, divided by its largest singular value where spectral norm is on it."""
    if f"{prefix}.weight" in weights:
        return weights[f"{prefix}.weight"]
    weight, u, v = (weights[f"{prefix}.weight_{part}"] for part in ("orig", "u", "v"))
    matrix = weight.flatten(1)
    if training:  # one power iteration; PyTorch begins it with u today, and began with v when SPADE was published
        with torch.no_grad():
            u = F.normalize(matrix @ v, dim=0)
            v = F.normalize(matrix.T @ u, dim=0)
    return weight / (u @ matrix @ v)


def one_hot(
    label_map: np.ndarray, instance_map: np.ndarray | None, *, num_labels: int, use_unknown_label: bool
) -> Tensor:
    """Ids `(N, H, W)`, 255 = unknown, to the semantic channels; edges between 4-neighbors of different instance."""
    planes = [label_map == i for i in range(num_labels)] + ([label_map == 255] if use_unknown_label else [])
    if instance_map is not None:
        edges = np.zeros(instance_map.shape, dtype=bool)
        for axis in (1, 2):
            for shift in (1, -1):
                # the row or column that `roll` brings in from the far side is compared with itself
                neighbor = np.roll(instance_map, shift, axis)
                border = 0 if shift == 1 else -1
                rows = [slice(None)] * 3
                rows[axis] = border
                neighbor[tuple(rows)] = instance_map[tuple(rows)]
                edges |= neighbor != instance_map
        planes.append(edges)
    return torch.from_numpy(np.stack(planes, axis=1)).float()


def random_generator_weights(
    num_semantic_channels: int,
    *,
    base_channels: int = 4,
    hidden_channels: int = 8,
    kernel_size: int = 3,
    latent_dim: int | None = None,
    variant: str = "normal",
    start_size: tuple[int, int] = (2, 2),
    norm: str = "batch",
    use_spectral_norm: bool = True,
    has_converged: bool = True,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Random `latest_net_G.pth`; the numbers are the same in every version of numpy and torch.

    Where spectral norm has not converged, as in a young training, each power iteration shows in the output.
    """
    make, weights = WeightMaker(seed, has_converged=has_converged), {}
    start_channels = 16 * base_channels
    if latent_dim is None:
        weights |= make.layer("fc", start_channels, num_semantic_channels, 3)
    else:
        weights |= make.layer("fc", start_channels * start_size[0] * start_size[1], latent_dim)
    blocks = [name for name in SCHEDULES[variant].split() if name != "up"]
    for name in blocks:
        inputs, outputs = (int(base_channels * width) for width in WIDTHS[name])
        middle = min(inputs, outputs)
        convs = {"0": (middle, inputs, 3), "1": (outputs, middle, 3)}
        if inputs != outputs:
            convs["s"] = (outputs, inputs, 1)
        for part, shape in convs.items():
            gain = 1 if use_spectral_norm else 0.2  # which divides it out
            weights |= make.layer(
                f"{name}.conv_{part}", *shape, bias=part != "s", spectral=use_spectral_norm, gain=gain
            )
            prefix, channels = f"{name}.norm_{part}", shape[1]
            if norm == "batch":
                weights |= make.statistics(f"{prefix}.param_free_norm", channels)
            weights |= make.layer(f"{prefix}.mlp_shared.0", hidden_channels, num_semantic_channels, kernel_size)
            for what in ("mlp_gamma", "mlp_beta"):
                weights |= make.layer(f"{prefix}.{what}", channels, hidden_channels, kernel_size)
    return weights | make.layer("conv_img", 3, int(base_channels * WIDTHS[blocks[-1]][1]), 3)


def random_encoder_weights(
    *, base_channels: int = 4, latent_dim: int = 8, use_spectral_norm: bool = True, seed: int = 1
) -> dict[str, Tensor]:
    """Random `latest_net_E.pth`."""
    make, weights = WeightMaker(seed), {}
    widths = [3, *(base_channels * i for i in (1, 2, 4, 8, 8, 8))]
    for layer, (inputs, outputs) in enumerate(zip(widths[:-1], widths[1:], strict=True), start=1):
        weights |= make.layer(f"layer{layer}.0", outputs, inputs, 3, bias=False, spectral=use_spectral_norm)
    for name in ("fc_mu", "fc_var"):
        weights |= make.layer(name, latent_dim, widths[-1] * 4 * 4)
    return weights


def random_discriminator_weights(num_semantic_channels: int, *, base_channels: int = 4, seed: int = 2) -> Weights:
    """Random `latest_net_D.pth`."""
    make, weights = WeightMaker(seed), {}
    widths = [num_semantic_channels + 3, *(base_channels * i for i in (1, 2, 4, 8)), 1]
    for scale in range(2):
        for layer, (inputs, outputs) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            is_middle = layer in (1, 2, 3)
            name = f"discriminator_{scale}.model{layer}.0" + ".0" * is_middle
            weights |= make.layer(name, outputs, inputs, 4, bias=not is_middle, spectral=is_middle)
    return weights


class WeightMaker:
    """Draws layers large enough that every one of them shows in the output."""

    def __init__(self, seed: int, *, has_converged: bool = True) -> None:
        self.random, self.has_converged = np.random.RandomState(seed), has_converged

    def normal(self, *shape: int, std: float = 1.0) -> Tensor:
        return torch.from_numpy(self.random.standard_normal(shape) * std).float()

    def layer(
        self,
        name: str,
        outputs: int,
        inputs: int,
        kernel: int | None = None,
        *,
        bias: bool = True,
        spectral: bool = False,
        gain: float = 1,
    ) -> dict[str, Tensor]:
        shape = (outputs, inputs) if kernel is None else (outputs, inputs, kernel, kernel)
        weight = self.normal(*shape, std=gain * (2 / np.prod(shape[1:])) ** 0.5)
        layer = {f"{name}.bias": self.normal(outputs, std=0.3)} if bias else {}
        if not spectral:
            return layer | {f"{name}.weight": weight}
        matrix = weight.flatten(1).double()
        if self.has_converged:  # exact singular vectors: a power iteration leaves them where they are
            u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
            u, v = u[:, 0], vh[0]
        else:
            v = F.normalize(matrix.T @ self.normal(outputs).double(), dim=0)
            u = F.normalize(matrix @ v, dim=0)
        return layer | {
            f"{name}.weight_orig": weight,
            f"{name}.weight_u": u.float(),
            f"{name}.weight_v": v.float(),
        }

    def statistics(self, name: str, channels: int) -> dict[str, Tensor]:
        return {
            f"{name}.running_mean": self.normal(channels, std=0.3),
            f"{name}.running_var": self.normal(channels).abs() + 0.3,
            f"{name}.num_batches_tracked": torch.tensor(5),
        }
