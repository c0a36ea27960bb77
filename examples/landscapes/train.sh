#!/usr/bin/env bash
# The bundled model from nothing, on a CPU: data, three stages of growing pictures, the file in half precision.
#
#   examples/landscapes/train.sh OUTPUT_FOLDER
#
# Every stage resumes where it stopped. What was irregular in the run that made the bundled weights is in their card,
# src/spade_hf/bundled/README.md. Hours are those of two CPU cores with AVX-512 BF16.
set -euo pipefail
cd "$(dirname "$0")/../.."
output=${1:?give a folder for the data and the models}
mkdir -p "$output"

# 1488 training pictures: 372 layouts in four styles each; 2.3 seconds a picture. The renderer has an environment of its
# own, see README.md.
"${RENDER_PYTHON:-python}" examples/landscapes/render.py --first 1000 --layouts 384 --styles 4 --validation_layouts 12 \
  --output_dir "$output/data"

stage() { # NAME, then the options in which it differs from the preset
  local name=$1
  shift
  [ -f "$output/$name/model_index.json" ] || python examples/train_spade.py --preset landscapes \
    --dataset_name "$output/data" --output_dir "$output/$name" --resume_from_checkpoint latest \
    --checkpointing_steps 250 --checkpoints_total_limit 2 --mixed_precision bf16 "$@"
}

# Layout and light, on small pictures: version 1
stage 64 --resolution 64 --image_size 128 --resize_ratio 1.117 --random_style_probability 0 --perceptual_weight 10 \
  --train_batch_size 8 --learning_rate 3e-4 --ema_decay 0.998 --max_train_steps 1500 --lr_decay_start 1
stage 128 --resolution 128 --resize_ratio 1.117 --random_style_probability 0 --perceptual_weight 10 \
  --train_batch_size 8 --learning_rate 3e-4 --ema_decay 0.998 --max_train_steps 2400 --lr_decay_start 0.72 \
  --pretrained_model_name_or_path "$output/64" --discriminator_name_or_path "$output/64/checkpoint-1500"
# The size, with a new discriminator: the trial, 1.5 hours
stage 256 --resize_ratio 1.117 --random_style_probability 0 --perceptual_weight 10 \
  --ema_decay 0.998 --max_train_steps 3650 --lr_decay_start 0.72 --pretrained_model_name_or_path "$output/128"
# The recipe of the preset: sharp, painted masks, random styles
stage sharp --ema_decay 0.995 --max_train_steps 1741 --lr_decay_start 0.78 --checkpoints_total_limit 8 \
  --pretrained_model_name_or_path "$output/256" --discriminator_name_or_path "$output/256/checkpoint-3650"

# A mean, with batch statistics of its own: 0.25 of the stage before, 0.5 of the average before the learning rates fall, 0.25
# of the end.
python examples/landscapes/average_weights.py --dataset_name "$output/data" --output_dir "$output/interim" \
  --models "$output/256" "$output/sharp/checkpoint-1250" "$output/sharp" --weights 0.25 0.5 0.25

# From that mean, with fewer random styles: their own are aligned afterwards. It was stopped at 2770 of 3000 updates.
stage final --random_style_probability 0.1 --ema_decay 0.998 --max_train_steps 3000 --lr_decay_start 0.25 --seed 4 \
  --checkpoints_total_limit 20 --pretrained_model_name_or_path "$output/interim" \
  --discriminator_name_or_path "$output/256/checkpoint-3650"

# The bundled weights: a mean again, then random styles like the pictures'
python examples/landscapes/average_weights.py --dataset_name "$output/data" --output_dir "$output/mean" \
  --models "$output/interim" "$output/final/checkpoint-2750" --weights 0.4 0.6
python examples/align_styles.py --model "$output/mean" --dataset_name "$output/data" --dtype float16 --output_dir "$output/bundled"
