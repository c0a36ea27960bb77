"""Additions of this library's networks to diffusers' `ModelMixin`."""

import inspect
import json
import os
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline, ModelMixin
from diffusers.configuration_utils import ConfigMixin
from diffusers.utils import is_accelerate_available

from ..execution.single_thread import single_thread
from ..layers.spectral_norm import fuse_spectral_norm, has_spectral_norm
from .config_values import check_config
from .locations import check_location
from .weight_files import check_format, refuse_shards_of_other_variants, remove_replaced_weights


class PortableConfigMixin(ConfigMixin):
    """A `ConfigMixin` that does not save the local path that its object was loaded from."""

    config: Any  # diffusers' FrozenDict, whose attributes are the constructor's arguments

    @classmethod
    def load_config(cls, *args: Any, **kwargs: Any) -> Any:
        """Load like `ConfigMixin.load_config`, or raise a ValueError if the file's objects are nested without end."""
        try:
            return super().load_config(*args, **kwargs)
        except RecursionError as error:
            raise ValueError(
                f"{args[0] if args else cls.config_name} has a damaged {cls.config_name}: it is nested too deeply. "
                "Copy or download it again."
            ) from error

    def to_json_string(self) -> str:
        """Return the config as JSON, without `_name_or_path`."""
        config = json.loads(super().to_json_string())
        config.pop("_name_or_path", None)
        return json.dumps(config, indent=2, sort_keys=True) + "\n"


class SPADEModelMixin(ModelMixin, PortableConfigMixin):
    """A `ModelMixin` that reads and writes only safetensors, and loads only a checkpoint that fits the config.

    diffusers only warns about missing and extra weights, and leaves missing ones uninitialized, so that bad images are
    the first symptom. If it finds no safetensors, it loads a pickle.
    """

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs: Any) -> Any:
        """Load like `ModelMixin.from_pretrained`, with convolution weights in channels-last, like their inputs.

        Loading starts no threads, so that a process can load a model and then fork.

        Raises:
            ValueError: If the weights file is damaged, lacks weights that the config needs or has others; if
                `use_safetensors` is False; if the folder is a pipeline's and `subfolder` is missing.
        """
        pretrained_model_name_or_path = os.fspath(pretrained_model_name_or_path)
        check_location(pretrained_model_name_or_path, given_as="`pretrained_model_name_or_path`")
        if kwargs.get("use_safetensors") is False:
            raise ValueError(
                "`use_safetensors` is False, but this library reads weights from safetensors only. Leave it out; "
                "`convert_nvlabs_checkpoint` reads the public implementation's pickles."
            )
        kwargs["use_safetensors"] = True
        kwargs.setdefault("low_cpu_mem_usage", is_accelerate_available())  # else diffusers does so with a warning
        wants_info = kwargs.pop("output_loading_info", False)
        try:
            with single_thread():
                loaded: Any = super().from_pretrained(
                    pretrained_model_name_or_path, output_loading_info=True, **kwargs
                )
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
        if extra := info["unexpected_keys"]:
            raise ValueError(
                f"{pretrained_model_name_or_path} has {len(extra)} weights that {cls.__name__} does not have, the "
                f"first: {sorted(extra)[:3]}. Its config.json belongs to other weights."
            )
        if not any(parameter.is_meta for parameter in model.parameters()):  # hooks load meta weights unchanged
            with single_thread():
                model.to(memory_format=torch.channels_last)  # saves up to 8 % of a forward pass on a CPU
        return (model, info) if wants_info else model

    def save_pretrained(self, save_directory: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """Save like `ModelMixin.save_pretrained`, over an earlier save of the same variant.

        Raises:
            ValueError: If `safe_serialization` is False, as this library does not read pickles; if the folder has
                sharded weights of another variant, which diffusers would delete.
        """
        given = inspect.signature(super().save_pretrained).bind(save_directory, *args, **kwargs).arguments
        check_format(given)
        folder, variant = Path(save_directory), given.get("variant")
        refuse_shards_of_other_variants(folder, variant)
        super().save_pretrained(os.fspath(save_directory), *args, **kwargs)
        if given.get("is_main_process", True):
            remove_replaced_weights(folder, variant)

    # `DiffusionPipeline.save_pretrained` passes the arguments that it finds in the signature
    save_pretrained.__signature__ = inspect.signature(ModelMixin.save_pretrained)  # pyright: ignore

    def enable_layerwise_casting(self, *args: Any, **kwargs: Any) -> None:
        """Store weights like `ModelMixin.enable_layerwise_casting`, in a smaller type than that of the computation.

        Raises:
            ValueError: If the network has spectral norm, whose singular vectors would be rounded.
        """
        if has_spectral_norm(self):
            raise ValueError(
                f"This {type(self).__name__} has spectral norm, and layerwise casting would round its singular "
                "vectors. Call `fuse_spectral_norm()` first."
            )
        super().enable_layerwise_casting(*args, **kwargs)

    @classmethod
    def load_config(cls, *args: Any, **kwargs: Any) -> Any:
        """Load like `ConfigMixin.load_config`, or raise a ValueError if the file does not hold a JSON object."""
        loaded: Any = super().load_config(*args, **kwargs)
        _require_dict(cls, loaded[0] if isinstance(loaded, tuple) else loaded)
        return loaded

    @classmethod
    def from_config(cls, config: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Build like `ConfigMixin.from_config`, or raise a ValueError if a value is missing or of the wrong type."""
        _require_dict(cls, config)
        check_config(cls, {**config, **kwargs})
        return super().from_config(config, *args, **kwargs)

    def fuse_spectral_norm(self) -> None:
        """Replace the spectrally normalized weights by their normalized values, in place, for inference and saving."""
        fuse_spectral_norm(self)
        if "use_spectral_norm" in self.config:
            self.update_config(use_spectral_norm=False)

    def update_config(self, **values: Any) -> None:
        """Change values of the config, and unmark them as defaults, which `from_config` would drop."""
        defaults = [name for name in self.config.get("_use_default_values", ()) if name not in values]
        self.register_to_config(**values, _use_default_values=defaults)


def _require_dict(cls: type, config: Any) -> None:
    if not isinstance(config, dict):  # diffusers would take a string for a repository's name and download it
        raise ValueError(
            f"The config of {cls.__name__} is {str(config)[:60]!r}, which is not a dict. Copy or download config.json "
            "again; pass a folder or repository to `from_pretrained`."
        )


def _is_damaged_file(error: Exception) -> bool:
    """Return whether diffusers failed to read a weights file, rather than to find it."""
    return type(error).__name__ == "SafetensorError" or "Unable to load weights from" in str(error)


def _hint_at_subfolder(cls: type, name_or_path: str, kwargs: dict[str, Any]) -> str | None:
    """Return advice for a folder that holds a whole pipeline instead of a network, else `None`."""
    if kwargs.get("subfolder") is not None:
        return None
    try:
        index: Any = DiffusionPipeline.load_config(name_or_path, **kwargs)
    except OSError:
        return None
    # not `_class_name`, which is a pair as well in a model that travels with its code
    parts = {name: value[1] for name, value in index.items() if isinstance(value, list | tuple) and name[0] != "_"}
    for name, class_name in parts.items():
        if class_name == cls.__name__:
            return f"{name_or_path} is a whole pipeline; pass `subfolder={name!r}` to load its {class_name}."
    return (
        f"{name_or_path} is a whole pipeline; its parts are {', '.join(parts)}, none of which is a {cls.__name__}. "
        "Training saves a discriminator in its checkpoints, under `subfolder='discriminator'`."
    )
