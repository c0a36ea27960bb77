"""What a run publishes: pipelines of its averages, sample images, model cards, and uploads to the Hub."""

import copy
import itertools
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image

from ..batch import Batch, conditioning
from ..data import PairedImageDataset, StreamedImageDataset, build_loader
from ..hub.standalone import check_class, write_standalone
from ..images.channels import to_rgb_images
from ..pipelines import SPADEPipeline
from .averages import ModelEMA, estimate_statistics
from .game import draw_latents
from .integrity import writing
from .model_card import TrainingRecipe, write_training_card
from .output_folder import GALLERY_IMAGE, GALLERY_MASK, GRID, STAGED_PREFIX, STEP_GRID, delete_staged
from .remote import LAST_CHECKPOINT, RevisionUploads, stage_checkpoint
from .samples import PHOTOGRAPH, paint_samples, sample_grid, save_image


# Forward passes that estimate the averaged generator's batch-norm statistics, during training and for publishing.
PREVIEW_BATCHES, STATISTICS_BATCHES = 8, 64


@torch.no_grad()
def export_pipeline(
    averages: Mapping[str, ModelEMA],
    dataset: PairedImageDataset | StreamedImageDataset,
    batch_size: int,
    *,
    num_batches: int,
) -> SPADEPipeline:
    """Build a pipeline of copied averages, with spectral norm fused and batch statistics re-estimated.

    Args:
        averages (`Mapping[str, ModelEMA]`): `"generator"`, and `"style_encoder"` if there is one.
        dataset (`PairedImageDataset` or `StreamedImageDataset`): Samples for the statistics.
        batch_size (`int`): Batch size of the forward passes; use that of training.
        num_batches (`int`): Number of forward passes.
    """
    # Copies, with the weights of inference: W / sigma
    networks: dict[str, Any] = {name: copy.deepcopy(average.model) for name, average in averages.items()}
    for network in networks.values():
        network.fuse_spectral_norm()
    generator = networks["generator"]

    # Statistics of the generator on batches like those of training, the same at every export
    def calls() -> Iterator[dict[str, Any]]:
        rng = torch.Generator(generator.device).manual_seed(0)
        loader = build_loader(dataset, batch_size, generator=torch.Generator().manual_seed(0))
        for batch in itertools.islice(loader, num_batches):
            batch = cast(Batch, {name: value.to(generator.device) for name, value in batch.items()})
            encoder, latent_dim = networks.get("style_encoder"), generator.config.latent_dim
            z, _ = draw_latents(batch, style_encoder=encoder, latent_dim=latent_dim, rng=rng)  # (N, Z)
            yield {"z": z, **conditioning(batch)}

    estimate_statistics(generator, calls())
    pipeline = SPADEPipeline(image_processor=dataset.processor, **networks)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


class Uploader(ABC):
    """What every publisher does: it saves a run's model in the end, and uploads it, or checkpoints, while it trains.

    Call its methods only on the main process. A subclass has `_save`, which writes a model with its card to a folder.

    Args:
        output_dir (`Path`): The run's output folder.
        repo_id (`str`): The model's name on model cards.
        num_samples (`int`, *optional*): Samples of the data set; `None` for a stream.
        uploads (`RevisionUploads`, *optional*): Uploads to that repository during training.
        hub_strategy (`str`, defaults to `"end"`): What to upload during training: `"every_save"`, a model per
            checkpoint; `"checkpoint"`, the newest checkpoint.
    """

    def __init__(
        self,
        output_dir: Path,
        repo_id: str,
        *,
        num_samples: int | None,
        uploads: RevisionUploads | None = None,
        hub_strategy: str = "end",
    ) -> None:
        self.output_dir, self.repo_id, self.num_samples = output_dir, repo_id, num_samples
        self.uploads, self.hub_strategy = uploads, hub_strategy
        if uploads is not None:
            delete_staged(output_dir)  # what a killed run left

    def push(self, checkpoint: Path, step: int) -> None:
        """Start to upload a checkpoint, or the model of its step, as `hub_strategy` says."""
        if self.hub_strategy == "every_save":
            revision = f"step-{step:07d}"
            self._push(
                lambda folder: self._save(folder, num_samples=self.num_samples, num_steps=step, revision=revision),
                revision,
                f"Revision {revision}",
            )
        self._push_checkpoint(checkpoint)

    def push_last(self, checkpoint: Path) -> bool:
        """Upload a stopped run's checkpoint, if `hub_strategy` says so; return whether it is on the Hub."""
        is_staged = self._push_checkpoint(checkpoint)
        return is_staged and self.uploads is not None and self.uploads.wait()

    def save(self, step: int, *, num_broken: int = 0) -> None:
        """Save the finished model, its samples and its card in the output folder; wait for the uploads.

        Args:
            step (`int`): Finished updates.
            num_broken (`int`, defaults to 0): Samples of a stored data set that were left out.
        """
        num_samples = None if self.num_samples is None else self.num_samples - num_broken
        advice = (
            "The last checkpoint is complete: free space, and repeat the command with `resume_from_checkpoint=latest`."
        )
        with writing("The trained model", self.output_dir, advice=advice):
            self._save(self.output_dir, num_samples=num_samples, num_steps=step)
        if self.uploads is not None:
            self.uploads.wait()

    def _push_checkpoint(self, checkpoint: Path) -> bool:
        if self.hub_strategy != "checkpoint":
            return False
        return self._push(lambda folder: stage_checkpoint(checkpoint, folder), LAST_CHECKPOINT, checkpoint.name)

    def _push(self, write: Callable[[Path], None], revision: str, name: str) -> bool:
        """Write a folder beside the checkpoints, and start its upload; an error of writing is only a warning."""
        if self.uploads is None:
            return False
        folder = None
        try:
            folder = Path(tempfile.mkdtemp(prefix=STAGED_PREFIX, dir=self.output_dir))
            with writing(f"{name}'s copy", self.output_dir, advice="Free space."):
                write(folder)
        except OSError as error:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            self.uploads.warn(name, error)
            return False
        self.uploads.start(folder, revision, name=name)
        return True

    @abstractmethod
    def _save(self, folder: Path, *, num_samples: int | None, num_steps: int, revision: str | None = None) -> None:
        """Write the model and its card; `revision` is where it will be uploaded, if not to the main one."""


class Publisher(Uploader):
    """Saves and uploads the pipelines of a run. Call its methods only on the main process.

    Args:
        averages (`Mapping[str, ModelEMA]`): `"generator"`, and `"style_encoder"` if there is one.
        dataset (`PairedImageDataset` or `StreamedImageDataset`): Samples for batch statistics.
        shown (`Sequence[Batch]`): Samples for the sample grids.
        recipe (`TrainingRecipe`): Settings of the run, for model cards.
        output_dir (`Path`): The run's output folder.
        repo_id (`str`): The model's name on model cards.
        uploads (`RevisionUploads`, *optional*): Uploads to that repository during training.
        hub_strategy (`str`, defaults to `"end"`): What to upload during training: `"every_save"`, a pipeline per
            checkpoint; `"checkpoint"`, the newest checkpoint.
        is_held_out (`bool`, defaults to `False`): Whether `shown` are no training samples, for model cards.
        is_standalone (`bool`, defaults to `False`): Whether the code travels with the model, see
            [`write_standalone`].
    """

    def __init__(
        self,
        averages: Mapping[str, ModelEMA],
        dataset: PairedImageDataset | StreamedImageDataset,
        shown: Sequence[Batch],
        *,
        recipe: TrainingRecipe,
        output_dir: Path,
        repo_id: str,
        uploads: RevisionUploads | None = None,
        hub_strategy: str = "end",
        is_held_out: bool = False,
        is_standalone: bool = False,
    ) -> None:
        num_samples = None if isinstance(dataset, StreamedImageDataset) else len(dataset)
        super().__init__(output_dir, repo_id, num_samples=num_samples, uploads=uploads, hub_strategy=hub_strategy)
        self.averages, self.dataset, self.shown, self.recipe = averages, dataset, shown, recipe
        self.is_held_out, self.is_standalone = is_held_out, is_standalone
        for name, average in averages.items():
            if is_standalone:  # not after the training
                check_class(name, type(average.model).__module__, type(average.model).__name__)

    def preview(self) -> SPADEPipeline:
        """Export the current averages with roughly estimated batch statistics, for checkpoints and sample grids."""
        return self._export(PREVIEW_BATCHES)

    def save_samples(self, pipeline: SPADEPipeline, step: int) -> Image.Image:
        """Paint the sample grid after an update, and save it below `samples/`."""
        grid = sample_grid(paint_samples(pipeline, self.shown))
        save_image(grid, self.output_dir / STEP_GRID.format(step))
        return grid

    def _export(self, num_batches: int) -> SPADEPipeline:
        return export_pipeline(self.averages, self.dataset, self.recipe.train_batch_size, num_batches=num_batches)

    def _save(self, folder: Path, *, num_samples: int | None, num_steps: int, revision: str | None = None) -> None:
        """Write a pipeline, its sample grid, a gallery of masks and images painted from them, and its card."""
        pipeline = self._export(STATISTICS_BATCHES)
        pipeline.save_pretrained(str(folder))
        if self.is_standalone:
            write_standalone(folder, repo_id=self.repo_id, revision=revision)
        columns = paint_samples(pipeline, self.shown)
        save_image(sample_grid(columns), folder / GRID)
        number_of = [heading for heading, _ in columns].index(PHOTOGRAPH)
        # what is painted, and the first images painted of it, behind the photographs
        for name, (_, images) in ((GALLERY_MASK, columns[0]), (GALLERY_IMAGE, columns[number_of + 1])):
            for number, image in enumerate(to_rgb_images(images), start=1):
                save_image(image, folder / name.format(number))
        write_training_card(
            pipeline,
            folder,
            repo_id=self.repo_id,
            recipe=self.recipe,
            num_samples=num_samples,
            num_steps=num_steps,
            num_gallery_images=len(self.shown),
            is_held_out=self.is_held_out,
            revision=revision,
        )
