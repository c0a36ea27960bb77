"""What a visitor's browser keeps, so that a reload loses nothing: scripts for Gradio's events.

The canvas' script keeps the mask (`mask_canvas.js`), these keep the two styles and their blend. Where a browser cannot
keep anything (private mode, full), the page works without.
"""

import json


def canvas_key(fingerprint: str) -> str:
    """The name under which browsers keep this model's canvas."""
    return f"spade_hf.{fingerprint}.canvas"


def style_key(fingerprint: str) -> str:
    """The name under which browsers keep the styles picked for this model."""
    return f"spade_hf.{fingerprint}.style"


def before_painting(fingerprint: str) -> str:
    """A script that passes on the inputs of a painting event, of which styles and blend are the last.

    On the way it keeps these two, and takes away the view of the four styles: it is not of what is painted now.
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
    """A script that returns what is kept, an object with `mask`, `start`, `styles` and `blend`, or null."""
    return f"""() => {{
        try {{
            const canvas = JSON.parse(localStorage.getItem({json.dumps(canvas_key(fingerprint))}));
            const style = JSON.parse(localStorage.getItem({json.dumps(style_key(fingerprint))}));
            return [canvas || style ? {{ ...canvas, ...style }} : null];
        }} catch {{ return [null]; }}
    }}"""
