from ..models.semantics import as_size
from .models import export_generator, export_outline_model, export_segmenter, export_style_encoder
from .neighborhoods import neighborhood_inputs
from .onnx_file import save_onnx
from .verification import (
    TOLERANCE,
    generator_difference,
    graph_inputs,
    outline_model_difference,
    random_label_maps,
    segmenter_difference,
    style_encoder_difference,
)


__all__ = [
    "TOLERANCE",
    "as_size",
    "export_generator",
    "export_outline_model",
    "export_segmenter",
    "export_style_encoder",
    "generator_difference",
    "graph_inputs",
    "neighborhood_inputs",
    "outline_model_difference",
    "random_label_maps",
    "save_onnx",
    "segmenter_difference",
    "style_encoder_difference",
]
