"""A bundle is its files: read, checked and known by one digest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llm_service import bundle
from llm_service.bundle import BundleError, BundleUnreachable, load
from llm_service.bundle.bundle import canonical, parse

PROMPT = '+++\nversion = "{}"\nanswer = "{{sentences}}"\ndecline = "I do not know."\n+++\nAnswer.\n'


def feature(**given: Any) -> str:
    found = {"name": "answer", "default": True, "prompt": "answer@1.0.0", "models": ["embedded"]}
    return json.dumps({**found, **given})


def files(text: str | None = None, **more: str) -> dict[str, str]:
    return {
        "features/answer.json": feature() if text is None else text,
        "prompts/answer/1.0.0.md": PROMPT.format("1.0.0"),
        "prompts/answer/1.1.0.md": PROMPT.format("1.1.0"),
        **more,
    }


def test_the_packaged_bundle_answers_with_the_embedded_model() -> None:
    found = load(None)
    answer = found.feature()
    assert (found.default, answer.models, answer.retrieval) == ("answer", ("embedded",), "context")
    assert (answer.passages, answer.sentences) == (4, 2)
    assert found.prompt(answer).decline == "I cannot find that in the handbook."


def test_an_unknown_feature_is_the_default_one() -> None:
    found = load(None)
    assert found.feature("nobody") is found.feature("answer")


def test_a_folder_a_file_and_the_digest_in_its_name_are_one_bundle(tmp_path: Path) -> None:
    for path, text in files().items():
        (tmp_path / "b" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "b" / path).write_text(text)
    (tmp_path / "b" / "README.md").write_text("not part of it")
    content = canonical(files())
    stored = tmp_path / f"{hashlib.sha256(content).hexdigest()}.json"
    stored.write_bytes(content)
    assert load(str(tmp_path / "b")) == load(str(stored))
    assert load(str(stored)).digest == stored.stem


def test_a_bundle_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    stored = tmp_path / f"{'0' * 64}.json"
    stored.write_bytes(canonical(files()))
    with pytest.raises(BundleError, match="is not the bundle its name says: its SHA-256 differs"):
        load(str(stored))


def test_the_digest_does_not_depend_on_the_order_of_the_files() -> None:
    assert parse(files()).digest == parse(dict(reversed(files().items()))).digest
    assert parse(files()).digest != parse(files(feature(passages=5))).digest


def test_s3_is_asked_again_until_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [BundleUnreachable("no credentials"), canonical(files())]
    pauses: list[float] = []

    def fetch(uri: str) -> bytes:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return bytes(found)

    monkeypatch.setattr("llm_service.bundle.source._from_s3", fetch)
    assert load("s3://b/bundles/x.json", attempts=3, sleep=pauses.append).default == "answer"
    assert pauses == [2.0]
    answers[:] = [BundleUnreachable("no credentials")]
    with pytest.raises(BundleUnreachable):
        load("s3://b/bundles/x.json")


def test_a_releases_configuration_goes_before_the_default_feature_only() -> None:
    other = feature(name="other", default=False)
    found = parse(files(**{"features/other.json": other}))
    changed = found.overridden(prompt="1.1.0", passages=6, models=("configured/m", "embedded"))
    answer = changed.feature()
    assert (answer.prompt, answer.passages, answer.sentences) == ("answer@1.1.0", 6, 2)
    assert answer.models == ("configured/m", "embedded")
    assert changed.prompt(answer).version == "1.1.0"
    assert changed.feature("other") == found.feature("other")
    assert found.overridden() == found
    with pytest.raises(BundleError, match=r"no prompt answer 9\.0\.0 .* one of 1\.0\.0, 1\.1\.0"):
        found.overridden(prompt="9.0.0")


VARIANTS = [{"name": "a", "weight": 0.5}, {"name": "b", "weight": 0.5}]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"passages": 21}, "features/answer.json: 'passages': Expected `int` <= 20."),
        (
            {"passage": 4},
            "features/answer.json: 'passage' is not known (did you mean 'passages'?): "
            "allowed are name, prompt,",
        ),
        ({"cache": {"ttl": 1}}, "'cache.ttl' is not known: allowed are mode, scope, ttl_seconds,"),
        (
            {"cache": {"mode": "on"}},
            "'cache.mode': Invalid enum value 'on': allowed are off, exact",
        ),
        ({"models": []}, "'models': Expected `array` of length >= 1."),
        ({"models": ["gpt"]}, "'models[0]' is not in its form: write <provider>/<model>"),
        ({"prompt": "answer"}, "'prompt' is not in its form: write <name>@<version>"),
        (
            {"prompt": "answer@2.0.0"},
            "There is no prompt answer 2.0.0 in the bundle: choose one of",
        ),
        ({"name": "other"}, "name is other, the file's name says answer: make them the same."),
        ({"temperature": 3}, "'temperature': Expected `float` <= 2.0."),
        ({"default": False}, 'one feature with "default": true, and has none'),
        ({"at_budget": "cheaper"}, "'cheaper' is empty, but at_budget is \"cheaper\""),
        (
            {"experiment": {"name": "x", "variants": VARIANTS[:1]}},
            "'experiment.variants': Expected `array` of length >= 2.",
        ),
        (
            {"experiment": {"name": "x", "variants": [*VARIANTS, {"name": "c", "weight": 0.1}]}},
            "'experiment.variants' have weights that sum to 1.1: make the sum 1.",
        ),
        (
            {"experiment": {"name": "x", "variants": [VARIANTS[0], VARIANTS[0]]}},
            "'experiment.variants' have two of the same name",
        ),
        (
            {"experiment": {"name": "x", "variants": [{**VARIANTS[0], "changes": {"top_p": 1}}]}},
            "'experiment.variants[0].changes.top_p' is not known: allowed are prompt, models,",
        ),
        (
            {
                "experiment": {
                    "name": "x",
                    "variants": [VARIANTS[0], {**VARIANTS[1], "changes": {"prompt": "no@1.0.0"}}],
                }
            },
            "There is no prompt no 1.0.0 in the bundle: choose one of none.",
        ),
    ],
)
def test_a_mistake_in_a_feature_is_one_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BundleError) as error:
        parse(files(feature(**given)))
    assert sentence in str(error.value)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize(
    ("path", "text", "sentence"),
    [
        ("features/answer.json", "{", "features/answer.json is no JSON"),
        ("features/An Answer.json", "{}", "is no feature: name it features/<name>.json"),
        ("prompts/answer/1.0.md", PROMPT, "is no prompt: name it prompts/<name>/<version>.md"),
        ("prompts/answer/2.0.0.md", "Answer.", "does not begin with TOML between two lines of"),
        ("prompts/answer/2.0.0.md", "+++\nversion =\n+++\n", "is no TOML"),
        (
            "prompts/answer/2.0.0.md",
            PROMPT.format("1.0.0"),
            "version is 1.0.0, the file's name says 2.0.0",
        ),
        (
            "prompts/answer/2.0.0.md",
            PROMPT.format("2.0.0").replace("{sentences}", "{sentence}"),
            "'answer' names {sentence}: it needs {sentences} and may name {title}.",
        ),
        (
            "prompts/answer/2.0.0.md",
            PROMPT.format("2.0.0").replace("decline", "refuse"),
            "'decline' is missing or no text",
        ),
    ],
)
def test_a_mistake_in_a_file_is_one_sentence(path: str, text: str, sentence: str) -> None:
    with pytest.raises(BundleError) as error:
        parse({**files(), path: text})
    assert sentence in str(error.value)


def test_a_folder_without_a_bundle_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="it needs features/ and prompts/"):
        load(str(tmp_path))
    with pytest.raises(BundleError, match="cannot be read: No such file"):
        load(str(tmp_path / "b.json"))


def test_a_file_of_a_bundle_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "answer.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(BundleError, match=r"features/answer\.json of the bundle is not UTF-8"):
        load(str(tmp_path))


def test_what_costs_twice_or_is_shared_is_off_until_a_feature_says_so(tmp_path: Path) -> None:
    stored = tmp_path / "bundle.json"
    stored.write_bytes(canonical(files()))
    plain = load(str(stored)).feature()
    assert plain.hedge_after_ms is None
    assert (plain.cache.mode, plain.cache.scope) == ("off", "user")
    assert plain.experiment is None


def test_a_feature_is_a_value() -> None:
    answer = load(None).feature()
    assert hash(answer) == hash(msgspec.structs.replace(answer))
    with pytest.raises(AttributeError):
        answer.passages = 3  # type: ignore[misc]


def test_what_others_import_is_in_the_package() -> None:
    assert sorted(bundle.__all__) == bundle.__all__
