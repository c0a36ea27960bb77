from .accelerator import build_accelerator
from .batch_norm import CrossProcessBatchNorm2d, synchronize_batch_norm
from .checkpoint_files import DamagedCheckpointError, list_checkpoints
from .checkpoints import CheckpointManager
from .compilation import compile_modules
from .discriminators import DISCRIMINATORS
from .ema import ModelEMA, estimate_statistics
from .game import Game, PhaseOutput, Phases, Side, choose_random_styles, discriminate, generate
from .loop import TrainingState, find_broken_rows, resumable_batches
from .model_card import TrainingRecipe, write_training_card
from .monitoring import Monitor, check_tracker, log_image, start_trackers
from .networks import ADVERSARIAL_LOSSES, GENERATORS
from .output_folder import delete_existing_run, refuse_existing_run, refuse_foreign_files
from .publishing import Publisher
from .resuming import fingerprint_of
from .schedule import learning_rate_schedule, prepared_schedule
from .steps import discriminator_step, generator_step
from .stopping import StopOnSignal


TrainingIteration, StepOutput = Game, PhaseOutput  # names of earlier versions

__all__ = [
    "ADVERSARIAL_LOSSES",
    "DISCRIMINATORS",
    "GENERATORS",
    "CheckpointManager",
    "CrossProcessBatchNorm2d",
    "DamagedCheckpointError",
    "Game",
    "ModelEMA",
    "Monitor",
    "PhaseOutput",
    "Phases",
    "Publisher",
    "Side",
    "StepOutput",
    "StopOnSignal",
    "TrainingIteration",
    "TrainingRecipe",
    "TrainingState",
    "build_accelerator",
    "choose_random_styles",
    "check_tracker",
    "compile_modules",
    "delete_existing_run",
    "discriminate",
    "discriminator_step",
    "estimate_statistics",
    "find_broken_rows",
    "fingerprint_of",
    "generate",
    "generator_step",
    "learning_rate_schedule",
    "list_checkpoints",
    "log_image",
    "prepared_schedule",
    "refuse_existing_run",
    "refuse_foreign_files",
    "resumable_batches",
    "start_trackers",
    "synchronize_batch_norm",
    "write_training_card",
]
