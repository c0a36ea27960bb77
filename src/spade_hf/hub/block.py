"""The `block.py` that travels with a model: a block of Modular Diffusers that paints masks."""

import inspect
from typing import Any

from diffusers.modular_pipelines import ComponentSpec, InputParam, ModularPipelineBlocks, OutputParam

from ..pipelines import SPADEPipeline


class SPADEBlock(ModularPipelineBlocks):
    """Paints masks, as `SPADEPipeline` does: its inputs are the arguments of that pipeline's call."""

    model_name = "spade"

    @property
    def description(self) -> str:
        """What the block does."""
        return "Paints semantic segmentation masks, in the style of a picture, of latents or of a random one."

    @property
    def expected_components(self) -> list[ComponentSpec]:
        """The model's parts, whose classes are in modular_model_index.json; some models have no optional ones."""
        return [ComponentSpec(name) for name in inspect.signature(SPADEPipeline).parameters]

    @property
    def inputs(self) -> list[InputParam]:
        """The arguments of the pipeline's call, except the form of its output."""
        parameters = inspect.signature(SPADEPipeline.__call__).parameters.values()
        return [
            InputParam(parameter.name, type_hint=parameter.annotation, default=parameter.default)
            for parameter in parameters
            if parameter.name not in ("self", "return_dict")
        ]

    @property
    def intermediate_outputs(self) -> list[OutputParam]:
        """The outputs of the pipeline's call."""
        return [
            OutputParam("images", description="one per mask and style, in the form of `output_type`"),
            OutputParam("latents", description="their styles `(M, Z)`; None for a model without latent"),
            OutputParam("label_maps", description="the ids that were painted, with `outline_strength`; else None"),
            OutputParam("agreement", description="of each pixel with its label, with `return_agreement`; else None"),
            OutputParam("mean_agreement", description="of each image, with `return_agreement`; else None"),
        ]

    def __call__(self, components: Any, state: Any) -> tuple[Any, Any]:
        """Paint the state's masks."""
        block_state: Any = self.get_block_state(state)  # has the inputs and outputs as attributes
        parts = {str(spec.name): getattr(components, str(spec.name)) for spec in self.expected_components}
        pipeline = SPADEPipeline(**parts)
        pipeline.set_progress_bar_config(disable=True)
        output = pipeline(**{str(name): block_state[name] for name in self.input_names})
        for name in self.intermediate_output_names:
            block_state[name] = getattr(output, name)  # not a key if it is None
        self.set_block_state(state, block_state)
        return components, state
