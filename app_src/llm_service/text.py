"""How text becomes terms: the one definition that the index, the answerer and the score share.

A term is a stemmed lower-case word that is neither a stop word nor a single letter. Stemming is
Snowball's English ("refunded" and "refunds" are one term).
"""

from __future__ import annotations

import re
from functools import lru_cache

import Stemmer

WORD = re.compile(r"[a-z0-9]+(?:[.,][0-9]+)*(?:['’][a-z]+)?")
TOKEN = re.compile(r"\w+|[^\w\s]")
SENTENCE_END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"”)]))\s+(?=[\"“(]?[A-Z0-9])")

# English function words and the verbs of asking: they carry no subject of their own.
FUNCTION_WORDS = """
    a about above after again all also am an and any anyone anything are as at be because been
    before being below between both but by can could did do does doing down during each either
    else every few for from further get gets got had has have having he her here hers him his how
    i if in into is it its itself just know let like may me might more most much must my need no
    nor not now of off on once one only or other our ours out over own per same shall she should
    so some someone something still such tell than that the their theirs them then there these
    they this those through to too under until up upon us use very was we were what when where
    whether which while who whom whose why will with within without would you your yours
    ask asked asking question answer wonder wondering want wants wanted find explain
    hi hello hey dear please thanks thank kindly regards cheers sorry good morning afternoon
    evening hope well appreciate help advance
"""
STOP_WORDS = frozenset(FUNCTION_WORDS.split())

_stemmer = Stemmer.Stemmer("english")


@lru_cache(maxsize=20_000)
def _term(word: str) -> str:
    """The term of a word without what follows its apostrophe; empty for a word that is none."""
    plain = word.split("'", maxsplit=1)[0].split("’", maxsplit=1)[0]
    return stem(plain) if plain not in STOP_WORDS and len(plain) > 1 else ""


def stem(word: str) -> str:
    """The stem of a lower-case word, function words included."""
    return str(_stemmer.stemWord(word))


def terms(text: str) -> list[str]:
    """The content terms of `text`, in order, repetitions kept."""
    return [term for term in map(_term, WORD.findall(text.lower())) if term]


def sentences(text: str) -> list[str]:
    """`text` cut behind full stops, question and exclamation marks that a capital follows."""
    return [part.strip() for part in SENTENCE_END.split(text) if part.strip()]


def count_tokens(text: str) -> int:
    """Words and punctuation marks: the size of a text where no model's tokenizer is at hand."""
    return len(TOKEN.findall(text))
