"""How near an answer comes to a reference: pure functions.

`f1` and `exact` are those of the official evaluation script of SQuAD 2.0 (Rajpurkar et al., 2018):
lower case, punctuation out, the articles a, an and the out, white space folded; F1 is of the bags
of words; where either side is empty, both measures are 1 if both are, else 0. Of several
references the best counts.

`contained` asks whether a reference's words stand in the answer in one piece, which is what an
assistant that answers in whole sentences can be held to. `numbers` compares quantities: every
number of the reference must be in the answer, with the same unit where both name one; 1,000 is
1000, twelve is 12, per cent is %.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from llm_service.text import WORD, terms

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)
QUANTITY = re.compile(
    r"(?P<money>[$€£])?\s?(?P<number>\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
    r"(?:\s?(?P<percent>%|per\s?cent\b)|[\s-]?(?P<unit>[A-Za-z]+))?"
)
MONEY = {"$": "dollar", "€": "euro", "£": "pound"}
COUNTING = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen twenty
"""
SMALL = COUNTING.split()
SPELT = re.compile(rf"\b({'|'.join(SMALL)})\b", re.IGNORECASE)


def normalised(text: str) -> str:
    """`text` as SQuAD compares it."""
    plain = text.lower().translate(PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", plain).split())


def exact(answer: str, reference: str) -> float:
    """1 if both are the same once normalised, else 0."""
    return float(normalised(answer) == normalised(reference))


def f1(answer: str, reference: str) -> float:
    """The harmonic mean of precision and recall over the words both have, 0 to 1."""
    said, wanted = normalised(answer).split(), normalised(reference).split()
    if not said or not wanted:
        return float(said == wanted)
    common = sum((Counter(said) & Counter(wanted)).values())
    return 2 * common / (len(said) + len(wanted))


def contained(answer: str, reference: str) -> float:
    """1 if the reference's words are a piece of the answer; an empty one only of an empty one."""
    said, wanted = normalised(answer), normalised(reference)
    return float(f" {wanted} " in f" {said} " if wanted else not said)


def best(measure: Callable[[str, str], float], answer: str, references: Sequence[str]) -> float:
    """The measure with the reference that fits best; `references` must not be empty."""
    return max(measure(answer, reference) for reference in references)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with the stem of its unit, empty where none is named; `text` is how it was put."""

    value: float
    unit: str = ""
    text: str = field(default="", compare=False)

    def meets(self, other: Quantity) -> bool:
        """Whether both say the same; a unit that one of them leaves out is no difference."""
        return self.value == other.value and (
            not self.unit or not other.unit or self.unit == other.unit
        )

    def denies(self, other: Quantity) -> bool:
        """Whether both name the same unit, and another number."""
        return self.unit == other.unit != "" and self.value != other.value

    def __str__(self) -> str:
        return self.text or f"{self.value:g} {self.unit}".rstrip()


def quantities(text: str) -> list[Quantity]:
    """The numbers of `text`, in order."""
    digits = SPELT.sub(lambda found: str(SMALL.index(found[1].lower())), text)
    return [_quantity(found) for found in QUANTITY.finditer(digits)]


def missing(answer: str, reference: str) -> list[Quantity]:
    """The quantities of the reference that the answer does not have."""
    said = quantities(answer)
    return [wanted for wanted in quantities(reference) if not any(map(wanted.meets, said))]


def denied(answer: str, reference: str) -> tuple[Quantity, Quantity] | None:
    """The first quantity of the answer that is none of the reference's, and the one that it puts
    another number to."""
    wanted = quantities(reference)
    lacking = missing(answer, reference)
    for said in quantities(answer):
        if not any(map(said.meets, wanted)):
            for other in lacking:
                if said.denies(other):
                    return said, other
    return None


def numbers(answer: str, reference: str) -> float:
    """The share of the reference's quantities that the answer has; 1 if it has none."""
    wanted = quantities(reference)
    return 1 - len(missing(answer, reference)) / len(wanted) if wanted else 1.0


def supported(answer: str, contexts: Sequence[str]) -> float:
    """The share of the answer's content words and numbers that the contexts hold, 0 to 1.

    An answer without a content word claims nothing: 1.
    """
    said = _content(answer)
    held = set().union(*map(_content, contexts))
    return len(said & held) / len(said) if said else 1.0


def _content(text: str) -> set[str]:
    figures = {word for word in WORD.findall(text.lower()) if word[0].isdigit()}
    return set(terms(text)) | figures


def _quantity(found: re.Match[str]) -> Quantity:
    value, text = float(found["number"].replace(",", "")), found[0].strip()
    if found["money"]:
        return Quantity(value, MONEY[found["money"]], text)
    if found["percent"]:
        return Quantity(value, "%", text)
    stems = terms(found["unit"] or "")
    return Quantity(value, stems[0], text) if stems else Quantity(value, "", found["number"])
