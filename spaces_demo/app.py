"""The Space's entry: `python app.py`, here or on the Hub, serves the page of `spade_hf.demo`.

`SPADE_MODEL_ID` names the model, a Hub id or a folder; without it the landscapes that come with the package are used.
"""

from spade_hf.demo import build_demo, main


__all__ = ["build_demo", "main"]

if __name__ == "__main__":
    main()
