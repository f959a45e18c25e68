"""What is shown: lines that need no colour, a live table on a terminal, missing data as such."""

from __future__ import annotations

import io
from typing import Any

import pytest

from llmops_cli.render import Screen, rows_of, text_of
from llmops_runbooks.memory.gate import verdict
from llmops_runbooks.narration import Event, Mark


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_an_event_is_one_line_with_a_sign_a_step_and_a_text() -> None:
    assert text_of(Event("preflight", "2 alarms quiet")) == "✓ preflight    2 alarms quiet"
    assert text_of(Event("bake", "watched", Mark.NOW)) == "● bake         watched"


def test_a_metric_without_data_is_said_to_have_none_and_never_zero() -> None:
    found: dict[str, Any] = verdict("wait")
    found["metrics"][0]["canary"] = {"n": 0, "value": None}
    found["metrics"][0]["against"] = {"value": None, "bound": 100}
    cells = "errors 0.4 % no data - ~600 requests, 1.2 min"
    assert rows_of(found)[1].split() == cells.split()


def test_quality_is_judged_as_a_share_of_poor_answers() -> None:
    found: dict[str, Any] = verdict("promote")
    quality = {**found["metrics"][0], "metric": "quality", "canary": {"n": 9, "value": 0.25}}
    found["metrics"].append(quality)
    rows = rows_of(found)
    assert "0.4 %" in rows[1] and "25.0 %" in rows[2]
    assert rows[2].split()[:2] == ["poor", "answers"]


def test_without_a_terminal_a_verdict_that_waits_is_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Screen().tell(Event("canary 10 %", "", Mark.NOW, verdict=verdict("wait")))
    (line,) = capsys.readouterr().out.splitlines()
    assert "errors 0.4 % (baseline 0.4 %), 0.2 of 100 against" in line


def test_no_verdict_has_no_table() -> None:
    assert rows_of(None) == []


def test_on_a_terminal_the_table_is_live_and_the_lines_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    with Screen() as screen:
        screen.tell(Event("canary 10 %", "100 requests", Mark.NOW, verdict=verdict("wait")))
        screen.tell(Event("promoted", "100 % [of] the traffic"))
    shown = terminal.getvalue()
    assert "evidence against" in shown
    assert "promoted     100 % [of] the traffic" in shown


def test_with_json_nothing_but_the_object_goes_to_stdout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen = Screen(in_json=True)
    screen.tell(Event("preflight", "quiet"))
    screen.finish({"outcome": "promoted"}, ["never shown"])
    seen = capsys.readouterr()
    assert seen.out == '{"outcome": "promoted"}\n'
    assert "never shown" not in seen.err and "quiet" in seen.err
