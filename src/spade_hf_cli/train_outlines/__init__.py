"""Training of outline models: the command line in `parser`, the run in `run`."""
