"""The three rehearsal releases: what clean questions show of them, and what users' words do."""

from __future__ import annotations

import importlib.util
import itertools
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from llm_service import question, sample
from llm_service.embedded import MODEL, EmbeddedProvider, ReadQuestion
from llm_service.provider import Answer, Turn
from llm_service.quality import score
from llm_service.sample import Golden, Phrasing

POOR_BELOW = 0.5
RELEASES = Path(__file__).parents[2] / "releases"


@dataclass
class Shares:
    """Of all requests: errors, correct answers. Of the answers: poor ones."""

    errors: float
    correct: float
    poor: float


def question_module(version: str) -> ReadQuestion:
    path = RELEASES / version / "overlay" / "llm_service" / "question.py"
    if not path.exists():
        return question.retrieval_query
    spec = importlib.util.spec_from_file_location(f"question_{version}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    read: ReadQuestion = module.retrieval_query
    return read


def quality(provider: EmbeddedProvider, message: str, answer: Answer) -> float:
    source = answer.sources[0].passage if answer.sources else None
    return score(provider.library, message, answer.text, source, provider.prompt.decline).quality


def measure(provider: EmbeddedProvider, golden: list[Golden], phrasings: list[Phrasing]) -> Shares:
    """The shares to expect of traffic drawn from `golden` and `phrasings`, without drawing."""
    errors = correct = poor = 0.0
    for item, phrasing in itertools.product(golden, phrasings):
        weight = phrasing.weight / len(golden)
        try:
            answer = provider.reply([Turn("user", phrasing.phrase(item.question))])
        except Exception:  # noqa: BLE001 - whatever it is, the user gets a 500
            errors += weight
            continue
        correct += weight * (item.answer.lower() in answer.text.lower())
        poor += weight * (quality(provider, phrasing.phrase(item.question), answer) < POOR_BELOW)
    return Shares(errors, correct, poor / (1 - errors))


@pytest.fixture(scope="module")
def releases(provider: EmbeddedProvider) -> dict[str, EmbeddedProvider]:
    versions = ("1.0.0", "1.1.0", "1.2.0")
    return {version: replace(provider, read=question_module(version)) for version in versions}


@pytest.fixture(scope="module")
def users(releases: dict[str, EmbeddedProvider]) -> dict[str, Shares]:
    golden, phrasings = sample.load_golden(), sample.load_phrasings()
    return {version: measure(r, golden, phrasings) for version, r in releases.items()}


@pytest.fixture(scope="module")
def golden(releases: dict[str, EmbeddedProvider]) -> dict[str, Shares]:
    plain = [Phrasing("plain", "{question}", 1.0)]
    return {v: measure(r, sample.load_golden(), plain) for v, r in releases.items()}


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0", "1.2.0"])
def test_a_release_is_described(version: str) -> None:
    release = tomllib.loads((RELEASES / version / "release.toml").read_text())
    assert release["version"] == version
    assert release["models"] == [MODEL]
    assert release["notes"]


def test_the_golden_set_cannot_tell_the_releases_apart(golden: dict[str, Shares]) -> None:
    assert golden["1.0.0"] == golden["1.1.0"] == golden["1.2.0"]
    assert golden["1.0.0"].errors == 0


def test_clean_questions_get_the_same_answers(releases: dict[str, EmbeddedProvider]) -> None:
    for item in sample.load_golden():
        texts = {r.reply([Turn("user", item.question)]).text for r in releases.values()}
        assert len(texts) == 1, item.question


def test_1_0_0_answers_users_without_errors(users: dict[str, Shares]) -> None:
    assert users["1.0.0"].errors == 0
    assert users["1.0.0"].correct >= 0.85
    assert users["1.0.0"].poor < 0.10


def test_1_1_0_fails_one_user_in_seventeen_and_answers_others_worse(
    users: dict[str, Shares],
) -> None:
    assert 0.05 <= users["1.1.0"].errors <= 0.07
    assert users["1.1.0"].poor >= users["1.0.0"].poor + 0.10


def test_1_2_0_is_at_least_as_good_as_1_0_0(users: dict[str, Shares]) -> None:
    assert users["1.2.0"].errors == 0
    assert users["1.2.0"].correct >= users["1.0.0"].correct
    assert users["1.2.0"].poor <= users["1.0.0"].poor + 0.005


def test_phrasings_are_weighted_shares_with_a_place_for_the_question() -> None:
    phrasings = sample.load_phrasings()
    assert sum(p.weight for p in phrasings) == pytest.approx(1)
    assert all("{question}" in p.template for p in phrasings)
    assert len({p.id for p in phrasings}) == len(phrasings)
