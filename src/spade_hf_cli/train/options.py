"""Declares the options of training: diffusers' names, the paper's defaults where it states them."""

from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from ..data_options import DataOptions, data_option
from ..declaring import option, option_name
from ..parsing import (
    count,
    decay,
    duration,
    natural,
    nonnegative,
    positive,
    positive_weight,
    proper_share,
    seed,
    share,
)
from .presets import DISCRIMINATOR_OPTIONS, MASK_NORM_OPTIONS, PRESETS


if TYPE_CHECKING:
    from ..train_outlines.options import OutlineOptions
    from ..train_segmenter.options import SegmenterOptions

NetworkOptions: TypeAlias = "OutlineOptions | SegmenterOptions"  # of programs that train one network
RunOptions: TypeAlias = "TrainOptions | OutlineOptions | SegmenterOptions"  # for what all kinds of training share

# The paper's schedule, and those of diffusers that need only the number of updates. They are written out, and nothing
# of `spade_hf` is imported here, so that `spade-hf train --help` takes a tenth of a second.
LR_SCHEDULERS = (
    "constant_then_linear linear cosine cosine_with_restarts polynomial constant constant_with_warmup".split()
)
# Headings of the help, with a sentence below them.
VALIDATION, MODEL, HUB = "validation", "model", "Hub (log in with `hf auth login`, or set HF_TOKEN)"
DESCRIPTIONS = {
    VALIDATION: "pairs that are not trained on, for samples and evaluations",
    MODEL: "With a pretrained model, widths, layers and norm come from it.",
}
validation_option, model_option = partial(option, group=VALIDATION), partial(option, group=MODEL)
loss_option, step_option = partial(option, group="losses"), partial(option, group="optimization")
output_option, hub_option = partial(option, group="output"), partial(option, group=HUB)


@dataclass(frozen=True, kw_only=True)
class TrainOptions(DataOptions):
    """All options of a run. What is decided later, as by a pretrained model, makes a new object."""

    preset: str | None = option(None, "defaults for the options below", choices=sorted(PRESETS), free=True)
    config: str | None = option(None, "YAML or JSON file of options, such as a checkpoint's arguments.json", free=True)
    dry_run: bool = option(False, "build everything, write all options as YAML to stdout, and stop", free=True)

    import_: list[str] = option(
        [],
        "modules of yours that are imported first, and can add losses, norms and discriminators: docs/extending.md",
        many="*",
        adds=True,
    )

    # Data: those of DataOptions, and how training reads them
    train_split: str = data_option("train")
    cache_dir: str | None = data_option(None, "folder for the prepared data of `datasets`", free=True)
    max_train_samples: int | None = data_option(None, "use only the first N rows", kind=count)
    resolution: list[int] = data_option([256], "side, or height and width, in pixels", kind=int, many="+", card=True)
    resize_ratio: float = data_option(286 / 256, "resize to --resolution x this, then crop", kind=float, card=True)
    center_crop: bool = data_option(False)
    random_flip: bool = data_option(True, card=True)
    simplify_probability: float = data_option(0.0, "share of masks painted as if by hand", kind=share, card=True)
    streaming: bool = data_option(False, "stream the rows; needs --max_train_steps")
    shuffle_buffer_size: int = data_option(1000, "rows in the buffer, with --streaming", kind=count)
    skip_broken: bool = data_option(False, "skip rows that cannot be read, with a warning")
    dataloader_num_workers: int = data_option(0, kind=natural, free=True)

    # Pairs that are not trained on, for samples and evaluations
    validation_image_folder: str | None = validation_option(None, "folder of images of other pairs", free=True)
    validation_mask_folder: str | None = validation_option(
        None,
        "folder of masks: ids or the label set's colors; or CVAT's zip file, for --validation_image_folder",
        free=True,
    )
    validation_instance_folder: str | None = validation_option(
        None, "folder of instance maps, for models with an edge channel, for --validation_image_folder", free=True
    )
    validation_condition_folder: str | None = validation_option(
        None, "folder of conditions, for --validation_image_folder", free=True
    )
    validation_file_list: str | None = validation_option(
        None, "text file: read only these names, without suffix or extension, for --validation_image_folder", free=True
    )
    validation_panoptic_json: str | None = validation_option(
        None, "COCO's panoptic annotations of the files in these folders, for --validation_image_folder", free=True
    )
    validation_share: float | None = validation_option(
        None,
        "share of the pairs of --image_folder to hold out, by a hash of their names; their list is "
        "validation_files.txt in --output_dir",
        kind=proper_share,
    )

    # Networks: with a pretrained model, widths, layers and norm come from it
    pretrained_model_name_or_path: str | None = model_option(
        None, "pipeline to start from: folder or Hub id", free=True
    )
    discriminator_name_or_path: str | None = model_option(
        None, "its discriminator: folder, Hub id, or a checkpoint of its training", free=True
    )
    train_last_blocks: int | None = model_option(
        None,
        "train only the last N blocks of a pretrained generator and its head; the rest and the style encoder stay as "
        "they are. Default: all is trained",
        kind=natural,
        card=True,
    )
    generator: str = model_option(
        "spade",
        "or a baseline; concatenation: the same decoder with the mask concatenated; pix2pixhd: without latent",
        choices=("spade", "concatenation", "pix2pixhd"),
        card=True,
    )
    image_size: list[int] | None = model_option(
        None, "size of the saved model; default: --resolution", kind=int, many="+"
    )
    base_channels: int = model_option(64, kind=count)
    channel_mult: list[float] | None = model_option(
        None, "block widths as multiples of --base_channels", kind=positive_weight, many="+"
    )
    latent_dim: int = model_option(256, "0: no latent, the image depends only on the mask", kind=natural)
    use_style_encoder: bool = model_option(True)
    mask_norm: str = model_option("spade", "the norm that reads the mask", choices=tuple(MASK_NORM_OPTIONS), card=True)
    spade_hidden_channels: int = model_option(128, kind=count)
    spade_kernel_size: int = model_option(3, kind=int, choices=(1, 3, 5))
    norm_type: str = model_option("sync_batch", choices=("sync_batch", "batch", "instance"), card=True)
    num_upsampling_layers: int = model_option(5, kind=int, choices=(5, 6, 7))
    head_upsampling: int = model_option(
        1,
        "2: the blocks work at half the image's size, and the last convolution writes 2x2 pixels at each position; a "
        "pretrained model with 1 can go on with 2",
        kind=int,
        choices=(1, 2),
        card=True,
    )
    style_encoder_image_size: int = model_option(256, kind=int)
    style_encoder_base_channels: int = model_option(64, kind=count)
    style_encoder_channel_mult: list[float] = model_option([1, 2, 4, 8, 8, 8], kind=positive_weight, many="+")
    discriminator: str = model_option(
        "patch",
        "; ".join(f"{name}: {options.help}" for name, options in DISCRIMINATOR_OPTIONS.items())
        + ". All but patch change defaults of other options, which are printed at the start",
        choices=tuple(DISCRIMINATOR_OPTIONS),
        card=True,
    )
    discriminator_backbone: str = model_option(
        "none",
        "frozen encoder of the discriminator; with segmentation, none means an encoder that is trained",
        choices=("none", "efficientnet-lite0"),
    )
    discriminator_base_channels: int = model_option(64, kind=count)

    # Losses; a test compares the weights of the generator's terms with `TERMS` in losses/terms.py, which needs torch
    perceptual_model: str = loss_option("vgg19", "vgg19, Hub id, folder, efficientnet-lite0 or none", card=True)
    adversarial_weight: float = loss_option(1.0, kind=nonnegative)
    feature_matching_weight: float = loss_option(10.0, kind=nonnegative)
    perceptual_weight: float = loss_option(10.0, kind=nonnegative)
    color_weight: float = loss_option(
        0.0, "weight of the difference in light and colors, over cells of 16x16 pixels", kind=nonnegative
    )
    kl_weight: float = loss_option(
        0.05, "weight of the KL term, a sum over all samples of an update", kind=nonnegative
    )
    gan_loss: str = loss_option(
        "hinge",
        "for patch and projected; relativistic: compares a fake patch with the real one at its position",
        choices=("hinge", "relativistic"),
    )
    label_mix_weight: float = loss_option(
        5.0,
        "for segmentation: consistency on images that are real in some labels and fake in the others",
        kind=nonnegative,
    )
    max_class_weight: float = loss_option(20.0, "largest weight of a rare label", kind=positive_weight)
    boundary_relaxation: int = loss_option(
        0,
        "for segmentation: distance in pixels from a simplified mask's border at which both labels are right",
        kind=natural,
    )
    augment_discriminator: list[str] = loss_option(
        [],
        "random augmentation of the discriminator's inputs",
        choices=("none", "color", "translation", "cutout"),
        many="*",
    )
    loss_crop_size: int | None = loss_option(
        None,
        "side in pixels of the random square of each image that discriminator and losses see; default: all of it",
        kind=count,
        card=True,
    )
    random_style_probability: float = loss_option(
        0.0,
        "share of samples in a random style, not their image's; only their content is compared with the image",
        kind=share,
        card=True,
    )

    # Optimization
    train_batch_size: int = step_option(4, "per process", kind=count, card=True)
    gradient_accumulation_steps: int = step_option(1, kind=count, card=True)
    reuse_fakes: bool = step_option(
        False, "train the discriminator on the images of the generator's phase instead of new ones"
    )
    gradient_checkpointing: bool = step_option(False, "less memory, more time", free=True)
    torch_compile: bool = step_option(
        False,
        "compile discriminator, style encoder and perceptual network, but not the generator: its sparse modulation "
        "depends on label values",
        free=True,
    )
    torch_compile_backend: str = step_option("inductor", "for --torch_compile", free=True)
    num_train_epochs: int = step_option(200, kind=count, free=True)
    max_train_steps: int | None = step_option(None, "updates; overrides --num_train_epochs", kind=count, free=True)
    time: float | None = step_option(
        None,
        "end after this time with a saved model: seconds, or with a unit, such as 90s, 10m, 1.5h; what comes first, "
        "this or the last update, ends the run",
        kind=duration,
        free=True,
    )
    learning_rate: float = step_option(1e-4, "of generator and style encoder", kind=nonnegative, card=True)
    discriminator_learning_rate: float = step_option(4e-4, kind=nonnegative, card=True)
    adam_beta1: float = step_option(0.0, kind=decay, card=True)
    adam_beta2: float = step_option(0.9, kind=decay, card=True)
    adam_epsilon: float = step_option(1e-8, kind=nonnegative)
    lr_scheduler: str = step_option("constant_then_linear", choices=LR_SCHEDULERS, card=True)
    lr_warmup_steps: int = step_option(0, kind=natural)
    lr_decay_start: float = step_option(0.5, "share of the run at a constant rate", kind=share, card=True)
    max_grad_norm: float | None = step_option(None, "clip the gradient norm of each optimizer", kind=positive)
    ema_decay: float = step_option(0.999, kind=decay, card=True)
    mixed_precision: str | None = step_option(
        None, "default: accelerate's config", choices=("no", "fp16", "bf16"), card=True
    )
    allow_tf32: bool = step_option(False, "faster, less precise matrix products on GPUs")
    seed: int = step_option(0, kind=seed, card=True)

    # Output
    output_dir: str = output_option("spade-model", free=True)
    overwrite_output_dir: bool = output_option(False, "delete the run in --output_dir first", free=True)
    checkpointing_steps: int = output_option(500, kind=count, free=True)
    checkpoints_total_limit: int = output_option(
        3,
        "keep the newest N checkpoints, because each holds several copies of the networks; 0: keep all",
        kind=natural,
        free=True,
    )
    resume_from_checkpoint: str | None = output_option(None, "a checkpoint's folder, latest, or hub", free=True)
    validation_steps: int = output_option(500, "updates between sample images", kind=count, free=True)
    num_validation_images: int = output_option(4, kind=count, free=True)
    evaluation_steps: int | None = output_option(
        None, "updates between evaluations on pairs that are not trained on", kind=count, free=True
    )
    evaluation_split: str = output_option("validation", "their split, with --dataset_name", free=True)
    num_evaluation_images: int = output_option(48, "pairs, evenly spread over the split", kind=count, free=True)
    evaluation_segmenter: str | None = output_option(
        None,
        "segmenter-*.safetensors that `spade-hf evaluate --output_dir` has left: evaluates mIoU as well",
        free=True,
    )
    log_steps: int = output_option(10, kind=count, free=True)
    report_to: str = output_option(
        "none", "installed tracker that accelerate supports: tensorboard, wandb, trackio", free=True
    )
    logging_dir: str = output_option("logs", "below --output_dir", free=True)

    # The Hub
    push_to_hub: bool = hub_option(False, "upload the pipeline and its model card at the end", free=True)
    hub_strategy: str = hub_option(
        "end",
        "every_save: also upload the pipeline of each checkpoint, as the revision step-0000500 and so on; each upload "
        "estimates the batch statistics and stores all weights on the Hub. checkpoint: also upload the newest "
        "checkpoint, as the revision last-checkpoint, for --resume_from_checkpoint hub on another machine",
        choices=("end", "every_save", "checkpoint"),
        free=True,
    )
    hub_model_id: str | None = hub_option(
        None, "name or owner/name of the repository; default: --output_dir's name", free=True
    )
    hub_private_repo: bool = hub_option(False, free=True)
    hub_standalone: bool = hub_option(
        False,
        "also upload the code that runs the model where spade_hf is not installed, for from_pretrained(..., "
        "trust_remote_code=True)",
        free=True,
    )
    license: str | None = hub_option(None, "of the weights, for the model card, such as apache-2.0", free=True)

    def as_arguments(self) -> dict[str, Any]:
        """Return the values by option, as `--config` reads them."""
        return {option_name(field): getattr(self, field.name) for field in fields(self)}
