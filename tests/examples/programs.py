"""The programs that the tests of this folder run, and the smallest model to train."""

from pathlib import Path


ROOT = Path(__file__).resolve().parents[2]
TRAIN, EVALUATE, SYNTHESIZE = (
    ROOT / "examples" / f"{name}.py" for name in ("train_spade", "evaluate_spade", "synthesize_dataset")
)
# Smaller than the tiny preset, so that a run is little more than its imports.
SMALL = (
    "--preset tiny --resolution 32 --base_channels 4 --discriminator_base_channels 4 --spade_hidden_channels 4 "
    "--latent_dim 4 --style_encoder_image_size 32 --style_encoder_channel_mult 1 1 1 --train_batch_size 2 "
    "--num_validation_images 2 --perceptual_model none --dataloader_num_workers 0"
).split()


def checkpoints(folder):
    return {path.name for path in folder.glob("checkpoint-*")}
