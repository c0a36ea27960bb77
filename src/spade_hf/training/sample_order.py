"""The order of a run's samples, which differs from seed to seed in every epoch."""

import json
import logging
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.data_loader import SeedableRandomSampler

from ..seeding import derive_seed


logger = logging.getLogger(__name__)
ORDER_FILE = "sample_order.json"


class SampleOrder:
    """Seed of a prepared loader's sampler, saved in checkpoints.

    In epoch e, accelerate's sampler shuffles by its seed + e. With the run's own seed, epoch 1 of seed 0 would be
    epoch 0 of seed 1, as it was in earlier versions. Their checkpoints have no file of this, and keep their order. A
    stream has an order of its own.

    Args:
        accelerator (`Accelerator`): Has prepared the loader.
        loader (`DataLoader`): The run's loader.
        seed (`int`): The run's seed.

    Attributes:
        is_former (`bool`): Whether the run continues one of an earlier version.
    """

    def __init__(self, accelerator: Accelerator, loader: Any, seed: int) -> None:
        batches = loader.batch_sampler
        batches = getattr(batches, "batch_sampler", batches)  # with several processes, the first is a part of it
        sampler = getattr(batches, "sampler", None)
        self.sampler = sampler if isinstance(sampler, SeedableRandomSampler) else None
        self.accelerator, self.seed = accelerator, seed
        self._use(is_former=False)
        accelerator.register_save_state_pre_hook(self._save)
        accelerator.register_load_state_pre_hook(self._load)

    def _use(self, *, is_former: bool) -> None:
        self.is_former = is_former
        if self.sampler is not None:
            self.sampler.initial_seed = self.seed if is_former else derive_seed(self.seed)

    def _save(self, models: Any, weights: Any, folder: str) -> None:
        if self.accelerator.is_main_process and not self.is_former:
            Path(folder, ORDER_FILE).write_text(json.dumps({"seed": derive_seed(self.seed)}) + "\n")

    def _load(self, models: Any, folder: str) -> None:
        self._use(is_former=not Path(folder, ORDER_FILE).is_file())
        if self.is_former and self.sampler is not None and self.accelerator.is_main_process:
            logger.info("%s is of an earlier version: the order of samples stays that of its run", folder)
