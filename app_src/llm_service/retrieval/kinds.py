"""The kind of thing a question asks for, and whether a sentence has one.

Told from the question's words, as answer typing has been since TREC's first question answering
tracks (Li and Roth, "Learning question classifiers", COLING 2002): when, how many, who, where.
A sentence has such a thing if it holds one that the question does not name itself.
"""

from __future__ import annotations

import re
from typing import Literal

from llm_service.text import terms

Kind = Literal["", "number", "time", "person", "place"]

ASKS: tuple[tuple[Kind, str], ...] = (
    ("time", r"\bwhen\b|\b(?:what|which) (?:day|date|month|year|decade|century|time)\b"),
    ("time", r"\bhow long\b"),
    ("number", r"\bhow (?:many|much|old|far|often|tall|large|big)\b"),
    ("number", r"\bwhat (?:percent|percentage|number|amount|proportion|age)\b"),
    ("person", r"\b(?:who|whose|whom)\b"),
    ("place", r"\bwhere\b|\bwhat (?:region|state|location|area)\b"),
    ("place", r"\b(?:what|which) (?:country|city|place|nation)\b"),
)
WORD = re.compile(r"[A-Za-z0-9'’-]+")
NAME = re.compile(r"\b[A-Z][a-zA-Z'’-]+")
TIME = re.compile(
    r"\b(?:1\d{3}|20\d{2})s?\b|\bcentur|\b\d{1,2}[:.]\d{2}\b|\b(?:january|february|march|april|may|"
    r"june|july|august|september|october|november|december|monday|tuesday|wednesday|thursday|"
    r"friday|saturday|sunday|years?|decades?|months?|weeks?|days?|hours?|minutes?|seconds?|daily|"
    r"weekly|monthly|today|noon|midnight|during|after|before|when|until|while|once)\b",
    re.IGNORECASE,
)
NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|thousand|"
    r"million|billion|half|dozen|several|many|few|percent|third|quarter|majority|none|no|single|"
    r"only|both|once|twice|every|each)\b",
    re.IGNORECASE,
)
PEOPLE = re.compile(
    r"\b(?:people|men|women|king|queen|president|leader|manager|head|team|church|government|staff|"
    r"\w+ers?|\w+ors?|\w+ists?|\w+ans)\b"
)


def expected(question: str) -> Kind:
    """The kind that `question` asks for; empty if its words do not tell."""
    asked = question.lower()
    return next((kind for kind, pattern in ASKS if re.search(pattern, asked)), "")


def has(kind: Kind, sentence: str, question: str) -> bool:
    """Whether `sentence` holds a thing of `kind` besides those in `question`; True for no kind."""
    if kind in ("number", "time"):
        asked = set(question.lower().split())
        news = " ".join(word for word in WORD.findall(sentence) if word.lower() not in asked)
        return bool((NUMBER if kind == "number" else TIME).search(news))
    if kind in ("person", "place"):
        known = set(terms(question))
        return any(
            found and not known & set(found) for found in map(terms, NAME.findall(sentence))
        ) or (kind == "person" and bool(PEOPLE.search(sentence)))
    return True
