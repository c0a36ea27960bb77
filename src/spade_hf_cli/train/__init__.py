"""Training: the command line in `parser`, the run in `run`, its parts in `build`."""
