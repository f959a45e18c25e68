"""Common questions are asked at the start, through the service itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llm_service.auth import Principal
from llm_service.cache.warming import Warming, load
from llm_service.environ import SettingsError
from llm_service.errors import ApiError

LINES = """{"question": "How?"}

{"messages": [{"role": "user", "content": "Why?"}], "feature": "desk", "stream": true}
"""


async def test_each_question_is_asked_once_and_failures_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "warm.jsonl").write_text(LINES)
    seen: list[tuple[Any, str, Mapping[str, str]]] = []

    async def ask(body: bytes, who: Principal, headers: Mapping[str, str]) -> tuple[int, bytes]:
        seen.append((json.loads(body), who.name, headers))
        if len(seen) == 1:
            raise RuntimeError("not yet")
        if len(seen) == 2:
            raise ApiError(429, "Too many at once: wait 2 seconds.")
        return 200, b"{}"

    warming = Warming(load(str(tmp_path / "warm.jsonl")), ask, pause=0)
    await warming.run()
    assert [body["messages"][0]["content"] for body, _, _ in seen] == ["How?", "Why?"]
    assert [body["stream"] for body, _, _ in seen] == [False, False]
    assert seen[1][1:] == ("cache-warming", {"x-llmops-feature": "desk"})
    assert warming.state() == {"questions": 2, "asked": 2, "failed": 2}
    assert [line.partition(": ")[2] for line in caplog.messages[:2]] == [
        "RuntimeError",
        "Too many at once: wait 2 seconds.",
    ]


@pytest.mark.parametrize("line", ["How?", "[]", "{}", '{"messages": "How?"}'])
def test_a_file_that_holds_anything_else_is_refused_with_its_line(
    tmp_path: Path, line: str
) -> None:
    path = tmp_path / "warm.jsonl"
    path.write_text('{"question": "How?"}\n' + line)
    with pytest.raises(SettingsError, match="line 2 is no"):
        load(str(path))
    with pytest.raises(SettingsError, match="cannot be read"):
        load(str(tmp_path / "missing"))
