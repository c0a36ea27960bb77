"""Entry point of the Space: `python app.py`, here or on the Hub, serves the page of `spade_hf.demo`.

`SPADE_MODEL_ID` names the model, a Hub id or a folder; without it the bundled landscapes model is used.
"""

from spade_hf.demo import build_demo, main


__all__ = ["build_demo", "main"]

if __name__ == "__main__":
    main(on_start=lambda address: print(f"Paint at {address} (Ctrl-C ends it)", flush=True))
