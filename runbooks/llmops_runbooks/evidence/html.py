"""Markup that cannot be forged: every text is escaped unless it was made here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


class Html(str):
    """Markup that is safe to put into a page as it is."""

    __slots__ = ()


def safe(content: object) -> Html:
    """Markup as it is, everything else as escaped text; None is nothing."""
    if content is None:
        return Html()
    return content if isinstance(content, Html) else Html(escape(str(content)))


def join(parts: Iterable[object], between: str = "") -> Html:
    """The parts, one after the other."""
    return Html(escape(between).join(safe(part) for part in parts))


def element(tag: str, *content: object, **attributes: Any) -> Html:
    """`element("td", "1 < 2", class_="number")`; attributes that are None are left out."""
    said = "".join(
        f" {name.rstrip('_').replace('_', '-')}"
        + ("" if value is True else f'="{escape(str(value))}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{tag}{said}>{join(content)}</{tag}>")


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    numbers: Sequence[int] = (),
    style: str = "stack",
) -> Html:
    """A table; on a narrow screen each row of a `stack` becomes a card with its own headings.

    numbers: the columns that are aligned at the right.
    """
    classes = ["number" if column in numbers else None for column in range(len(heads))]
    head = element(
        "tr",
        *(element("th", word, class_=kind) for word, kind in zip(heads, classes, strict=True)),
    )
    body = [
        element(
            "tr",
            *(
                element("td", cell, class_=kind, data_label=word or None)
                for cell, kind, word in zip(row, classes, heads, strict=True)
            ),
        )
        for row in rows
    ]
    whole = element("table", element("thead", head), element("tbody", *body), class_=style)
    return element("div", whole, class_="scroll")


def details(title: object, *content: object, open_: bool = False) -> Html:
    """A part that is folded until somebody opens it."""
    return element("details", element("summary", title), *content, open=open_ or None)
