"""Adapts this project's docstrings, which are written in the manner of diffusers, to mkdocstrings.

A Griffe extension, enabled in mkdocs.yml: removes the backticks and asterisks from the types of arguments, and the
brackets from references such as "[`SPADE`]"; this site's builder would print them.
"""

import re
from typing import Any

import griffe


ARGUMENT = re.compile(r"^( +\*{0,2}\w+(?:, \w+)*) \((.+)\):", re.MULTILINE)


class DocstringTypes(griffe.Extension):
    """Rewrites docstrings before they are parsed."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring:
            text = ARGUMENT.sub(plain_types, obj.docstring.value)
            obj.docstring.value = re.sub(r"\[(`[^`\]]+`)\](?!\()", r"\1", text)


def plain_types(argument: re.Match[str]) -> str:
    """``x (`int`, *optional*):`` to ``x (int, optional):``."""
    types = argument[2].replace("*", "").replace("`", "")
    types = re.sub(r", defaults to .+$", "", types)  # the table has a column for it
    return f"{argument[1]} ({types}):"
