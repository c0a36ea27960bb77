from .checkpointing import CheckpointManager, TrainingState, find_checkpoint, list_checkpoints
from .ema import ModelEMA, estimate_statistics
from .schedule import learning_rate_schedule
from .steps import LossWeights, StepOutput, discriminator_step, generate, generator_step


__all__ = [
    "CheckpointManager",
    "LossWeights",
    "ModelEMA",
    "StepOutput",
    "TrainingState",
    "discriminator_step",
    "estimate_statistics",
    "find_checkpoint",
    "generate",
    "generator_step",
    "learning_rate_schedule",
    "list_checkpoints",
]
