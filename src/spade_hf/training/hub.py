"""The model card of a trained model, and its way to the Hub."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, ModelCardData, create_repo, model_info, upload_folder

# HTTPError is that of the library beneath huggingface_hub, for a Hub that cannot be reached; its own derive from it
from huggingface_hub.errors import HFValidationError, HTTPError, LocalTokenNotFoundError

from ..hub.model_card import IMPORT_NOTE, TAGS, label_table
from ..pipelines import SPADEPipeline
from ..project import install_command
from .export import sample_grid, save_image
from .steps import Batch


logger = logging.getLogger(__name__)
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

{import_note}

SPADE (Park et al., CVPR 2019, https://arxiv.org/abs/1903.07291): a semantic segmentation mask{style} in, an image out,
in one pass. Trained with the `spade_hf` library on {data}.

![Mask, real image, and what the model makes of the mask, in several styles]({grid})

From left to right: mask, real image, {columns}. These are training samples.

## Usage

```python
from spade_hf import SPADEPipeline  # {install}

pipeline = SPADEPipeline.from_pretrained("{repo_id}"{revision})
image = pipeline("mask.png"{arguments}).images[0]
```

A mask holds label ids (or their colours, see below). The image keeps its proportions, at about as many pixels as
{height}x{width} (height x width), unless `height` and `width`, multiples of {divisor}, are given.

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


def save_model(
    pipeline: SPADEPipeline, folder: Path, shown: Sequence[Batch], arguments: Mapping[str, Any], **card: Any
) -> None:
    """Save what is published: the pipeline, its sample grid and its card.

    Args:
        pipeline (`SPADEPipeline`): What was trained.
        folder (`Path`): Where to.
        shown (`Sequence[dict[str, Tensor]]`): Samples for the grid, see [`sample_grid`].
        arguments (`Mapping[str, Any]`): The resolved command line.
        card: Further arguments of [`write_training_card`].
    """
    pipeline.save_pretrained(str(folder))
    save_image(sample_grid(pipeline, shown), folder / GRID)
    write_training_card(pipeline, folder, arguments=arguments, **card)


def write_training_card(
    pipeline: SPADEPipeline,
    folder: Path,
    *,
    repo_id: str,
    arguments: Mapping[str, Any],
    num_samples: int | None,
    num_steps: int,
    revision: str | None = None,
) -> None:
    """Write README.md beside a saved pipeline; the sample grid is expected at `samples/final.png`.

    Args:
        pipeline (`SPADEPipeline`): What was trained.
        folder (`Path`): Where it was saved.
        repo_id (`str`): The name people will load it by.
        arguments (`Mapping[str, Any]`): The resolved command line.
        num_samples (`int`, *optional*): Pairs in the data set; `None` for a stream.
        num_steps (`int`): Updates.
        revision (`str`, *optional*): To load it by, if not the repository's main one.
    """
    name = arguments["dataset_name"]
    hub_name = name if name is not None and not Path(name).exists() else None
    data = f"[{name}](https://huggingface.co/datasets/{name})" if hub_name else "a data set that is not on the Hub"
    metadata = ModelCardData(
        license=arguments["license"],
        library_name="diffusers",
        pipeline_tag="image-to-image",
        datasets=[hub_name] if hub_name else None,
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
        import_note=IMPORT_NOTE,
        grid=GRID,
        columns=columns,
        install=install_command(),
        repo_id=repo_id,
        revision="" if revision is None else f', revision="{revision}"',
        arguments=needed + (', style_image="style.jpg"' if has_style else ""),
        height=height,
        width=width,
        divisor=pipeline.generator.size_divisor,
        steps=num_steps,
        pairs="a stream of pairs" if num_samples is None else f"{num_samples:,} pairs",
        parameters=", ".join(f"{name} {part.num_parameters():,}" for name, part in networks.items()),
        recipe="\n".join(f"| {name} | {_without_folder(arguments[name])} |" for name in RECIPE),
        labels=label_table(pipeline),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def _without_folder(value: Any) -> Any:
    """An option's value; of a folder or file its name alone, as where it lies is nobody's business."""
    return Path(value).name if isinstance(value, str) and Path(value).exists() else value


def open_repository(repo_id: str, *, private: bool) -> str:
    """Make sure, before the training, that there is a repository to push to; its full name.

    Args:
        repo_id (`str`): "name" or "owner/name".
        private (`bool`): Whether it must be; one that is there is not changed.

    Raises:
        ValueError: If the Hub refuses, or the repository is there and public although it must be private.
    """
    try:
        name = create_repo(repo_id, private=private, exist_ok=True).repo_id
        is_public = private and not model_info(name).private
    except (HTTPError, HFValidationError, LocalTokenNotFoundError) as error:
        raise ValueError(
            f"`--push_to_hub`: the repository {repo_id!r} cannot be made: {error}. Log in with `hf auth login`, or "
            "name another one with --hub_model_id."
        ) from error
    if is_public:
        raise ValueError(
            f"`--hub_private_repo`: the repository {name!r} is there already, and public. Name another one with "
            "--hub_model_id, or make it private in its settings on the Hub."
        )
    return name


def upload(output_dir: Path, repo_id: str, *, logging_dir: str) -> None:
    """Push the pipeline, its card and its sample grid; checkpoints and logs stay here."""
    upload_folder(
        repo_id=repo_id,
        folder_path=output_dir,
        commit_message="A trained SPADE pipeline",
        ignore_patterns=[*NOT_UPLOADED, f"{logging_dir}/*"],
    )


class RevisionUploads:
    """Uploads of models on their way, one after another, each to a branch of its own, while the training goes on.

    Neither a failed one nor a slow one costs the run more than a warning: the checkpoint is on the disk.

    Args:
        repo_id (`str`): "owner/name" of a repository that is there.
    """

    def __init__(self, repo_id: str) -> None:
        self.repo_id = repo_id
        self._api = HfApi()
        self._last: tuple[Future, Path, str] | None = None

    def start(self, folder: Path, revision: str) -> None:
        """Upload a folder and delete it, later.

        One upload runs and one waits its turn: a newer one takes the waiting one's place, so that neither the other
        processes wait for the Hub nor copies pile up on the disk.

        Args:
            folder (`Path`): A pipeline with its card.
            revision (`str`): Name of the branch; one that is there already gets another commit.
        """
        if self._last is not None:
            future, waiting, skipped = self._last
            if future.cancel():  # which no longer works once it runs
                shutil.rmtree(waiting)
                logger.warning(
                    "Revision %s is not uploaded to %s: the upload before it is still running. %s comes next.",
                    skipped,
                    self.repo_id,
                    revision,
                )
        self._last = self._api.run_as_future(self._upload, folder, revision), folder, revision

    def wait(self) -> None:
        """Return when everything is uploaded, or has failed."""
        if self._last is not None:
            self._last[0].result()

    def _upload(self, folder: Path, revision: str) -> None:
        try:
            self._api.create_branch(self.repo_id, branch=revision, exist_ok=True)
            self._api.upload_folder(
                repo_id=self.repo_id, folder_path=folder, revision=revision, commit_message=f"Checkpoint {revision}"
            )
        except Exception as error:  # a network fails in many ways
            logger.warning(
                "Revision %s was not uploaded to %s: %s. The training goes on; the checkpoint is on the disk.",
                revision,
                self.repo_id,
                " ".join(str(error).split()),
            )
        finally:
            shutil.rmtree(folder)
