from .pipeline_spade import SPADEPipeline, SPADEPipelineOutput


__all__ = ["SPADEPipeline", "SPADEPipelineOutput"]
