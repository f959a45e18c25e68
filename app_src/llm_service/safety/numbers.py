"""What a number written in a text may be: shapes, and the checks that tell a card from an order.

A shape alone raises false alarms, a checksum alone too: one in ten sixteen-digit order numbers
passes Luhn's. So a card needs an issuer's prefix, its length and Luhn; an IBAN its country's length
and its checksum; a national id whatever its country defines, through python-stdnum. Where a country
has no checksum worth the name, or one that passes every tenth number of that length, the text has
to say what it is (`SSN 123456789`, `BSN: 111222333`); digits in one piece that the text calls an
order, an invoice or the like are never a telephone number.

presidio and scrubadub find names of people as well, for which they load language models of 40 to
500 MB and take milliseconds per text; python-stdnum is pure Python and has the rules of 70
countries.

Shapes are matched at one position of UTF-8 bytes, so a look to the left sees what stands before.
No shape can go back more than a few steps: a text of nothing but digits costs no more than its
length.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import NamedTuple

Check = Callable[[str], bool]

NEAR = 40
"""Bytes before a number in which the text may say what it is."""
GAP = rb"(?:[ \-]|\xc2\xa0|\xe2\x80[\x91\xaf])"
"""Between groups of digits: a space or a hyphen, breaking or not."""
SEPARATOR = rb"(?:[ \-/.]|\xc2\xa0|\xe2\x80[\x91\xaf])"
APART = rb"(?<![A-Za-z0-9])(?<![0-9][.,])"
"""Before a number: nothing that it would be a part of."""
FREE = rb"(?<![A-Za-z0-9_#/+])(?<![A-Za-z0-9][.,\-/])"
"""The same for numbers without a checksum: no part of a code, a path or a sum either."""
ALONE = rb"(?![A-Za-z0-9])(?![.,][0-9])"
ENDS = re.compile(ALONE)
CALL = rb"tel|telefon|t\xc3\xa9l|phone|telephone|call|fax|mobile?|cell|handy|whatsapp|sms|gsm"
ORDER = (
    rb"order|id|invoice|ticket|article|sku|part|ref|reference|case|serial|isbn|ean|tracking|parcel"
    rb"|bestell\w*|rechnung\w*|artikel\w*|auftrag\w*|commande|pedido|#"
)


class Shape(NamedTuple):
    """What something looks like and whether it is that; `said` must stand shortly before it,
    `unless` must not."""

    kind: str
    pattern: re.Pattern[bytes]
    check: Check
    said: re.Pattern[bytes] | None
    unless: re.Pattern[bytes] | None
    words: tuple[bytes, ...]

    def end(self, data: bytes, position: int) -> int:
        """Where one that begins at `position` ends; 0 if none does."""
        match = self.pattern.match(data, position)
        if match is None:
            return 0
        before = data[max(0, position - NEAR) : position]
        if self.said and not self.said.search(before):
            return 0
        if self.unless and self.unless.search(before):
            return 0
        return match.end() if self.check(match[0].decode()) else 0


def found(data: bytes, position: int, hinted: bool = True) -> tuple[str, int] | None:
    """Kind and end of what begins at `position`; the surest first. `hinted` False leaves out what
    the text would have to name, where HINTS found nothing."""
    start = STARTS.match(data, position)
    if start is None:
        return None
    if start.lastgroup:
        end = _iban(data, position)
        if end:
            return "iban", end
    shapes = _SHAPES if hinted else _UNHINTED
    for shape in shapes.get(_first(start[0]), ()):
        end = shape.end(data, position)
        if end:
            return shape.kind, end
    return None


def luhn(digits: str) -> bool:
    """Whether the digits end in their checksum (ISO/IEC 7812-1)."""
    odd, even = digits[-1::-2], digits[-2::-2]
    total = sum(map(int, odd)) + sum(sum(divmod(2 * int(digit), 10)) for digit in even)
    return total % 10 == 0


def warm() -> None:
    """Imports what the checks need, some 50 ms: in a thread at the start rather than in the first
    request that holds a number."""
    for name in STDNUM:
        _module(name)
    _iban_length("DE")


def _iban(data: bytes, position: int) -> int:
    """The end of an IBAN that begins at `position`, else 0. How long it is, its country says:
    what follows may look like more of it."""
    match = IBAN.match(data, position)
    if match is None:
        return 0
    length = _iban_length(match[0][:2].decode().upper())
    characters = list(re.finditer(rb"[A-Za-z0-9]", match[0]))
    if not 0 < length <= len(characters):
        return 0
    end = position + characters[length - 1].end()
    plain = b"".join(each[0] for each in characters[:length]).decode()
    return end if ENDS.match(data, end) and _module("iban")(plain) else 0


@cache
def _iban_length(country: str) -> int:
    """Letters and digits of an IBAN of `country`, by the structure in SWIFT's registry; 0 for a
    country without."""
    from stdnum import numdb

    (_, known), *_ = numdb.get("iban").info(country + "00")
    return 4 + sum(map(int, re.findall(r"\d+", known["bban"]))) if "bban" in known else 0


@cache
def _module(name: str) -> Check:
    check: Check = import_module(f"stdnum.{name}").is_valid
    return check


def _stdnum(*names: str) -> Check:
    """Whether one of python-stdnum's modules takes it; they are imported when first needed."""

    def check(text: str) -> bool:
        plain = re.sub(r"[\s\u2011]", "", text)
        return any(_module(name)(plain) for name in names)

    return check


def _card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return bool(ISSUER.fullmatch(digits)) and luhn(digits)


def _phone(low: int, high: int) -> Check:
    """Whether it has from `low` to `high` digits and does not begin with a date."""

    def check(text: str) -> bool:
        return low <= len(re.sub(r"\D", "", text)) <= high and not DATE.match(text)

    return check


def _always(_: str) -> bool:
    return True


def _said(words: bytes) -> re.Pattern[bytes] | None:
    return re.compile(rb"(?i)(?<![a-z\[])(?:%b)(?![a-z\]])" % words) if words else None


def _unless(words: bytes) -> re.Pattern[bytes] | None:
    """One of the words as the last thing that is named: no other number in between."""
    return re.compile(rb"(?i)(?<![a-z\[])(?:%b)[^0-9\[]{0,20}\Z" % words) if words else None


def _groups(*sizes: int, gap: bytes = GAP) -> bytes:
    """Groups of digits with the same gap between them."""
    first, second, *rest = (rb"\d{%d}" % size for size in sizes)
    return first + b"(?P<gap>%b)" % gap + second + b"".join(b"(?P=gap)" + each for each in rest)


def _first(start: bytes) -> int:
    """By what shapes are looked up: the length of the first group of digits, negative if that
    begins with a zero, LETTER or SIGN."""
    if not start.isdigit():
        return SIGN if start in b"+(" else LETTER
    return -len(start) if start.startswith(b"0") else len(start)


ISSUER = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d{2}|222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[689]\d)\d{11}"  # Diners Club
    r"|(?:6011|64[4-9]\d|65\d{2}|62\d{2})\d{12,15}"  # Discover, UnionPay
    r"|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])\d{8,15}"  # Maestro
)
"""Issuers' prefixes and lengths under ISO/IEC 7812, as the networks publish them."""
IBAN = re.compile(rb"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:%b?[A-Za-z0-9]){11,30}" % GAP)
DATE = re.compile(
    r"\(?(?:\d{1,2}[./-]\d{1,2}[./-](?:19|20)?\d{2}(?!\d)"
    r"|(?:19|20)\d{2}[./-]\d{1,2}(?!\d)|\d{1,2}[./-](?:19|20)\d{2}(?!\d))"
)
STDNUM = (
    *("iban", "us.ssn", "de.idnr", "fr.nir", "es.dni", "es.nie", "it.codicefiscale", "pl.pesel"),
    *("be.nn", "no.fodselsnummer", "ch.ssn", "se.personnummer", "fi.hetu", "br.cpf", "nl.bsn"),
    *("gb.nhs", "dk.cpr", "ca.sin", "in_.aadhaar"),
)
NINO = (
    rb"(?i:(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
    rb"(?P<gap>%b?)\d{2}(?P=gap)\d{2}(?P=gap)\d{2}(?P=gap)[A-D])" % GAP
)
"""https://www.gov.uk/hmrc-internal-manuals/national-insurance-manual/nim39110"""
FISCAL = rb"(?i:[A-Z]{6}[0-9L-NP-V]{2}[A-EHLMPRST][0-9L-NP-V]{2}[A-Z][0-9L-NP-V]{3}[A-Z])"
NIR = (
    rb"[12](?P<gap>%b?)\d{2}(?P=gap)\d{2}(?P=gap)(?:\d{2}|2[AaBb])(?P=gap)\d{3}(?P=gap)\d{3}"
    rb"%b?\d{2}" % (GAP, GAP)
)
SPACED_CARD = (
    rb"\d{4}(?P<gap>%b)(?:\d{4}(?P=gap)\d{4}(?P=gap)\d{4}(?:(?P=gap)\d{3})?|\d{6}(?P=gap)\d{4,5})"
    % GAP
)
ELEVEN = ("de.idnr", "pl.pesel", "be.nn", "no.fodselsnummer")
ABROAD = rb"(?:(?! (?:19|20)\d\d-\d\d-)%b{0,2}\(?\d\)?)" % SEPARATOR
"""A further digit of a number, but not the first of a date."""
AMERICAN = rb"(?:1[ \-.])?(?:\([2-9]\d{2}\)[ \-.]?|[2-9]\d{2}[\-.])[2-9]\d{2}[ \-.]\d{4}"
PAIRS = rb"0[1-9](?P<gap>[ .\-])\d\d(?:(?P=gap)\d\d){3}"
TRUNK = rb"\(?0[1-9]\d{0,4}\)?(?:(?:[ \-/]|\xc2\xa0){1,3}\d{2,8}){1,4}"
STARTS = re.compile(rb"(?P<letters>[A-Za-z])|[+(]|\d{1,20}")
LETTER, SIGN = 0, 99

_SHAPES: dict[int, tuple[Shape, ...]] = {}
_UNHINTED: dict[int, tuple[Shape, ...]] = {}


def _shape(
    kind: str,
    first: tuple[int, ...],
    pattern: bytes,
    check: Check,
    *,
    said: bytes = b"",
    unless: bytes = b"",
    before: bytes = APART,
) -> None:
    """Adds a shape that may begin with any of `first`, after those that were added before."""
    whole = re.compile(before + pattern + ALONE)
    words = (said,) if said else ()
    shape = Shape(kind, whole, check, _said(said), _unless(unless), words)
    keys = {*first, *(-key for key in first if kind != "phone")}
    for key in keys:
        _SHAPES[key] = (*_SHAPES.get(key, ()), shape)
        if not said:
            _UNHINTED[key] = (*_UNHINTED.get(key, ()), shape)


def _national(
    first: tuple[int, ...], pattern: bytes, *names: str, said: bytes = b"", unless: bytes = b""
) -> None:
    _shape("national_id", first, pattern, _stdnum(*names), said=said, unless=unless, before=FREE)


_shape("card", (4,), SPACED_CARD, _card)
_shape("card", tuple(range(12, 20)), rb"\d{12,19}", _card)

_shape("national_id", (0,), FISCAL, _stdnum("it.codicefiscale"))
_shape("national_id", (0,), NINO, _always)
_shape("national_id", (1, 6, 15), NIR, _stdnum("fr.nir"))
_national((0,), rb"[XYZxyz]-?\d{7}-?[A-Za-z]", "es.nie")
_national((8,), rb"\d{8}[ \-]?[A-Za-z]", "es.dni")
_national((3,), rb"\d{3}([ \-])\d{2}\1\d{4}", "us.ssn")
_national((9,), rb"\d{9}", "us.ssn", said=rb"ssn|social security")
_national((3,), rb"756\.\d{4}\.\d{4}\.\d{2}", "ch.ssn")
_national((13,), rb"756\d{10}", "ch.ssn")
_national((2,), rb"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", "be.nn")
_national((2,), _groups(2, 3, 3, 3), "de.idnr", unless=ORDER)
_national((6,), _groups(6, 5), "no.fodselsnummer", "be.nn", unless=ORDER)
_national((11,), rb"\d{11}", *ELEVEN, unless=ORDER)
_national((11,), rb"\d{11}", "br.cpf", said=rb"cpf")
_national((3,), rb"\d{3}\.\d{3}\.\d{3}-\d{2}", "br.cpf")
_national((6, 8), rb"(?:\d{2})?\d{6}[\-+]\d{4}", "se.personnummer")
_national((6,), rb"\d{6}[\-+Aa]\d{3}[0-9A-Ya-y]", "fi.hetu")
_national((4, 9), rb"\d{4}\.?\d{2}\.?\d{3}", "nl.bsn", said=rb"bsn|\w*servicenummer|sofi")
_national((3,), _groups(3, 3, 4), "gb.nhs", said=rb"nhs")
_national((10,), rb"\d{10}", "gb.nhs", said=rb"nhs")
_national((6, 10), rb"\d{6}-?\d{4}", "dk.cpr", said=rb"cpr")
_national((3,), _groups(3, 3, 3), "ca.sin", said=rb"sin|nas|insurance")
_national((4,), _groups(4, 4, 4), "in_.aadhaar", said=rb"aadhaa?r|uidai")

_shape("phone", (SIGN,), rb"\+[1-9]%b{7,14}" % ABROAD, _phone(8, 15), before=FREE)
_shape("phone", (SIGN, 1, 3), AMERICAN, _phone(10, 11), unless=ORDER, before=FREE)
_shape("phone", (-2,), PAIRS, _phone(10, 10), before=FREE)
_shape("phone", (SIGN, *range(-6, -1)), TRUNK, _phone(9, 12), unless=ORDER, before=FREE)
_shape("phone", (-10, -11), rb"0[1-9]\d{8,9}", _phone(10, 11), unless=ORDER, before=FREE)
_shape(
    *("phone", tuple(range(-16, -3)), rb"00[1-9]%b{8,13}" % ABROAD, _phone(11, 16)),
    unless=ORDER,
    before=FREE,
)
_shape(
    *("phone", (SIGN, *range(-14, 0), *range(1, 15)), rb"\(?\d%b{6,13}" % ABROAD, _phone(7, 14)),
    said=CALL,
    unless=ORDER,
    before=FREE,
)

HINTS = b"(?i)" + b"|".join(
    sorted({part for shapes in _SHAPES.values() for each in shapes for part in each.words})
)
"""For RE2: whether a text names anything that a shape wants said."""
