"""VGG-19 (Simonyan and Zisserman 2015, arXiv 1409.1556) as a frozen feature network, without torchvision or timm.

Weights: `timm/vgg19.tv_in1k` on the Hub (torchvision's, as safetensors). Only the layers up to relu5_1 are built and
read.

Shape letters: N batch, C channels, H W height and width.
"""

from pathlib import Path

import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn


VGG19_REPO = "timm/vgg19.tv_in1k"
WEIGHTS_FILE = "model.safetensors"

# Channels as multiples of the base width; "pool" halves the resolution. The file's keys number these layers, with a
# ReLU after each convolution.
LAYERS = (1, 1, "pool", 2, 2, "pool", 4, 4, 4, 4, "pool", 8, 8, 8, 8, "pool", 8)
FEATURE_LAYERS = (1, 6, 11, 20, 29)  # relu1_1, relu2_1, relu3_1, relu4_1, relu5_1

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of RGB in [0, 1]
IMAGENET_STD = (0.229, 0.224, 0.225)


class VGG19Features(nn.Module):
    """Frozen VGG-19 that returns relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1, at strides 1, 2, 4, 8 and 16.

    Constructed directly, the weights are random; see [`~VGG19Features.from_pretrained`].

    Args:
        base_channels (`int`, defaults to 64): width of the first layer; VGG-19 has 64, tests use fewer.

    Source: arXiv 1409.1556, table 1, column E; taps as in SPADE (arXiv 1903.07291, appendix).
    """

    level_weights = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)  # the paper's, for a perceptual loss

    mean: Tensor
    std: Tensor

    def __init__(self, base_channels: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        in_channels = 3
        for layer in LAYERS:
            if layer == "pool":
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(in_channels, layer * base_channels, 3, padding=1), nn.ReLU()]
                in_channels = layer * base_channels
        self.features = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)
        self.eval().requires_grad_(False)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path = VGG19_REPO,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> "VGG19Features":
        """Load the weights; keys beyond relu5_1 are ignored, and the width is read from the file.

        Args:
            name_or_path (`str` or `Path`, defaults to `"timm/vgg19.tv_in1k"`):
                A Hub repo id, a local folder with `model.safetensors`, or a local safetensors file.
            revision (`str`, *optional*): branch, tag or commit of the Hub repo.
            token (`str` or `bool`, *optional*): for a private repo.
            cache_dir (`str` or `Path`, *optional*): instead of the Hub's cache folder.
            local_files_only (`bool`, defaults to `False`): use only the cache.

        Raises:
            ValueError: If there is no such file or repo, or the file does not hold VGG-19's weights.
        """
        path = Path(name_or_path)
        if path.is_dir():
            path = path / WEIGHTS_FILE
        elif not path.is_file():
            path = _download(str(name_or_path), revision, token, cache_dir, local_files_only)

        with torch.device("meta"):
            keys = list(cls(base_channels=1).state_dict())
        try:
            with safe_open(path, framework="pt") as weights:
                missing = sorted(set(keys) - set(weights.keys()))
                if missing:
                    raise ValueError(
                        f"`{path}` lacks {len(missing)} of VGG-19's {len(keys)} weights, the first is {missing[0]!r}. "
                        f"Give a safetensors file with torchvision's key names, as in the Hub repo {VGG19_REPO!r}."
                    )
                state = {key: weights.get_tensor(key).float() for key in keys}
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"`{path}` can't be read as safetensors ({error}). "
                f"Download it again from the Hub repo {VGG19_REPO!r}, or convert the weights to safetensors."
            ) from error

        net = cls(base_channels=state[keys[0]].shape[0])
        for key, weight in net.state_dict().items():
            if state[key].shape != weight.shape:
                raise ValueError(
                    f"`{path}` holds {key} of shape {tuple(state[key].shape)}, in VGG-19 it is {tuple(weight.shape)}. "
                    f"Give VGG-19's weights, as in the Hub repo {VGG19_REPO!r}."
                )
        net.load_state_dict(state)
        return net

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the feature maps.

        Args:
            images (`Tensor` of shape `(N, 3, H, W)`): RGB in [-1, 1]; at least 16 pixels per side.

        Returns:
            `list[Tensor]`: five maps `(N, C, H / s, W / s)` with C = 64, 128, 256, 512, 512 and s = 1, 2, 4, 8, 16.
        """
        x = ((images + 1) / 2 - self.mean) / self.std  # (N, 3, H, W), standardized as in ImageNet training
        features = []
        for index, layer in enumerate(self.features):
            x = layer(x)  # (N, C, H / s, W / s)
            if index in FEATURE_LAYERS:
                features.append(x)
        return features


def _download(
    repo_id: str, revision: str | None, token: str | bool | None, cache_dir: str | Path | None, local_files_only: bool
) -> Path:
    """Download the weights file of a Hub repo to the cache, and return its path; without network, look it up there."""
    unreachable = None
    if not local_files_only:
        try:  # one question: the download asks again for half a minute if nobody answers
            get_hf_file_metadata(hf_hub_url(repo_id, WEIGHTS_FILE, revision=revision), token=token)
        except Exception as error:  # the classes of connection errors change with the client's version
            unreachable, local_files_only = error, True
    options = {"revision": revision, "token": token, "cache_dir": cache_dir, "local_files_only": local_files_only}
    try:
        return Path(hf_hub_download(repo_id, WEIGHTS_FILE, **options))
    except (HFValidationError, OSError) as error:  # every HTTP error of the client is an OSError
        reason = unreachable or error
        raise ValueError(
            f"`{repo_id}` is neither a local file or folder nor a Hub repo with {WEIGHTS_FILE!r} that can be reached. "
            f"Give a local folder that holds {WEIGHTS_FILE!r}, or go online ({type(reason).__name__}: {reason})."
        ) from reason
