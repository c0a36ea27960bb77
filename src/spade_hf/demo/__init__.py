"""The painting demo, a Gradio app (needs the extra `demo`); `spade-hf demo` and `spaces_demo/app.py` start it."""

from .app import build_demo, launch_options, main


__all__ = ["build_demo", "launch_options", "main"]
