"""A model's hash stands in what was made with it: data sets, measurements."""

from spade_hf import BUNDLED_MODEL, SPADEPipeline
from spade_hf.models.model_hash import hash_model


def test_a_model_of_an_earlier_version_keeps_its_hash():
    """Its config lacks the keys that were added since it was saved."""
    pipeline = SPADEPipeline.from_pretrained(BUNDLED_MODEL)
    assert hash_model(pipeline.generator, pipeline.image_processor) == "9691c9d366a8c970"
