"""Scripts for Gradio's events that keep a visitor's state in the browser, so that a reload loses nothing.

The canvas (`page/mask_canvas.js`) keeps the mask, the thumbnails (`page/thumbnails.js`) keep the visitor's own style,
these scripts the two styles, their blend and the outlines. The page also works in a browser that cannot keep anything
(private mode, full storage).
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
    """Return a script that passes on the inputs of a painting event; the last four are styles, blend and outlines.

    The script also keeps these, and closes the view of the four styles, which the new image makes outdated.
    """
    return f"""(...inputs) => {{
        const [styles, blend, strength, outline_seed] = inputs.slice(-4);
        const kept = JSON.stringify({{ styles, blend, strength, outline_seed }});
        try {{ localStorage.setItem({json.dumps(style_key(fingerprint))}, kept); }}
        catch {{ /* full or forbidden */ }}
        if (inputs[0] !== false) // a stroke without live mode paints nothing
             document.dispatchEvent(new Event("picture"));
        return inputs;
    }}"""


def recall(fingerprint: str) -> str:
    """Return a script that returns the kept state, `mask`, `start` and what `before_painting` keeps, or null."""
    return f"""() => {{
        try {{
            const canvas = JSON.parse(localStorage.getItem({json.dumps(canvas_key(fingerprint))}));
            const style = JSON.parse(localStorage.getItem({json.dumps(style_key(fingerprint))}));
            return [canvas || style ? {{ ...canvas, ...style }} : null];
        }} catch {{ return [null]; }}
    }}"""
