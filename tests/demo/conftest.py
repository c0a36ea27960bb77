"""A tiny model with the landscapes' labels, and its demo as a server."""

import io
import os
from collections.abc import Callable, Iterator

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from spade_hf import LabelSet, SPADEImageProcessor, SPADEPipeline
from spade_hf.demo import build_demo, launch_options
from spade_hf.demo.painter import Painter

from ..tiny_networks import tiny_generator, tiny_outlines, tiny_style_encoder, varied_segmenter


os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


def tiny_pipeline(**changes: object) -> SPADEPipeline:
    """12 labels, 64x64, latent of 8. Its label set has the name that a data set's labels.json gives it."""
    labels = LabelSet.from_name("landscapes").to_dict() | {"name": "labels"}
    processor = SPADEImageProcessor(label_set=labels)
    return SPADEPipeline(tiny_generator(num_labels=12, **changes), processor, tiny_style_encoder())


@pytest.fixture(scope="session")
def pipeline() -> SPADEPipeline:
    return tiny_pipeline()


@pytest.fixture(scope="session")
def outlined() -> SPADEPipeline:
    """A tiny model with an outline model."""
    pipeline = tiny_pipeline()
    pipeline.register_modules(outline_model=tiny_outlines(num_labels=12))
    return pipeline


@pytest.fixture(scope="session")
def photographer() -> SPADEPipeline:
    """A tiny model with a segmenter."""
    pipeline = tiny_pipeline()
    pipeline.register_modules(segmenter=varied_segmenter(num_labels=12))
    return pipeline


@pytest.fixture(scope="session")
def painter(pipeline: SPADEPipeline) -> Painter:
    return Painter(pipeline)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Gradio's cache, of these tests alone."""
    folder = tmp_path_factory.mktemp("gradio")
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    yield str(folder)
    del os.environ["GRADIO_TEMP_DIR"]


@pytest.fixture(scope="session")
def serve(cache: str) -> Iterator[Callable[[SPADEPipeline], gr.Blocks]]:
    """Starts the demo of a pipeline, at its `local_url`."""
    demos: list[gr.Blocks] = []

    def start(pipeline: SPADEPipeline) -> gr.Blocks:
        demos.append(build_demo(pipeline))
        demos[-1].launch(**launch_options(), prevent_thread_lock=True, quiet=True)
        return demos[-1]

    yield start
    for demo in demos:
        demo.close()


@pytest.fixture(scope="session")
def url(serve: Callable, pipeline: SPADEPipeline) -> str:
    """The tiny model's demo."""
    return serve(pipeline).local_url


def png(pixels: np.ndarray | Image.Image, **options: object) -> bytes:
    """The bytes of a PNG file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()
