"""Execution of a forward pass, separate from its mathematics: tiling, CPU products, gradient checkpointing."""
