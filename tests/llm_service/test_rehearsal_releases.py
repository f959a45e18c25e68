"""The releases of the rehearsal: what users notice of each, and that plain questions show nothing.

The provider's part of them (how long it takes, what it leaves out) is measured where it is made.
"""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from types import ModuleType

import pytest

from llm_service import sample
from llm_service.embedded import EmbeddedProvider
from llm_service.provider import Turn
from llm_service.quality import score
from llmops_localcloud.model_provider.models import MODELS
from llmops_runbooks import publish
from llmops_runbooks.rehearse_kinds import BASE, KINDS, Kind
from llmops_runbooks.rehearse_releases import FOLDER, write_project

PROJECT = Path(__file__).parents[2]
CODE = [kind for kind in KINDS if (PROJECT / FOLDER / kind.name / "overlay").is_dir()]
MESSAGES = 800


@dataclass(frozen=True)
class Seen:
    """What users saw of a release: shares of all messages; quality and tokens of the answers."""

    errors: float
    right: float
    quality: float
    tokens: float


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases") / "made"
    write_project(PROJECT, KINDS, "http://127.0.0.1:1/v1", folder)
    return folder


@pytest.fixture(scope="module")
def messages() -> list[tuple[str, sample.Golden]]:
    chance, phrasings = random.Random(1), sample.load_phrasings()
    weights = [each.weight for each in phrasings]
    golden = sample.load_golden()
    return [
        (chance.choices(phrasings, weights)[0].phrase(item.question), item)
        for item in chance.choices(golden, k=MESSAGES)
    ]


def module_of(project: Path, version: str) -> ModuleType | None:
    path = project / "releases" / version / "overlay/llm_service/question.py"
    if not path.exists():
        return None
    spec = importlib.util.spec_from_file_location(f"of_{version}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answerer(project: Path, version: str, provider: EmbeddedProvider) -> EmbeddedProvider:
    """The release's own part of answering, as its file and its code say."""
    described = publish.read(project / "releases" / version / publish.FILE)
    module = module_of(project, version)
    made = replace(
        provider,
        passages=int(described.variables()["PASSAGES"]),
        sentences=int(described.variables()["ANSWER_SENTENCES"]),
    )
    return replace(made, read=module.retrieval_query) if module else made


def watch(provider: EmbeddedProvider, messages: list[tuple[str, sample.Golden]]) -> Seen:
    errors, right, quality, tokens = 0, [], [], []
    for message, item in messages:
        try:
            answer = provider.reply([Turn("user", message)])
        except Exception:  # noqa: BLE001 - whatever it is, the user gets a 500
            errors += 1
            continue
        source = answer.sources[0].passage if answer.sources else None
        scored = score(provider.library, message, answer.text, source, provider.prompt.decline)
        right.append(item.answer.lower() in answer.text.lower())
        quality.append(scored.quality)
        tokens.append(answer.prompt_tokens + answer.completion_tokens)
    return Seen(errors / len(messages), mean(right), mean(quality), mean(tokens))


@pytest.fixture(scope="module")
def seen(
    project: Path, provider: EmbeddedProvider, messages: list[tuple[str, sample.Golden]]
) -> dict[str, Seen]:
    names = {BASE: "base", **{kind.version: kind.name for kind in KINDS}}
    return {
        name: watch(answerer(project, version, provider), messages)
        for version, name in names.items()
        if name in {"base", "tokens", "identical", *(kind.name for kind in CODE)}
    }


def test_every_kind_has_a_release_with_notes_and_a_model_of_the_provider(project: Path) -> None:
    for kind in KINDS:
        described = publish.read(project / "releases" / kind.version / publish.FILE)
        assert described.notes
        assert described.variables()["PROVIDER_MODEL"] in MODELS
        assert described.models == (described.variables()["PROVIDER_MODEL"],)


@pytest.mark.parametrize("kind", CODE, ids=[kind.name for kind in CODE])
def test_plain_questions_show_nothing(
    kind: Kind, project: Path, provider: EmbeddedProvider
) -> None:
    release = answerer(project, kind.version, provider)
    for item in sample.load_golden():
        assert item.answer.lower() in release.reply([Turn("user", item.question)]).text.lower()


def test_the_base_answers_users_rightly(seen: dict[str, Seen]) -> None:
    assert seen["base"].errors == 0
    assert seen["base"].right > 0.98
    assert seen["identical"] == seen["base"]


def test_errors_fails_one_message_in_seventeen(seen: dict[str, Seen]) -> None:
    assert seen["errors"].errors == pytest.approx(0.06, abs=0.02)
    assert seen["errors"].quality >= seen["base"].quality


@pytest.mark.parametrize(("kind", "share"), [("worse", 0.27), ("bad-share", 0.18)])
def test_wrong_answers_come_without_an_error(
    seen: dict[str, Seen], kind: str, share: float
) -> None:
    assert seen[kind].errors == 0
    assert seen[kind].right == pytest.approx(1 - share, abs=0.06)
    assert seen[kind].quality < seen["base"].quality - 0.08


def test_tokens_are_three_times_as_many_for_the_same_answers(seen: dict[str, Seen]) -> None:
    assert seen["tokens"].tokens == pytest.approx(3 * seen["base"].tokens, rel=0.1)
    assert seen["tokens"].right == seen["base"].right


def test_better_is_right_more_often_and_reads_less(seen: dict[str, Seen]) -> None:
    assert seen["better"].right > seen["base"].right
    assert seen["better"].tokens < 0.8 * seen["base"].tokens
    assert seen["better"].quality > seen["base"].quality - 0.02


def outcomes(project: Path, provider: EmbeddedProvider, messages: list[str]) -> Iterator[bool]:
    """Message by message, whether `late` answered."""
    release = answerer(project, "1.0.1-late", provider)
    for message in messages:
        try:
            release.reply([Turn("user", message)])
            yield True
        except IndexError:
            yield False


def test_late_is_fine_at_first_and_then_fails_one_message_in_ten(
    project: Path, provider: EmbeddedProvider, messages: list[tuple[str, sample.Golden]]
) -> None:
    answered = list(outcomes(project, provider, [message for message, _ in messages]))
    first = answered.index(False)
    assert first > 50
    assert answered[first:].count(False) / len(answered[first:]) == pytest.approx(0.1, abs=0.04)


def test_the_model_that_thinks_is_silent_on_one_message_in_ten_and_on_no_plain_question(
    messages: list[tuple[str, sample.Golden]],
) -> None:
    model = MODELS["stand-in-thinking"]
    silent = [model.say(message, "draft") == "" for message, _ in messages]
    assert mean(silent) == pytest.approx(0.1, abs=0.03)
    assert all(model.say(item.question, "draft") for item in sample.load_golden())
