"""The model card of a trained model, and its way to the Hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData, create_repo, upload_folder

# HTTPError is that of the library beneath huggingface_hub, for a Hub that cannot be reached; its own derive from it
from huggingface_hub.errors import HFValidationError, HTTPError, LocalTokenNotFoundError

from ..model_card import TAGS, label_table
from ..pipelines import SPADEPipeline


GRID = "samples/final.png"
# What a run leaves beside its pipeline: states for resuming, trackers' files, the images along the way.
NOT_UPLOADED = ("checkpoint-*", "samples/step-*")
RECIPE = (
    "resolution resize_ratio random_flip simplify_probability train_batch_size gradient_accumulation_steps "
    "learning_rate discriminator_learning_rate adam_beta1 adam_beta2 lr_scheduler lr_decay_start adversarial_weight "
    "feature_matching_weight perceptual_weight perceptual_model kl_weight ema_decay mixed_precision norm_type seed"
).split()

CARD = """\
---
{metadata}
---

# {title}

SPADE (Park et al., CVPR 2019, https://arxiv.org/abs/1903.07291): a semantic segmentation mask{style} in, an image out,
in one pass. Trained with the `spade_hf` library on {data}.

![Mask, real image, and what the model makes of the mask, in several styles]({grid})

From left to right: mask, real image, {columns}. These are training samples.

## Usage

```python
from spade_hf import SPADEPipeline  # pip install spade_hf

pipeline = SPADEPipeline.from_pretrained("{repo_id}")
image = pipeline("mask.png"{arguments}).images[0]
```

A mask holds label ids (or their colours, see below), and is resized to {height}x{width} (height x width) unless
`height` and `width`, multiples of {divisor}, are given.

## Training

{steps:,} updates on {pairs}; the weights are exponential moving averages, with batch statistics
estimated from the training images. Parameters: {parameters}.

| option | value |
|---|---|
{recipe}

## Limits

The model knows its training images and no others: what it paints for rare labels, unusual layouts or masks much
smoother or finer than theirs is a guess. It has not been measured against other models. Its images may repeat what is
private or unfair in the training data, and are not photographs of anything.

{labels}
"""


def write_training_card(
    pipeline: SPADEPipeline,
    folder: Path,
    *,
    repo_id: str,
    arguments: Mapping[str, Any],
    num_samples: int | None,
    num_steps: int,
) -> None:
    """Write README.md beside a saved pipeline; the sample grid is expected at `samples/final.png`.

    Args:
        pipeline (`SPADEPipeline`): What was trained.
        folder (`Path`): Where it was saved.
        repo_id (`str`): The name people will load it by.
        arguments (`Mapping[str, Any]`): The resolved command line.
        num_samples (`int`, *optional*): Pairs in the data set; `None` for a stream.
        num_steps (`int`): Updates.
    """
    name = arguments["dataset_name"]
    on_hub = name is not None and not Path(name).exists()
    data = f"[{name}](https://huggingface.co/datasets/{name})" if on_hub else "a data set that is not on the Hub"
    metadata = ModelCardData(
        license=arguments["license"],
        library_name="diffusers",
        pipeline_tag="image-to-image",
        datasets=[name] if on_hub else None,
        tags=TAGS,
    )
    has_style, has_latent = pipeline.style_encoder is not None, pipeline.generator.config.latent_dim is not None
    columns = "the mask painted" + (" in a random style" if has_latent else "")
    if has_style:
        columns = "the mask painted in its image's style, in the next image's style, and in a random one"
    needed = ', instance_map="instances.png"' if pipeline.generator.config.use_instance_edges else ""
    height, width = arguments["image_size"]
    networks = {name: part for name, part in pipeline.components.items() if hasattr(part, "num_parameters")}
    card = CARD.format(
        metadata=metadata.to_yaml(),
        title=repo_id.split("/")[-1],
        style=" and a style picture" if has_style else "",
        data=data,
        grid=GRID,
        columns=columns,
        repo_id=repo_id,
        arguments=needed + (', style_image="style.jpg"' if has_style else ""),
        height=height,
        width=width,
        divisor=pipeline.generator.size_divisor,
        steps=num_steps,
        pairs="a stream of pairs" if num_samples is None else f"{num_samples:,} pairs",
        parameters=", ".join(f"{name} {part.num_parameters():,}" for name, part in networks.items()),
        recipe="\n".join(f"| {name} | {arguments[name]} |" for name in RECIPE),
        labels=label_table(pipeline),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def open_repository(repo_id: str, *, private: bool) -> str:
    """Make sure, before the training, that there is a repository to push to; its full name.

    Args:
        repo_id (`str`): "name" or "owner/name".
        private (`bool`): For a repository that is not there yet.

    Raises:
        ValueError: If the Hub refuses.
    """
    try:
        return create_repo(repo_id, private=private, exist_ok=True).repo_id
    except (HTTPError, HFValidationError, LocalTokenNotFoundError) as error:
        raise ValueError(
            f"`--push_to_hub`: the repository {repo_id!r} cannot be made: {error}. Log in with `hf auth login`, or "
            "name another one with --hub_model_id."
        ) from error


def upload(output_dir: Path, repo_id: str, *, logging_dir: str) -> None:
    """Push the pipeline, its card and its sample grid; checkpoints and logs stay here."""
    upload_folder(
        repo_id=repo_id,
        folder_path=output_dir,
        commit_message="A trained SPADE pipeline",
        ignore_patterns=[*NOT_UPLOADED, f"{logging_dir}/*"],
    )
