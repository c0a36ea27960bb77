#!/usr/bin/env bash
# The bundled model from nothing, on a CPU: data, stages of growing pictures, the file in half precision.
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

stage() { # NAME, then options
  local name=$1
  shift
  [ -f "$output/$name/model_index.json" ] || python examples/train_spade.py --preset landscapes \
    --dataset_name "$output/data" --output_dir "$output/$name" --resume_from_checkpoint latest \
    --checkpointing_steps 250 --checkpoints_total_limit 2 --mixed_precision bf16 "$@"
}

# Stages against the paper's discriminator, before the preset had another one, and without the preset's color loss
patch=(--discriminator patch --augment_discriminator none --color_weight 0)

# Layout and light, on small pictures: version 1
stage 64 "${patch[@]}" --resolution 64 --image_size 128 --resize_ratio 1.117 --random_style_probability 0 \
  --perceptual_weight 10 --train_batch_size 8 --learning_rate 3e-4 --max_train_steps 1500 --lr_decay_start 1
stage 128 "${patch[@]}" --resolution 128 --resize_ratio 1.117 --random_style_probability 0 --perceptual_weight 10 \
  --train_batch_size 8 --learning_rate 3e-4 --max_train_steps 2400 --lr_decay_start 0.72 \
  --pretrained_model_name_or_path "$output/64" --discriminator_name_or_path "$output/64/checkpoint-1500"
# The size, with a new discriminator: the trial, 1.5 hours
stage 256 "${patch[@]}" --resize_ratio 1.117 --random_style_probability 0 --perceptual_weight 10 \
  --max_train_steps 3650 --lr_decay_start 0.72 --pretrained_model_name_or_path "$output/128"
# Sharp, painted masks, random styles
stage sharp "${patch[@]}" --random_style_probability 0.25 --ema_decay 0.995 --max_train_steps 1741 \
  --lr_decay_start 0.78 --checkpoints_total_limit 8 \
  --pretrained_model_name_or_path "$output/256" --discriminator_name_or_path "$output/256/checkpoint-3650"

# A mean, with batch statistics of its own: 0.25 of the stage before, 0.5 of the average before the learning rates fall, 0.25
# of the end.
python examples/landscapes/average_weights.py --dataset_name "$output/data" --output_dir "$output/interim" \
  --models "$output/256" "$output/sharp/checkpoint-1250" "$output/sharp" --weights 0.25 0.5 0.25

# From that mean, with fewer random styles: their own are aligned afterwards. It was stopped at 2770 of 3000 updates.
stage third "${patch[@]}" --max_train_steps 3000 --lr_decay_start 0.25 --seed 4 --checkpoints_total_limit 20 \
  --pretrained_model_name_or_path "$output/interim" --discriminator_name_or_path "$output/256/checkpoint-3650"

# A mean again, with random styles like the pictures'
python examples/landscapes/average_weights.py --dataset_name "$output/data" --output_dir "$output/mean" \
  --models "$output/interim" "$output/third/checkpoint-2750" --weights 0.4 0.6
python examples/align_styles.py --model "$output/mean" --dataset_name "$output/data" --dtype float16 --output_dir "$output/aligned"

# A projected discriminator: real textures, relief and clouds
stage projected --reuse_fakes --color_weight 0 --max_train_steps 2600 --lr_decay_start 0.3 --seed 5 \
  --pretrained_model_name_or_path "$output/aligned"
# A mean with the stage before, whose light follows the style more closely
python examples/landscapes/average_weights.py --dataset_name "$output/data" --output_dir "$output/mean2" \
  --models "$output/aligned" "$output/projected" --weights 0.2 0.8
python examples/align_styles.py --model "$output/mean2" --dataset_name "$output/data" --dtype float16 \
  --output_dir "$output/aligned2"

# The recipe of the preset, with the color loss: the light of the style picture. It was started for 2600 updates.
stage color --reuse_fakes --max_train_steps 2200 --lr_decay_start 0.3 --seed 7 \
  --pretrained_model_name_or_path "$output/aligned2" --discriminator_name_or_path "$output/projected/checkpoint-2600"
python examples/align_styles.py --model "$output/color" --dataset_name "$output/data" --dtype float16 \
  --output_dir "$output/bundled-256"

# 512x512: the same scenes, 62 layouts for training, and a half-size head. Only the last blocks are trained: they draw the
# textures, and the first ones see the same masks at the same sizes as before. The bundled weights are the mean, in half
# precision.
render_512=("${RENDER_PYTHON:-python}" examples/landscapes/render.py --size 512 --styles 4 --output_dir "$output/data-512")
"${render_512[@]}" --first 1372 --layouts 12 --validation_layouts 12
"${render_512[@]}" --first 1000 --layouts 62
large=(--dataset_name "$output/data-512" --resolution 512 --head_upsampling 2 --train_last_blocks 4 --loss_crop_size 256
  --reuse_fakes --lr_decay_start 0.3 --seed 11 --pretrained_model_name_or_path "$output/bundled-256")
stage enlarged "${large[@]}" --max_train_steps 1 --learning_rate 0
stage large "${large[@]}" --max_train_steps 2000
python examples/landscapes/average_weights.py --dataset_name "$output/data-512" --output_dir "$output/bundled" \
  --models "$output/enlarged" "$output/large" --weights 0.15 0.85

# The outline model, on label maps alone: the layouts of the training pictures, and 550 more. The bundled one was stopped
# at 3750 of 8000 updates, and went on from there for 2900 with rates of its own.
maps=("${RENDER_PYTHON:-python}" examples/landscapes/render.py --labels_only --output_dir "$output/maps")
"${maps[@]}" --first 1000 --layouts 372
"${maps[@]}" --first 1384 --layouts 550
python examples/train_outlines.py --dataset_name "$output/maps" --output_dir "$output/outlines" --train_batch_size 8 \
  --max_train_steps 6650 --ema_decay 0.998 --checkpointing_steps 250 --resume_from_checkpoint latest
