"""Scripts for Gradio's events that keep a visitor's state in the browser, so that a reload loses nothing.

The canvas (`page/mask_canvas.js`) keeps the mask, the thumbnails (`page/thumbnails.js`) keep the visitor's own style,
these scripts the two styles and their blend. The page also works in a browser that cannot keep anything (private mode,
full storage).
"""

import json


def canvas_key(fingerprint: str) -> str:
    """Return the name under which browsers keep this model's canvas."""
    return f"spade_hf.{fingerprint}.canvas"


def style_key(fingerprint: str) -> str:
    """Return the name under which browsers keep the styles picked for this model."""
    return f"spade_hf.{fingerprint}.style"


def own_style_key(fingerprint: str) -> str:
    """Return the name under which browsers keep the visitor's own style for this model."""
    return f"spade_hf.{fingerprint}.own_style"


def before_painting(fingerprint: str) -> str:
    """Return a script that passes on the inputs of a painting event; the last two are styles and blend.

    The script also keeps these two, and closes the view of the four styles, which the new image makes outdated.
    """
    return f"""(...inputs) => {{
        const [styles, blend] = inputs.slice(-2);
        try {{ localStorage.setItem({json.dumps(style_key(fingerprint))}, JSON.stringify({{ styles, blend }})); }}
        catch {{ /* full or forbidden */ }}
        const paints = inputs.length < 4 || inputs[0]; // a stroke without live mode does not
        if (paints) document.dispatchEvent(new Event("picture"));
        return inputs;
    }}"""


def recall(fingerprint: str) -> str:
    """Return a script that returns the kept state, an object with `mask`, `start`, `styles` and `blend`, or null."""
    return f"""() => {{
        try {{
            const canvas = JSON.parse(localStorage.getItem({json.dumps(canvas_key(fingerprint))}));
            const style = JSON.parse(localStorage.getItem({json.dumps(style_key(fingerprint))}));
            return [canvas || style ? {{ ...canvas, ...style }} : null];
        }} catch {{ return [null]; }}
    }}"""
