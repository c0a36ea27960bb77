"""What every network of this library adds to diffusers' `ModelMixin`."""

from typing import Any

from diffusers import ConfigMixin, ModelMixin


class SPADEModelMixin(ModelMixin, ConfigMixin):
    """A `ModelMixin` that refuses to load half a checkpoint.

    diffusers only warns about missing weights and leaves them uninitialized, so that the first sign is a bad picture.
    """

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str, **kwargs: Any) -> "SPADEModelMixin":
        """As `ModelMixin.from_pretrained`.

        Raises:
            ValueError: If the weights file is damaged, or lacks weights that the config asks for.
        """
        wants_info = kwargs.pop("output_loading_info", False)
        try:
            model, info = super().from_pretrained(pretrained_model_name_or_path, output_loading_info=True, **kwargs)
        except Exception as error:
            if _is_damaged_file(error):
                raise ValueError(
                    f"The weights in {pretrained_model_name_or_path} (subfolder {kwargs.get('subfolder')}) cannot be "
                    f"read: {error}. Copy or download the file again."
                ) from error
            raise
        if missing := info["missing_keys"]:
            raise ValueError(
                f"{pretrained_model_name_or_path} lacks {len(missing)} of the weights of {cls.__name__}, the first: "
                f"{sorted(missing)[:3]}. Its config.json belongs to other weights."
            )
        return (model, info) if wants_info else model


def _is_damaged_file(error: Exception) -> bool:
    """Whether diffusers failed on the content of a weights file, rather than on finding it."""
    return type(error).__name__ == "SafetensorError" or "Unable to load weights from" in str(error)
