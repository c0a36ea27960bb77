"""The commands of `spade-hf`, a module each with `run(args)`; `spade_hf_cli`, beside this package, parses `args`."""
