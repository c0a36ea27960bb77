"""The loss of a segmenter.

Legend: N images, L labels, H W height and width, h w those of the logits.
"""

import torch.nn.functional as F
from torch import Tensor


def label_loss(logits: Tensor, label_map: Tensor, *, ignored: int) -> Tensor:
    """Compute the mean cross-entropy of the pixels that have a label; 0 if none has.

    Args:
        logits (`Tensor`): `(N, L, h, w)`; they are enlarged to the masks' size.
        label_map (`Tensor`): int64 `(N, H, W)` in 0..L - 1, or `ignored`.
        ignored (`int`): The value of pixels that teach nothing.
    """
    logits = F.interpolate(logits, label_map.shape[-2:], mode="bilinear")  # (N, L, H, W)
    loss = F.cross_entropy(logits, label_map, ignore_index=ignored, reduction="sum")
    return loss / (label_map != ignored).sum().clamp(min=1)  # not NaN for a batch of unknown pixels only
