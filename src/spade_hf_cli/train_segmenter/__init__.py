"""Training of segmenters: the command line in `parser`, the run in `run`."""
