"""Public weights in."""

from .nvlabs import convert_nvlabs_checkpoint, convert_nvlabs_discriminator


__all__ = ["convert_nvlabs_checkpoint", "convert_nvlabs_discriminator"]
