"""Evaluation: the command line in `parser`, pairs and segmenter in `build`, the run in `run`."""
