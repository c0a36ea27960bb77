from .accelerator import build_accelerator
from .batch_norm import CrossProcessBatchNorm2d, synchronize_batch_norm
from .checkpoints import CheckpointManager, DamagedCheckpointError, TrainingState, list_checkpoints
from .compilation import compile_networks
from .ema import ModelEMA, estimate_statistics
from .iteration import TrainingIteration
from .loop import backward_and_step, resumable_batches
from .monitoring import Monitor, check_tracker, log_image, start_trackers
from .optimization import build_optimizers, build_schedules
from .output_folder import delete_existing_run, refuse_existing_run
from .schedule import learning_rate_schedule
from .steps import LossWeights, StepOutput, discriminator_step, generate, generator_step, scalars
from .stopping import StopOnSignal


__all__ = [
    "CheckpointManager",
    "CrossProcessBatchNorm2d",
    "DamagedCheckpointError",
    "LossWeights",
    "ModelEMA",
    "Monitor",
    "StepOutput",
    "StopOnSignal",
    "TrainingIteration",
    "TrainingState",
    "backward_and_step",
    "build_accelerator",
    "build_optimizers",
    "build_schedules",
    "check_tracker",
    "compile_networks",
    "delete_existing_run",
    "discriminator_step",
    "estimate_statistics",
    "generate",
    "generator_step",
    "learning_rate_schedule",
    "list_checkpoints",
    "log_image",
    "refuse_existing_run",
    "resumable_batches",
    "scalars",
    "start_trackers",
    "synchronize_batch_norm",
]
