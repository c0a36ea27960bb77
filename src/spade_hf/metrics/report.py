"""The tables of an evaluation's figures, with the reasons for those that are missing."""

from collections.abc import Mapping
from typing import Any

from .figures import FIGURES, Figures
from .outlines import STATISTICS


def format_table(figures: Mapping[str, Figures], without_simplified: str | None = None) -> str:
    """Format a Markdown table with one line per figure and one column per set of images, and a list of reasons.

    Each reason for missing figures is listed once, after the names of its figures.

    Args:
        figures (`Mapping[str, Figures]`): Set -> its figures: `exact`, `real` and, if simplified masks were scored,
            `painted` and `refined`.
        without_simplified (`str`, *optional*): Why there are no figures of simplified masks.
    """
    kinds = [kind for kind in figures if kind != "real"] + ["real"]
    lines = [f"| | {' | '.join(kinds)} |", "|---" * (len(kinds) + 1) + "|"]
    for name in _names(figures):
        values = [figures[kind].values.get(name) for kind in kinds]
        lines.append(f"| {name} | {' | '.join('-' if value is None else f'{value:.4g}' for value in values)} |")
    names: dict[str, dict[str, None]] = {}  # reason -> names of figures, in order and each once
    for kind in kinds:
        for name, reason in figures[kind].reasons.items():
            names.setdefault(reason, {})[name] = None
    if without_simplified is not None:
        names.setdefault(without_simplified, {})["painted"] = None
    if names:
        lines += ["", *(f"- {', '.join(missing)}: {reason}" for reason, missing in names.items())]
    return "\n".join(lines)


def format_outlines(outlines: Mapping[str, Mapping[str, Any]]) -> str:
    """Format how far outlines are from those of the exact maps, a Markdown table with one line per label.

    Args:
        outlines (`Mapping`): `"painted"` and `"refined"` -> [`describe_outlines`], the latter with
            [`describe_kept_parts`].
    """
    painted, refined = outlines["painted"], outlines["refined"]

    def cell(label: str, name: str) -> str:
        both = (one["deviations"][label][name] for one in (painted, refined))
        return ", ".join("-" if value is None else f"{value:+.0%}" for value in both)

    lines = [
        f"| painted, refined against exact | {' | '.join(STATISTICS)} |",
        "|---" * (len(STATISTICS) + 1) + "|",
        *(f"| {label} | {' | '.join(cell(label, name) for name in STATISTICS)} |" for label in refined["deviations"]),
    ]
    for count, share, text in (
        ("painted_parts", "kept_parts", "painted parts keep their label"),
        ("thin_parts", "whole_thin_parts", "thin ones are in one piece"),
    ):
        lines += [f"\n{refined[share]:.1%} of {refined[count]} {text}"] if refined[count] else []
    return "\n".join(lines)


def _names(figures: Mapping[str, Figures]) -> list[str]:
    """List the figures of all sets, those of `FIGURES` first and in its order."""
    names = dict.fromkeys(name for one in figures.values() for name in one.values)
    return [*(name for name in FIGURES if name in names), *(name for name in names if name not in FIGURES)]
