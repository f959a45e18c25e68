"""`lint` finds everything at once: errors as the service would, and what is hardly meant."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llm_service.bundle.lint import Report, lint
from llm_service.bundle.source import read

PROMPT = '+++\nversion = "1.0.0"\nanswer = "{sentences}"\ndecline = "No."\n+++\nAnswer.\n'
VARIANTS = [{"name": "a", "weight": 1}, {"name": "b", "weight": 0}]


def linted(configuration: dict[str, str] | None = None, **given: Any) -> Report:
    feature = {"name": "answer", "default": True, "prompt": "answer@1.0.0", "models": ["embedded"]}
    files = {
        "features/answer.json": json.dumps({**feature, **given}),
        "prompts/answer/1.0.0.md": PROMPT,
    }
    return lint(files, configuration)


def warnings(report: Report) -> str:
    return "\n".join(each.message for each in report.findings if each.level == "warning")


def test_the_packaged_bundle_has_nothing_to_find() -> None:
    report = lint(read(None))
    assert report.findings == ()
    assert report.ok
    assert len(report.digest) == 64


def test_all_errors_are_told_at_once() -> None:
    report = lint(
        {
            "features/a.json": '{"name": "a"}',
            "features/b.json": '{"name": "b", "prompt": "x@1.0.0", "models": ["embedded"], '
            '"at_budget": "cheaper"}',
            "prompts/c/1.0.0.md": "no head",
        }
    )
    assert not report.ok
    assert [each.file for each in report.findings if each.level == "error"] == [
        "features/a.json",
        "features/a.json",
        "prompts/c/1.0.0.md",
        "features/b.json",
        "features/b.json",
    ]


def test_every_field_of_a_feature_that_is_wrong_is_told() -> None:
    text = '{"name": "a", "prompt": "1", "models": ["openai"], "passages": 99, "temprature": 1}'
    report = lint({**read(None), "features/a.json": text})
    told = [each.message for each in report.findings if each.level == "error"]
    assert len(told) == 4
    for key in ("'prompt'", "'models[0]'", "'passages'", "'temprature'"):
        assert sum(key in message.split(":")[1] for message in told) == 1, key


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"name": NaN}'])
def test_a_feature_that_is_no_object_is_one_error(text: str) -> None:
    report = lint({**read(None), "features/a.json": text})
    assert {each.file for each in report.findings if each.level == "error"} == {"features/a.json"}


def test_a_prompt_that_nobody_uses_is_a_warning() -> None:
    report = lint({**read(None), "prompts/old/1.0.0.md": PROMPT})
    assert report.ok
    assert "prompts/old/1.0.0.md is used by no feature" in warnings(report)


def test_an_older_version_of_a_prompt_is_there_to_go_back_to() -> None:
    newer = {"prompts/answer/0.9.0.md": PROMPT.replace("1.0.0", "0.9.0")}
    assert warnings(lint({**read(None), **newer})) == ""
    newer = {"prompts/answer/1.0.1-rc.1.md": PROMPT.replace("1.0.0", "1.0.1-rc.1")}
    assert "prompts/answer/1.0.1-rc.1.md is used by no" in warnings(lint({**read(None), **newer}))


def test_a_model_without_a_price_is_a_warning() -> None:
    assert "openai/new-model has no price" in warnings(linted(models=["openai/new-model"]))
    assert "no price" not in warnings(linted(models=["openai/gpt-4o-mini", "embedded"]))


def test_what_never_acts_is_a_warning() -> None:
    assert "so it never acts" in warnings(linted(at_budget="warn"))
    assert "it is never used" in warnings(linted(cheaper=["embedded"]))
    assert "calls no tools" in warnings(linted(retrieval="tool"))
    assert "no second model" in warnings(linted(hedge_after_ms=100))
    assert "one variant" in warnings(linted(experiment={"name": "x", "variants": VARIANTS}))


def test_a_configuration_that_hides_the_bundle_is_a_warning() -> None:
    hidden = linted({"PASSAGES": "4", "ANSWER_PROMPT": "1.0.0"}, passages=6)
    assert "configuration.passages is 4 and goes before 'passages'" in warnings(hidden)
    assert "answer_prompt" not in warnings(hidden)
