"""Execution of a forward pass, separate from its mathematics: CPU products, gradient checkpointing, threads."""
