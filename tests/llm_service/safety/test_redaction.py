"""What is taken out of a text, and what stays."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import luhn
from stdnum.iso7064 import mod_97_10

from llm_service.safety import redact
from llm_service.safety.numbers import STDNUM, warm

NEGATIVES = Path(__file__).with_name("negatives.txt").read_text().splitlines()[1:]
digits = "0123456789"


def numbers(size: int) -> st.SearchStrategy[str]:
    return st.text(digits, min_size=size, max_size=size)


def grouped(text: str, sizes: tuple[int, ...], gap: str) -> str:
    """`text` in groups of `sizes`, the rest in one."""
    found, at = [], 0
    for size in (*sizes, len(text)):
        found.append(text[at : at + size])
        at += size
    return gap.join(each for each in found if each)


@st.composite
def cards(draw: Any) -> str:
    prefix, size, sizes = draw(
        st.sampled_from(
            [
                ("4", 16, (4, 4, 4)),
                ("55", 16, (4, 4, 4)),
                ("2221", 16, (4, 4, 4)),
                ("37", 15, (4, 6)),
                ("36", 14, (4, 6)),
                ("6011", 16, (4, 4, 4)),
                ("3530", 16, (4, 4, 4)),
            ]
        )
    )
    body = prefix + draw(numbers(size - len(prefix) - 1))
    gap: str = draw(st.sampled_from(["", " ", "-"]))
    return grouped(f"{body}{luhn.calc_check_digit(body)}", sizes, gap)


@st.composite
def ibans(draw: Any) -> str:
    country, bank, size = draw(
        st.sampled_from([("DE", "", 18), ("GB", "NWBK", 14), ("FR", "", 23), ("NL", "ABNA", 10)])
    )
    bban = bank + draw(numbers(size))
    check = mod_97_10.calc_check_digits(bban + country)
    iban = country + check + bban
    return str(draw(st.sampled_from([iban, iban.lower(), grouped(iban, (4,) * 8, " ")])))


@st.composite
def emails(draw: Any) -> str:
    name = draw(st.from_regex(r"[a-z][a-z0-9._+-]{0,20}[a-z0-9]", fullmatch=True))
    domain = draw(
        st.from_regex(r"([a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?\.){1,3}[a-z]{2,6}", fullmatch=True)
    )
    return f"{name}@{domain}"


@st.composite
def phones(draw: Any) -> str:
    a, b = draw(st.integers(100_0000, 999_9999)), draw(st.integers(20, 99))
    area, line = draw(st.integers(200, 999)), draw(st.integers(1000, 9999))
    return str(
        draw(
            st.sampled_from(
                [
                    f"+49 {b} {a}",
                    f"+49{b}{a}",
                    f"+44 (0){b} {a}",
                    f"0049 {b} {a}",
                    f"0{b} {a}",
                    f"0{b}/{a}",
                    f"0{b}-{a}",
                    f"({area}) {area}-{line}",
                    f"{area}-{area}-{line}",
                    f"{area}.{area}.{line}",
                    f"+1 {area} {area} {line}",
                    f"06 {b} {b} {b} {b}",
                    f"07{b}{a}",
                ]
            )
        )
    )


def pesel(text: str) -> str:
    total = sum(int(a) * b for a, b in zip(text, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3), strict=True))
    return text + str(-total % 10)


def nir(text: str) -> str:
    return f"{text}{97 - int(text) % 97:02d}"


def bsn(text: str) -> str:
    return text + str(sum((9 - n) * int(each) for n, each in enumerate(text)) % 11)


born = st.dates().map(lambda day: day.strftime("%y%m%d")).filter(lambda text: text[:2] >= "20")
nationals = st.one_of(
    st.builds(lambda day, serial: pesel(day + serial), born, numbers(4)).filter(
        lambda text: text[2:4] <= "12"
    ),
    st.builds(
        lambda year, rest, serial: grouped(
            nir(f"1{year:02d}05{rest}{serial:03d}"), (1, 2, 2, 2, 3, 3), " "
        ),
        st.integers(20, 99),
        st.sampled_from(["75", "13", "69"]).map(lambda place: place + "101"),
        st.integers(1, 999),
    ),
    st.integers(0, 99_999_999).map(lambda n: f"{n:08d}{'TRWAGMYFPDXBNJZSQVHLCKE'[n % 23]}"),
    st.integers(0, 9_999_999).map(lambda n: f"X{n:07d}{'TRWAGMYFPDXBNJZSQVHLCKE'[n % 23]}"),
    st.builds(
        lambda area, group, serial: f"{area:03d}-{group:02d}-{serial:04d}",
        st.integers(1, 665),
        st.integers(1, 99),
        st.integers(1, 9999),
    ).filter(lambda text: text != "078-05-1120"),
    st.builds(
        lambda text, last: f"AB {text[:2]} {text[2:4]} {text[4:]} {last}",
        numbers(6),
        st.sampled_from("ABCD"),
    ),
    numbers(8)
    .map(bsn)
    .filter(lambda text: len(text) == 9 and text[:2] > "00")
    .map("BSN: {}".format),
)
KINDS = {
    "card": cards(),
    "iban": ibans(),
    "email": emails(),
    "phone": phones(),
    "national_id": nationals,
}
words = st.text(st.sampled_from("abc xyz äöü 日本 .,;:!?\n()\"'"), max_size=30)
before = st.one_of(words.map(lambda text: f"{text} "), st.just(""), st.just("12 "), st.just("日本"))
after = st.one_of(
    words.map(lambda text: f" {text}"), st.sampled_from(["", ".", ", 34", "\n", "円"])
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_valid_one_is_found_in_any_surrounding(kind: str) -> None:
    @settings(max_examples=300, deadline=None)
    @given(KINDS[kind], before, after)
    def check(secret: str, left: str, right: str) -> None:
        found = redact(left + secret + right)
        assert secret.rsplit(": ", maxsplit=1)[-1] not in found.text
        assert kind in found.found

    check()


@settings(max_examples=500, deadline=None)
@given(st.text())
def test_a_text_without_digits_and_at_signs_is_the_same_object(text: str) -> None:
    plain = "".join(each for each in text if each != "@" and not each.isdigit())
    assert redact(plain).text is plain
    assert redact(plain).found == {}


pieces = st.one_of(*KINDS.values(), words, st.text(digits + " -./()+@a", max_size=20))


@settings(max_examples=150, deadline=None)
@given(st.lists(pieces, max_size=8).map("".join))
def test_what_is_redacted_needs_no_redaction(text: str) -> None:
    once = redact(text).text
    assert redact(once) == (once, {})


@pytest.mark.parametrize("text", NEGATIVES)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert redact(text) == (text, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to Ann.Lee+x@mail.example.co.uk.", "Write to [EMAIL]."),
        ("müller@exämple.de", "[EMAIL]"),
        ("2024 4111 1111 1111 1111", "2024 [CARD]"),
        ("IBAN DE89 3704 0044 0532 0130 00 please", "IBAN [IBAN] please"),
        ("+49 30 1234567 2024-01-02", "[PHONE] 2024-01-02"),
        ("call 415 555 0132", "call [PHONE]"),
        ("about order 4711: ring 0612345678", "about order 4711: ring [PHONE]"),
        ("SSN 219099998", "SSN [NATIONAL_ID]"),
        ("CPF 390.533.447-05", "CPF [NATIONAL_ID]"),
        ("86095742719", "[NATIONAL_ID]"),
        ("RSSMRA85T10A562S", "[NATIONAL_ID]"),
        ("756.9217.0769.85", "[NATIONAL_ID]"),
        ("131052-308T", "[NATIONAL_ID]"),
        ("NHS 943 476 5919", "NHS [NATIONAL_ID]"),
        ("85.07.30-033.28", "[NATIONAL_ID]"),
        ("4111\u00a01111\u00a01111\u00a01111", "[CARD]"),
    ],
)
def test_examples(text: str, expected: str) -> None:
    assert redact(text).text == expected


def test_the_kinds_are_counted() -> None:
    found = redact("a@b.com and c@d.org, 4111111111111111").found
    assert found == {"email": 2, "card": 1}


@pytest.mark.parametrize("text", ["1 ", "11 ", "4111 ", "a@b.com", "+1", "tel 1 ", "0"])
def test_a_text_made_to_be_slow_takes_no_more_than_its_length(text: str) -> None:
    def seconds(size: int) -> float:
        began = time.process_time()
        redact(text * (size // len(text)))
        return time.process_time() - began

    seconds(4_000)
    small = min(seconds(4_000) for _ in range(3))
    assert seconds(32_000) < 24 * small + 0.05


def test_warming_imports_every_check() -> None:
    warm()
    assert {"iban", "us.ssn"} < set(STDNUM)
