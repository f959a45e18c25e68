"""Metric filters: log lines that match a pattern become values of a metric.

Three kinds of pattern ("Filter pattern syntax for metric filters"): `{ $.a = 1 && $.b = * }` looks
into JSON, `[first, second="word", ...]` at words divided by spaces (quoted or bracketed ones stay
one), and anything else is words that must all occur, `-word` one that must not. Not read: regular
expressions, `?word`, and `*` inside a word of a list. A line gives no value where the pattern holds
but the value it names is no number.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

Fields = Mapping[str, Any]
"""What a metric's value may name, by its name in the pattern: `$.a.b` or `$word`."""
Match = Callable[[str], "Fields | None"]
"""The fields of a line that matches; None for one that does not."""
Test = Callable[[Any], bool]

MISSING = object()
_TOKEN = re.compile(
    r'\s*(\(|\)|&&|\|\||!=|<=|>=|=|<|>|"(?:[^"\\]|\\.)*"|\$[.\w\[\]-]+|[^\s()=<>!&|"]+)'
)
_WORDS = re.compile(r'"[^"]*"|\[[^\]]*\]|\S+')
_STEP = re.compile(r"\.([\w-]+)|\[(\d+)\]")
_ITEM = re.compile(r"^\s*(?P<name>\w+|\.\.\.)\s*(?:(?P<how>!=|<=|>=|=|<|>)\s*(?P<text>.+?)\s*)?$")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class PatternError(ValueError):
    """A pattern that is wrong, or that the local cloud does not read."""


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Match:
    """What decides whether a line matches. Raises PatternError."""
    text = pattern.strip()
    if text.startswith("{") and text.endswith("}"):
        return _json(text[1:-1])
    if text.startswith("[") and text.endswith("]"):
        return _words(text[1:-1])
    return _terms(text)


def value_of(named: str, fields: Fields) -> float | None:
    """A metric's value: a number as it is, `$.a` or `$word` from the line; None if it has none."""
    found = _named(named, fields)
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    return _number(found)


def dimensions_of(named: Mapping[str, str], fields: Fields) -> dict[str, str]:
    """A metric's dimensions, `$.a` or `$word` from the line; what it lacks is left out."""
    found = {name: _named(value, fields) for name, value in named.items()}
    return {name: str(value) for name, value in found.items() if value is not MISSING}


def _named(named: str, fields: Fields) -> Any:
    if named.startswith("$."):
        return _at(fields, named)
    return fields.get(named, MISSING if named.startswith("$") else named)


def _number(found: Any) -> float | None:
    try:
        number = float(found)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _terms(text: str) -> Match:
    words = [word.strip('"') for word in re.findall(r'-?"[^"]*"|\S+', text)]
    if any(word.startswith(("?", "%")) for word in words):
        raise PatternError(f"The filter pattern '{text}' is not read by the local cloud.")

    def match(line: str) -> Fields | None:
        for word in words:
            wanted = not word.startswith("-")
            if (word.removeprefix("-").strip('"') in line) is not wanted:
                return None
        return {}

    return match


def _words(text: str) -> Match:
    items = [_item(item) for item in text.split(",")]
    open_ended = bool(items) and items[-1][0] == "..."
    items = items[:-1] if open_ended else items

    def match(line: str) -> Fields | None:
        words = [word.strip('"[]') for word in _WORDS.findall(line)]
        if len(words) < len(items) or (len(words) > len(items) and not open_ended):
            return None
        if all(test(word) for (_, test), word in zip(items, words, strict=False)):
            return {f"${name}": word for (name, _), word in zip(items, words, strict=False)}
        return None

    return match


def _item(text: str) -> tuple[str, Test]:
    found = _ITEM.match(text)
    if found is None:
        raise PatternError(f"The filter pattern has '{text.strip()}', which cannot be read.")
    return found["name"], _comparison(found["how"], found["text"]) if found["how"] else _always


def _always(_: Any) -> bool:
    return True


def _comparison(how: str, text: str) -> Test:
    """Against a number if the pattern has one, else against the text; `*` stands for any part."""
    quoted = text.startswith('"')
    text = text.strip('"')
    number = None if quoted else _number(text)
    if number is not None:
        return lambda found: _compared(how, found, number)
    if how not in ("=", "!="):
        raise PatternError(f"The filter pattern compares with '{text}', which is not a number.")
    wanted = re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)
    equal = how == "="

    def test(found: Any) -> bool:
        said = found if isinstance(found, str) else json.dumps(found)
        return (wanted.fullmatch(said) is not None) is equal

    return test


def _compared(how: str, found: Any, number: float) -> bool:
    known = isinstance(found, int | float | str) and not isinstance(found, bool)
    value = _number(found) if known else None
    return value is not None and _COMPARE[how](value, number)


def _json(text: str) -> Match:
    tokens = [found[1] for found in _TOKEN.finditer(text)]
    if "".join(tokens) != re.sub(r'\s+(?=(?:[^"]*"[^"]*")*[^"]*$)', "", text):
        raise PatternError(f"The filter pattern {{{text}}} cannot be read.")
    reader = _Reader(text, iter([*tokens, ""]))
    test = reader.whole()

    def match(line: str) -> Fields | None:
        if not line.lstrip().startswith("{"):
            return None
        try:
            document = json.loads(line)
        except ValueError:
            return None
        return document if isinstance(document, dict) and test(document) else None

    return match


class _Reader:
    """Reads a JSON pattern from its tokens: `||` of `&&` of comparisons and brackets."""

    def __init__(self, text: str, tokens: Iterator[str]) -> None:
        self._text = text
        self._tokens = tokens
        self._next = next(tokens)

    def whole(self) -> Test:
        test = self._any()
        if self._next:
            raise self._wrong()
        return test

    def _wrong(self) -> PatternError:
        return PatternError(f"The filter pattern {{{self._text}}} cannot be read.")

    def _take(self) -> str:
        taken, self._next = self._next, next(self._tokens, "")
        return taken

    def _any(self) -> Test:
        tests = [self._all()]
        while self._next == "||":
            self._take()
            tests.append(self._all())
        return lambda document: any(test(document) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._next == "&&":
            self._take()
            tests.append(self._one())
        return lambda document: all(test(document) for test in tests)

    def _one(self) -> Test:
        first = self._take()
        if first == "(":
            inside = self._any()
            if self._take() != ")":
                raise self._wrong()
            return inside
        if not first.startswith("$."):
            raise self._wrong()
        return self._about(first)

    def _about(self, path: str) -> Test:
        how = self._take()
        if how in ("IS", "NOT"):
            return self._state(path, f"{how} {self._take()}")
        if how not in _COMPARE or not self._next:
            raise self._wrong()
        test = _comparison(how, self._take())
        return lambda document: (found := _at(document, path)) is not MISSING and test(found)

    def _state(self, path: str, state: str) -> Test:
        wanted = {"IS TRUE": True, "IS FALSE": False, "IS NULL": None, "NOT EXISTS": MISSING}
        if state not in wanted:
            raise self._wrong()
        return lambda document: _at(document, path) is wanted[state]


def _at(document: Any, path: str) -> Any:
    """The value at `$.a.b[0]`; MISSING if there is none."""
    for name, number in _STEP.findall(path[1:]):
        if name and isinstance(document, Mapping) and name in document:
            document = document[name]
        elif number and isinstance(document, list) and int(number) < len(document):
            document = document[int(number)]
        else:
            return MISSING
    return document
