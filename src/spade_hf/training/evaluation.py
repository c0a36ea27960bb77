"""Evaluation during training, on pairs that are not trained on."""

from pathlib import Path

import torch

from ..data import PairedImageDataset
from ..metrics import FIGURES, Judge, Measurements, Scorer, load_feature_network, load_segmenter, score
from ..pipelines import SPADEPipeline


class RunningEvaluation:
    """Evaluation of a run's pipelines on a fixed set of pairs.

    The cheap part of `spade-hf evaluate`: exact masks, and at most a segmenter that it has trained before. Use it only
    on the main process.

    Args:
        dataset (`PairedImageDataset`): Pairs that are not trained on, neither flipped nor cropped at random.
        device (`torch.device`): Device of the pipelines.
        batch_size (`int`, defaults to 8): Images per batch.
        segmenter (`Path`, *optional*): A file that `spade-hf evaluate` has saved, for mIoU; see [`load_segmenter`].

    Raises:
        ValueError: If the segmenter can't be read, or is for other labels.
    """

    def __init__(
        self,
        dataset: PairedImageDataset,
        device: torch.device,
        *,
        batch_size: int = 8,
        segmenter: Path | None = None,
    ) -> None:
        with torch.random.fork_rng(devices=[]):  # random initial weights must not advance the run's state
            # a network that no perceptual loss uses: a generator would learn to please its judge
            network = load_feature_network("efficientnet-lite2").to(device)
        self.dataset, self.device, self.batch_size = dataset, device, batch_size
        labels = dataset.processor.label_set_or_none
        trained = None if segmenter is None or labels is None else load_segmenter(segmenter, network, labels)
        self.judge = Judge(network, None if trained is None else trained.to(device), labels)

    def __call__(self, pipeline: SPADEPipeline) -> dict[str, float]:
        """Compute the metrics, by their names in trackers, without those that do not apply to the model."""
        scorer = Scorer(
            self.judge,
            self.dataset,
            self.dataset.processor,
            kinds=["exact"],
            partners=(),
            shown=frozenset(),
            pipeline=pipeline,
            reduce=None,
            device=self.device,
        )

        # Measurements of each generated image and of its real one, batch by batch
        count = len(self.dataset)
        starts = range(0, count, self.batch_size)
        batches = [scorer.score(range(start, min(start + self.batch_size, count))) for start in starts]
        generated, real = (
            Measurements.concatenate([batch.measurements[kind] for batch in batches]) for kind in ("exact", "real")
        )

        # Figures of the whole set
        has_own_style = pipeline.style_encoder is not None
        figures = score(generated, real, self.dataset.processor.label_set_or_none, has_own_style=has_own_style).values
        logged = [name for name in figures if FIGURES[name].is_logged]
        return {f"evaluation/{name}": value for name in logged if (value := figures[name]) is not None}
