"""The evidence page: one HTML file with its style, its data and its script inside.

The charts are drawn by Observable Plot on d3 (see static/LICENSES.txt). The page loads nothing
from anywhere, and its content security policy lets nothing run but these scripts, by their hash;
so it can be mailed, archived and printed, whatever the texts of a model in it say. Without
scripts the sentence, the figures and every table are still there.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from llmops_runbooks.evidence import sections
from llmops_runbooks.evidence.html import Html, element, join

Json = Mapping[str, Any]

SCRIPTS = ("d3.min.js", "plot.umd.min.js", "page.js")
NO_SCRIPT = "The charts are drawn by a script inside this page; it may not run here."
FOOTER = (
    "Times are UTC. Evidence is an e-value: 1 means none, and a harmless canary reaches the bound "
    "of N with probability at most 1/N, however often one looks."
)


def render(evidences: Sequence[Json], *, title: str, summary: Json | None = None) -> str:
    """The page of one or several rollouts, oldest first; `summary` is shown above them."""
    told = [sections.rollout(evidence, number) for number, evidence in enumerate(evidences, 1)]
    return frame(
        title,
        sections.headline(evidences, title, summary),
        element("noscript", element("p", NO_SCRIPT, class_="soft")),
        *told,
        element("footer", FOOTER),
        scripts=[_static(name) for name in SCRIPTS],
    )


def frame(title: str, *content: Html, scripts: Sequence[str] = ()) -> str:
    """A page in the style of the evidence; nothing but these scripts runs in it."""
    head = element(
        "head",
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">'),
        element("title", title),
        Html(f"<style>{_static('page.css')}</style>"),
    )
    main = element("main", *content)
    body = element("body", main, *(Html(f"<script>{script}</script>") for script in scripts))
    return "<!doctype html>\n" + join(
        [Html('<html lang="en">'), head, body, Html("</html>\n")], "\n"
    )


def _policy(scripts: Sequence[str]) -> str:
    """Nothing is fetched; inline styles are Plot's, which hashes cannot name."""
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    hashes = " ".join(f"'sha256-{b64encode(digest).decode()}'" for digest in digests) or "'none'"
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _static(name: str) -> str:
    folder = resources.files("llmops_runbooks.evidence").joinpath("static")
    return folder.joinpath(name).read_text("utf-8")
