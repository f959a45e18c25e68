"""The measures against the official definition and against what people would say."""

from __future__ import annotations

import collections
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_service.evaluations import scores
from llm_service.evaluations.rules import ruling
from llmops_runbooks import eval_score


def official_f1(prediction: str, gold: str) -> float:
    """SQuAD's definition, written as its script computes it: by precision and recall."""

    def tokens(text: str) -> list[str]:
        text = "".join(each for each in text.lower() if each not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", text).split()

    wanted, said = tokens(gold), tokens(prediction)
    common = collections.Counter(wanted) & collections.Counter(said)
    same = sum(common.values())
    if not wanted or not said:
        return float(wanted == said)
    if same == 0:
        return 0.0
    precision, recall = same / len(said), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


WORDS = st.lists(st.sampled_from(["the", "a", "25", "cups", "of", "Tea,", "tea", "-", "an."]))


@given(WORDS, WORDS)
def test_f1_is_the_official_one(answer: list[str], reference: list[str]) -> None:
    said, wanted = " ".join(answer), " ".join(reference)
    assert scores.f1(said, wanted) == pytest.approx(official_f1(said, wanted))


PHRASES = st.one_of(st.text(), WORDS.map(" ".join))


@given(PHRASES, PHRASES)
def test_the_kits_own_ruler_says_the_same(answer: str, reference: str) -> None:
    """Twice on purpose: a release must not be measured by what it brings along."""
    for ours, kits in (
        (scores.exact, eval_score.exact),
        (scores.f1, eval_score.f1),
        (scores.contained, eval_score.contained),
    ):
        assert ours(answer, reference) == kits(answer, reference)


@pytest.mark.parametrize(
    ("answer", "reference", "exact", "f1", "contained"),
    [
        ("The Normans!", "normans", 1, 1.0, 1),
        ("It is France.", "France", 0, 0.5, 1),
        ("", "France", 0, 0.0, 0),
        ("", "", 1, 1.0, 1),
        ("Paris", "", 0, 0.0, 0),
        ("25 words at most", "5 words", 0, pytest.approx(1 / 3), 0),
    ],
)
def test_exact_f1_and_contained(
    answer: str, reference: str, exact: float, f1: float, contained: float
) -> None:
    assert scores.exact(answer, reference) == exact
    assert scores.f1(answer, reference) == f1
    assert scores.contained(answer, reference) == contained


@pytest.mark.parametrize(
    ("answer", "reference", "share"),
    [
        ("It costs 1,000 euros.", "€1000", 1.0),
        ("twelve weeks", "12 weeks", 1.0),
        ("half: 50 per cent", "50%", 1.0),
        ("30 words", "25 words", 0.0),
        ("25 pages", "25 words", 0.0),
        ("25", "25 words", 1.0),
        ("from 9 to 5", "9 to 6", 0.5),
        ("anything", "no number", 1.0),
    ],
)
def test_numbers_and_their_units(answer: str, reference: str, share: float) -> None:
    assert scores.numbers(answer, reference) == share


def test_an_answer_is_supported_by_the_words_of_its_contexts() -> None:
    context = "Founded in 1998 by Maren Oldcastle."
    assert scores.supported("Maren Oldcastle founded it in 1998.", [context]) == 1.0
    assert scores.supported("Maren Oldcastle founded it in 1999.", [context]) < 1.0
    assert scores.supported("It was.", [context]) == 1.0


@pytest.mark.parametrize(
    ("answer", "references", "verdict", "score"),
    [
        ("20 minutes", ["20 minutes"], "correct", 1.0),
        ("It may stand for 20 minutes.", ["an hour", "20 minutes"], "correct", 1.0),
        ("About 30 minutes it may stand.", ["20 minutes"], "wrong", None),
        ("I cannot find that in the handbook.", ["20 minutes"], "declined", 0.0),
        ("I cannot find that in the handbook.", [], "declined", 1.0),
        ("20 minutes", [], "wrong", 0.0),
        ("  ", ["20 minutes"], "wrong", 0.0),
    ],
)
def test_the_rules_verdict(
    answer: str, references: list[str], verdict: str, score: float | None
) -> None:
    found = ruling(answer, references, None)
    assert found.verdict == verdict
    assert score is None or found.score == score
    assert found.why.endswith(".")


def test_a_wrong_figure_makes_a_like_sentence_wrong() -> None:
    reference = "The named owner reviews each page of the handbook every 9 months"
    answer = "The named owner reviews each page of the handbook every eight months"
    found = ruling(answer, [reference], None)
    assert found.metrics["f1"] >= 0.9
    assert (found.score, found.verdict) == (0.0, "wrong")
    assert found.why == "The answer says 8 months where the reference says 9 months."


def test_a_missing_figure_keeps_a_like_sentence_from_being_correct() -> None:
    reference = "The named owner reviews each page of the handbook every 9 months"
    for answer in (
        "The named owner reviews each page of the handbook every few months",
        "The named owner reviews each page of the handbook every 9 weeks",
    ):
        found = ruling(answer, [reference], None)
        assert found.verdict == "partly"
        assert "9 months" in found.why


def test_a_figure_that_the_reference_has_besides_is_no_wrong_one() -> None:
    found = ruling("It opens at 58 degrees", ["between 58 and 64 degrees"], None)
    assert found.verdict != "correct"
    assert "lacks" in found.why
