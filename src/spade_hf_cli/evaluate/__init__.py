"""Evaluation: the command line in `options`, pairs and segmenter in `build`, the run in `run`."""
