"""What a run is worth on the way: figures of pictures that it does not train on."""

import torch

from ..data import PairedImageDataset
from ..metrics import Judge, Measurements, Scorer, load_feature_network, score
from ..pipelines import SPADEPipeline


FIGURES = ("kid", "sharpness", "feature_distance")


class RunningEvaluation:
    """Scores pipelines of one run on the same pairs; call it with one.

    The cheap part of `spade-hf evaluate`: exact masks, no segmenter. For the main process alone.

    Args:
        dataset (`PairedImageDataset`): Pairs that are not trained on, neither flipped nor cropped at random.
        device (`torch.device`): Of the pipelines.
        batch_size (`int`, defaults to 8): Pictures at once.
    """

    def __init__(self, dataset: PairedImageDataset, device: torch.device, *, batch_size: int = 8) -> None:
        with torch.random.fork_rng(devices=[]):  # modules draw weights before they load them: not from the run's state
            network = load_feature_network("efficientnet-lite2").to(device)  # which no perceptual loss sees
        self.dataset, self.device, self.batch_size = dataset, device, batch_size
        self.judge = Judge(network, None, dataset.processor.label_set)

    def __call__(self, pipeline: SPADEPipeline) -> dict[str, float]:
        """The figures by the names of trackers; those that a model does not have are left out."""
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
        count = len(self.dataset)
        starts = range(0, count, self.batch_size)
        batches = [scorer.score(range(start, min(start + self.batch_size, count))) for start in starts]
        pictures, real = (
            Measurements.concatenate([batch.measurements[kind] for batch in batches]) for kind in ("exact", "real")
        )
        has_own_style = pipeline.style_encoder is not None
        figures = score(pictures, real, self.dataset.processor.label_set, has_own_style=has_own_style).values
        return {f"evaluation/{name}": value for name in FIGURES if (value := figures[name]) is not None}
