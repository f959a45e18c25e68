"""The evidence page: one HTML file with its style and drawings inside, and no script at all.

It loads nothing from anywhere, so it can be mailed, archived and printed. All text is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from llmops_runbooks.evidence import sections

Json = Mapping[str, Any]


def render(evidences: Sequence[Json], *, title: str, summary: Json | None = None) -> str:
    """The page of one or several rollouts, oldest first; `summary` is shown above them."""
    style = resources.files("llmops_runbooks.evidence").joinpath("static/page.css")
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>{style.read_text('utf-8')}</style></head><body><main>",
        sections.headline(evidences, title, summary),
        *(sections.rollout(evidence) for evidence in evidences),
        "<footer>Times are UTC. Minutes on the charts count from the start of the rollout. "
        "Evidence is an e-value: 1 means none, and a harmless canary reaches the bound of N with "
        "probability at most 1/N, however often it is looked at.</footer>",
        "</main></body></html>",
    ]
    return "\n".join(parts)
