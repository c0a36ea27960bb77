"""Text for people: suggestions in messages, and names that are safe to print."""

import difflib
from pathlib import Path


def printable(text: str) -> str:
    """Replace the control characters in a name from foreign weights, because a terminal would obey them."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def similar(path: Path) -> list[str]:
    """Return the folders beside `path` with similar names, the most similar first."""
    if not path.parent.is_dir():
        return []
    folders = [sibling.name for sibling in path.parent.iterdir() if sibling.is_dir()]
    return [str(path.with_name(name)) for name in difflib.get_close_matches(path.name, folders)]


def suggestion(names: list[str]) -> str:
    """Return a question that offers up to three names, to append to a message; empty without names."""
    return f" Did you mean {' or '.join(names[:3])}?" if names else ""
