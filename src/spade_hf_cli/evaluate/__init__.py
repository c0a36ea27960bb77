"""Evaluation: the command line in `options`, the run in `run`."""
