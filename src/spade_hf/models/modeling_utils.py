"""What every network of this library adds to diffusers' `ModelMixin`."""

import json
from typing import Any

import torch
from diffusers import ConfigMixin, DiffusionPipeline, ModelMixin
from diffusers.utils import is_accelerate_available

from ..layers.spectral_norm import fuse_spectral_norm
from .config_values import check_config


class PortableConfigMixin(ConfigMixin):
    """A `ConfigMixin` that does not write down where its object was loaded from: a path of this machine."""

    config: Any  # diffusers' FrozenDict, whose attributes are the constructor's arguments

    def to_json_string(self) -> str:
        """The config as JSON, without `_name_or_path`."""
        config = json.loads(super().to_json_string())
        config.pop("_name_or_path", None)
        return json.dumps(config, indent=2, sort_keys=True) + "\n"


class SPADEModelMixin(ModelMixin, PortableConfigMixin):
    """A `ModelMixin` that reads safetensors alone, and refuses to load half a checkpoint.

    diffusers only warns about missing weights and leaves them uninitialized, so that the first sign is a bad picture;
    and where it finds no safetensors it takes a pickle.
    """

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str, **kwargs: Any) -> Any:
        """As `ModelMixin.from_pretrained`; convolution weights are converted to channels-last, like their inputs.

        Raises:
            ValueError: If the weights file is damaged, or lacks weights that the config asks for; for
                `use_safetensors=False`; for a pipeline's folder without `subfolder`.
        """
        if kwargs.get("use_safetensors") is False:
            raise ValueError(
                "`use_safetensors` is False, but this library reads weights from safetensors only. Leave it out; "
                "`convert_nvlabs_checkpoint` reads the public implementation's pickles."
            )
        kwargs["use_safetensors"] = True
        kwargs.setdefault("low_cpu_mem_usage", is_accelerate_available())  # else diffusers warns and does the same
        wants_info = kwargs.pop("output_loading_info", False)
        try:
            loaded: Any = super().from_pretrained(pretrained_model_name_or_path, output_loading_info=True, **kwargs)
            model, info = loaded
        except Exception as error:
            if _is_damaged_file(error):
                raise ValueError(
                    f"The weights in {pretrained_model_name_or_path} (subfolder {kwargs.get('subfolder')}) cannot be "
                    f"read: {str(error).rstrip('. ')}. Copy or download the file again."
                ) from error
            if isinstance(error, OSError) and (hint := _hint_at_subfolder(cls, pretrained_model_name_or_path, kwargs)):
                raise ValueError(hint) from error
            raise
        if missing := info["missing_keys"]:
            raise ValueError(
                f"{pretrained_model_name_or_path} lacks {len(missing)} of the weights of {cls.__name__}, the first: "
                f"{sorted(missing)[:3]}. Its config.json belongs to other weights."
            )
        if not any(parameter.is_meta for parameter in model.parameters()):  # hooks load such weights as they are
            model.to(memory_format=torch.channels_last)  # a forward pass has less to rearrange: up to 8 % on a CPU
        return (model, info) if wants_info else model

    @classmethod
    def load_config(cls, *args: Any, **kwargs: Any) -> Any:
        """As `ConfigMixin.load_config`; ValueError if the file holds anything but an object."""
        loaded: Any = super().load_config(*args, **kwargs)
        _require_dict(cls, loaded[0] if isinstance(loaded, tuple) else loaded)
        return loaded

    @classmethod
    def from_config(cls, config: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As `ConfigMixin.from_config`; ValueError if a value is missing, or of another type than the argument."""
        _require_dict(cls, config)
        check_config(cls, {**config, **kwargs})
        return super().from_config(config, *args, **kwargs)

    def fuse_spectral_norm(self) -> None:
        """Replace the spectrally normalized weights by their values, in place, for inference and saving."""
        fuse_spectral_norm(self)
        if "use_spectral_norm" in self.config:
            self.update_config(use_spectral_norm=False)

    def update_config(self, **values: Any) -> None:
        """Change values of the config so that `from_config` also knows them; it drops those left at the default."""
        defaults = [name for name in self.config.get("_use_default_values", ()) if name not in values]
        self.register_to_config(**values, _use_default_values=defaults)


def _require_dict(cls: type, config: Any) -> None:
    if not isinstance(config, dict):  # a text would be taken for the name of a repository, and fetched
        raise ValueError(
            f"The config of {cls.__name__} is {str(config)[:60]!r}, which is not a dict. Copy or download config.json "
            "again; a folder or repository goes to `from_pretrained`."
        )


def _is_damaged_file(error: Exception) -> bool:
    """Whether diffusers failed on the content of a weights file, rather than on finding it."""
    return type(error).__name__ == "SafetensorError" or "Unable to load weights from" in str(error)


def _hint_at_subfolder(cls: type, name_or_path: str, kwargs: dict[str, Any]) -> str | None:
    """What to do where a whole pipeline lies instead of a network."""
    if kwargs.get("subfolder") is not None:
        return None
    try:
        index: Any = DiffusionPipeline.load_config(name_or_path, **kwargs)
    except OSError:
        return None
    parts = {name: value[1] for name, value in index.items() if isinstance(value, list | tuple)}
    for name, class_name in parts.items():
        if class_name == cls.__name__:
            return f"{name_or_path} is a whole pipeline; pass `subfolder={name!r}` to load its {class_name}."
    return (
        f"{name_or_path} is a whole pipeline; its parts are {', '.join(parts)}, none of which is a {cls.__name__}. "
        "Training keeps a discriminator in its checkpoints, under `subfolder='discriminator'`."
    )
