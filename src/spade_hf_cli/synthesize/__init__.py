"""Synthesis of a data set: the command line in `options`, the run in `run`."""
