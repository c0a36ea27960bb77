"""Synthesis of a data set: the command line in `parser`, the run in `run`."""
