"""The commands of `spade-hf`, one module with `run(args)` per command; the package `spade_hf_cli` parses `args`."""
