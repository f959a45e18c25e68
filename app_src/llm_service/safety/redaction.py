"""Personal data out of a text: e-mail, telephone, cards, IBANs and national ids, each replaced by
its kind in brackets.

RE2 looks for places where something could begin, in one pass and without going back; only there
Python checks what it is (`numbers`). A text without a hit costs microseconds per kilobyte, which a
test of one large alternation of Python's `re` does not
(https://swtch.com/~rsc/regexp/regexp3.html). It misses what has no form: names and addresses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import re2

from llm_service.safety.numbers import HINTS, found

BETWEEN = r"[ .\-/()\x{a0}\x{2011}\x{202f}]{1,3}"
BEGINS = re2.compile(
    (
        r"\d{7}"
        rf"|\(?\d{{2,6}}{BETWEEN}\d{{4}}"
        rf"|\(?\d{{1,6}}{BETWEEN}\d{{2,6}}{BETWEEN}\d{{2}}"
        r"|\+\(?[1-9]"
        r"|\d{6}[\-+Aa]\d{3}"
        r"|[12]\d{5}[AaBb]\d{3}"
        r"|[XYZxyz]-?\d{7}"
        r"|[A-Za-z]{2}\d\d[ \-\x{a0}\x{202f}]?[A-Za-z0-9]{4}"
        r"|[A-Za-z]{2}[ \-\x{a0}\x{202f}]\d\d[ \-\x{a0}\x{202f}]\d\d"
        r"|[A-Za-z]{6}[0-9L-NP-Vl-np-v]{2}[A-EHLMPRSTa-ehlmprst][0-9L-NP-Vl-np-v]{2}"
        r"[A-Za-z][0-9L-NP-Vl-np-v]{3}[A-Za-z]"
    ).encode()
)
"""Enough digits with little between them, or letters and digits as ids with letters have them."""
EMAIL = re2.compile(rb"[\pL\pN_][\pL\pN._%+'\-]*@(?:[\pL\pN](?:[\pL\pN\-]*[\pL\pN])?\.)+\pL{2,}")
NAMED = re2.compile(HINTS)
PIECE = re.compile(
    rb"(?:19|20)\d\d([\-./])\d\d\1\d\d(?!\d)|\d\d([\-./])\d\d\2(?:19|20)\d\d(?!\d)"
    rb"|[+(]*(?:[A-Za-z]+|\d+)"
)
"""What is passed over where nothing was found: a date as a whole, else a word or a group."""
PASSES = 4
"""What is replaced uncovers what stood beside it; more than twice only in texts made for it."""
FILES = (b".png", b".jpg", b".jpeg", b".gif", b".svg", b".webp")
"""Pictures are named like addresses: logo@2x.png."""


class Redacted(NamedTuple):
    """A text without personal data, and how many pieces of each kind it had: `email`, `phone`,
    `card`, `iban`, `national_id`."""

    text: str
    found: Mapping[str, int]


def redact(text: str) -> Redacted:
    """`text` with every piece of personal data replaced; the same object if there is none."""
    data = text.encode("utf-8", "surrogatepass")
    counts: dict[str, int] = {}
    for _ in range(PASSES):
        cleaned = _numbers(_emails(data, counts), counts)
        if cleaned == data:
            break
        data = cleaned
    return Redacted(data.decode("utf-8", "surrogatepass") if counts else text, counts)


def _emails(data: bytes, counts: dict[str, int]) -> bytes:
    if b"@" not in data:
        return data

    def replaced(match: Any) -> bytes:
        address: bytes = match[0]
        if address.lower().endswith(FILES):
            return address
        counts["email"] = counts.get("email", 0) + 1
        return b"[EMAIL]"

    cleaned: bytes = EMAIL.sub(replaced, data)
    return cleaned


def _numbers(data: bytes, counts: dict[str, int]) -> bytes:
    out: list[bytes] = []
    kept = position = 0
    hinted: bool | None = None
    while match := BEGINS.search(data, position):
        start = match.start()
        if hinted is None:
            hinted = NAMED.search(data) is not None
        hit = found(data, start, hinted)
        if hit is None:
            passed = PIECE.match(data, start)
            position = passed.end() if passed else start + 1
            continue
        kind, position = hit
        counts[kind] = counts.get(kind, 0) + 1
        out += (data[kept:start], b"[%b]" % kind.upper().encode())
        kept = position
    return b"".join([*out, data[kept:]]) if out else data
