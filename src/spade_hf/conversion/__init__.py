"""Conversion of public weights to pipelines, and back."""

from .nvlabs import convert_nvlabs_checkpoint, convert_nvlabs_discriminator
from .presets import PRESETS
from .to_nvlabs import save_nvlabs_checkpoint


__all__ = ["PRESETS", "convert_nvlabs_checkpoint", "convert_nvlabs_discriminator", "save_nvlabs_checkpoint"]
