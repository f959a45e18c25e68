"""The golden set on the page: how many passed, and each flip with both answers side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any

from llmops_runbooks import figures
from llmops_runbooks.evidence.html import Html, details, element, join

Json = Mapping[str, Any]
SHOWN = 6
"""Flips that are shown at once; the rest is folded."""


def section(golden: Json | None) -> Html:
    """The whole part; nothing if the golden set was not asked."""
    if not golden:
        return Html()
    flips = [_flip(flip) for flip in worst_first(golden["flips"])]
    rest = details(f"{len(flips) - SHOWN} more flips", *flips[SHOWN:]) if flips[SHOWN:] else None
    return element(
        "section",
        element("h3", "Golden set on the test listener"),
        element("p", score(golden), class_="score"),
        element("p", golden["reason"], class_="soft"),
        *flips[:SHOWN],
        rest,
        class_="golden",
    )


def score(golden: Json) -> str:
    """`118 of 120 passed (baseline 117 of 120) · 1 got worse, 2 got better`"""
    questions, baseline = golden["questions"], golden["baseline"]
    passed = f"{golden['canary']['passed']} of {questions} passed"
    against = f" (baseline {baseline['passed']} of {questions})" if baseline else ""
    worse = sum(got_worse(flip) for flip in golden["flips"])
    better = len(golden["flips"]) - worse
    flips = f" · {worse} got worse, {better} got better" if golden["flips"] else ""
    p_value = golden["p_value"]
    surprise = f" · paired test p {p_value:.2g}" if p_value is not None else ""
    return f"{passed}{against}{flips}{surprise}"


def got_worse(flip: Json) -> bool:
    """Whether the canary fails a question that the baseline passes."""
    return bool(flip["baseline"]["passed"])


def worst_first(flips: Sequence[Json]) -> list[Json]:
    """The flips, those that got worse first."""
    return sorted(flips, key=lambda flip: not got_worse(flip))


def _flip(flip: Json) -> Html:
    before, after = marked(flip["baseline"]["answer"], flip["canary"]["answer"])
    word = "got worse" if got_worse(flip) else "got better"
    return element(
        "article",
        element(
            "header",
            element("span", word, class_=f"tag {'bad' if got_worse(flip) else 'good'}"),
            element("b", flip["question"]),
            element("small", flip["id"]),
        ),
        element("p", element("small", "expected"), " ", flip["expected"], class_="expected"),
        element(
            "div",
            _answer("baseline", before, flip["baseline"]["passed"]),
            _answer("canary", after, flip["canary"]["passed"]),
            class_="sides",
        ),
        class_="flip",
    )


def _answer(arm: str, answer: Html, passed: bool) -> Html:
    mark = element("span", "✓ passed" if passed else "✗ failed", class_="good" if passed else "bad")
    said = answer or element("i", "an empty answer", class_="soft")
    return element(
        "div", element("h4", arm, " ", mark), element("blockquote", said), class_=f"side {arm}"
    )


def marked(before: str, after: str) -> tuple[Html, Html]:
    """Both texts with the words marked that the other does not have there."""
    old, new = before.split(), after.split()
    moves = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    left = [(word, kind != "equal") for kind, a, b, _, _ in moves for word in old[a:b]]
    right = [(word, kind != "equal") for kind, _, _, a, b in moves for word in new[a:b]]
    return _words(left), _words(right)


def _words(words: Sequence[tuple[str, bool]]) -> Html:
    return join(_runs(words), " ")


def _runs(words: Sequence[tuple[str, bool]]) -> Iterator[Html | str]:
    for differs, run in groupby(words, key=lambda pair: pair[1]):
        text = " ".join(word for word, _ in run)
        yield element("mark", text) if differs else text


def facts(golden: Json) -> str:
    """The score among the rollout's figures."""
    return f"{figures.count(golden['canary']['passed'])} of {figures.count(golden['questions'])}"
