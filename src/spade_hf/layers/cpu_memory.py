"""What inference on a CPU spends on fresh memory, and where that begins."""

import torch
from torch import Tensor


# glibc keeps smaller blocks for the next call. Larger ones it hands back to the system at once and gets anew, page by
# page, every time: filling the pages takes as long as the arithmetic.
MAX_RECYCLED_BYTES = 2**25


def is_cpu_inference(x: Tensor) -> bool:
    """Whether work on `x` may be cut into parts that recycle their memory: no gradient, no graph needs the whole."""
    return x.device.type == "cpu" and not torch.is_grad_enabled() and not torch.compiler.is_compiling()
