"""Training: the command line in `options`, the run in `run`, its parts in `build`."""
