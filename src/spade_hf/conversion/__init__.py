"""Conversion of public weights to pipelines."""

from .nvlabs import convert_nvlabs_checkpoint, convert_nvlabs_discriminator
from .presets import PRESETS


__all__ = ["PRESETS", "convert_nvlabs_checkpoint", "convert_nvlabs_discriminator"]
