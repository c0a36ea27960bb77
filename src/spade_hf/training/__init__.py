from .adversaries import DISCRIMINATORS, DiscriminatorKind, prepare_backbone, warn_of_other_classes
from .augmentation import DiscriminatorAugmentation
from .averages import CrossProcessBatchNorm2d, ModelEMA, estimate_statistics, synchronize_batch_norm
from .checkpoints import CheckpointManager, SavedState, fingerprint_of
from .finetuning import Pretrained
from .game import (
    Game,
    PhaseOutput,
    Phases,
    Side,
    choose_random_styles,
    discriminate,
    discriminator_step,
    generate,
    generator_step,
    scalars_of,
)
from .integrity import DamagedCheckpointError
from .loop import SampleOrder, StopOnSignal, TimeLimit, TrainingState, find_broken_rows, resumable_batches
from .model_card import TrainingRecipe, write_training_card
from .monitoring import MetricsFile, Monitor, check_tracker, log_image, save_losses, start_trackers
from .networks import GENERATORS
from .outlines import OutlineIteration, OutlinePublisher
from .output_folder import GRID, delete_existing_run, list_checkpoints, refuse_existing_run, refuse_foreign_files
from .preparation import build_accelerator, compile_modules, learning_rate_schedule, prepared_schedule
from .publishing import Publisher
from .remote import RevisionUploads, download_checkpoint, upload
from .single_network import NetworkIteration, NetworkPublisher
from .validation import check_apart, hold_out, write_names


TrainingIteration, StepOutput = Game, PhaseOutput  # names of earlier versions

__all__ = [
    "DISCRIMINATORS",
    "GENERATORS",
    "CheckpointManager",
    "CrossProcessBatchNorm2d",
    "DamagedCheckpointError",
    "DiscriminatorAugmentation",
    "DiscriminatorKind",
    "GRID",
    "Game",
    "MetricsFile",
    "ModelEMA",
    "Monitor",
    "NetworkIteration",
    "NetworkPublisher",
    "OutlineIteration",
    "OutlinePublisher",
    "PhaseOutput",
    "Phases",
    "Pretrained",
    "Publisher",
    "RevisionUploads",
    "SampleOrder",
    "SavedState",
    "Side",
    "StepOutput",
    "StopOnSignal",
    "TimeLimit",
    "TrainingIteration",
    "TrainingRecipe",
    "TrainingState",
    "build_accelerator",
    "check_apart",
    "check_tracker",
    "choose_random_styles",
    "compile_modules",
    "delete_existing_run",
    "discriminate",
    "discriminator_step",
    "download_checkpoint",
    "estimate_statistics",
    "find_broken_rows",
    "fingerprint_of",
    "generate",
    "generator_step",
    "hold_out",
    "learning_rate_schedule",
    "list_checkpoints",
    "log_image",
    "prepare_backbone",
    "prepared_schedule",
    "refuse_existing_run",
    "refuse_foreign_files",
    "resumable_batches",
    "save_losses",
    "scalars_of",
    "start_trackers",
    "synchronize_batch_norm",
    "upload",
    "warn_of_other_classes",
    "write_names",
    "write_training_card",
]
