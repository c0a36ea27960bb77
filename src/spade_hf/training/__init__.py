from .accelerator import build_accelerator
from .batch_norm import CrossProcessBatchNorm2d, synchronize_batch_norm
from .checkpointing import CheckpointManager, DamagedCheckpointError, TrainingState, list_checkpoints
from .compilation import compile_networks
from .ema import ModelEMA, estimate_statistics
from .iteration import TrainingIteration
from .loop import backward_and_step, resumable_batches, stop_on_sigterm
from .monitoring import Monitor, check_tracker, log_image, start_trackers
from .optimization import build_optimizers, build_schedules
from .schedule import learning_rate_schedule
from .steps import LossWeights, StepOutput, discriminator_step, generate, generator_step, scalars


__all__ = [
    "CheckpointManager",
    "CrossProcessBatchNorm2d",
    "DamagedCheckpointError",
    "LossWeights",
    "ModelEMA",
    "Monitor",
    "StepOutput",
    "TrainingIteration",
    "TrainingState",
    "backward_and_step",
    "build_accelerator",
    "build_optimizers",
    "build_schedules",
    "check_tracker",
    "compile_networks",
    "discriminator_step",
    "estimate_statistics",
    "generate",
    "generator_step",
    "learning_rate_schedule",
    "list_checkpoints",
    "log_image",
    "resumable_batches",
    "scalars",
    "start_trackers",
    "stop_on_sigterm",
    "synchronize_batch_norm",
]
