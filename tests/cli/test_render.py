"""What is shown: lines that need no colour, a live table on a terminal, missing data as such."""

from __future__ import annotations

import io
from typing import Any

import pytest

from llmops_cli.render import Screen, plain, rows_of, rows_of_verdict, text_of
from llmops_runbooks.memory.gate import verdict
from llmops_runbooks.narration import Event, Mark, stage_of
from llmops_runbooks.ports import Deployment, RevisionView


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def of(name: str, statistic: str, unit: str, *figures: float, mode: str = "rollback") -> Any:
    """A metric of a verdict: baseline, canary, evidence against."""
    baseline, canary, against = figures
    return {
        **verdict("wait")["metrics"][0],
        "metric": name,
        "mode": mode,
        "statistic": statistic,
        "unit": unit,
        "baseline": {"n": 900, "value": baseline, "low": None, "high": None},
        "canary": {"n": 100, "value": canary, "low": None, "high": None},
        "against": {"value": against, "bound": 100.0},
        "needs_requests": None,
    }


def running() -> dict[str, Any]:
    """A verdict while a canary runs."""
    return {
        **verdict("wait", canary=1204),
        "metrics": [
            of("errors", "share", "", 0.004, 0.003, 0.2),
            of("latency", "p95", "ms", 812, 840, 1.1),
            of("cost", "mean", "µ$", 1118, 1205, 0.4),
            of("quality", "mean", "", 0.86, 0.87, 0.1)
            | {"needs_requests": 600, "needs_minutes": 7 / 6},
            of("tokens", "mean", "", 640, 660, 0.3, mode="observe"),
        ],
    }


def live(found: dict[str, Any] | None, elapsed: float | None = None) -> Event:
    deployment = Deployment("arn", "IN_PROGRESS", RevisionView("green", weight=10))
    return stage_of(deployment, found, elapsed)


def test_an_event_is_one_line_with_a_sign_a_step_and_a_text() -> None:
    assert text_of(Event("preflight", "2 alarms quiet")) == "✓ preflight    2 alarms quiet"
    assert text_of(Event("bake", "watched", Mark.NOW)) == "● bake         watched"


def test_a_running_canary_shows_its_share_its_requests_and_the_time() -> None:
    assert text_of(live(running(), 0.7)) == "● canary 10 %  1,204 requests · 0:42"
    held = {**running(), "decision": "inconclusive", "reason": "Nobody knows."}
    assert live(held, 61.5).text == "1,204 requests · 1:01:30 · inconclusive: Nobody knows."


def test_the_table_of_a_running_canary() -> None:
    assert rows_of(running()) == [
        "    metric       baseline    canary  evidence against  needs",
        "    errors          0.4 %     0.3 %        0.2 of 100  -",
        "    latency p95    812 ms    840 ms        1.1 of 100  -",
        "    cost         $0.00112  $0.00120        0.4 of 100  -",
        "    quality          0.86      0.87        0.1 of 100  ~600 requests, 1 min 10 s",
    ]


def test_a_metric_without_a_say_speaks_once_its_evidence_is_past_the_bound() -> None:
    found = running()
    assert not [row for row in rows_of(found) if "tokens" in row]
    found["metrics"][-1]["against"]["value"] = 130.0
    assert " ".join(rows_of(found)[-1].split()) == "tokens 640 660 130 of 100 only shown"


def test_the_table_at_the_end_has_every_metric_and_the_evidence_both_ways() -> None:
    rows = rows_of_verdict(running())
    assert " ".join(rows[0].split()) == "metric mode baseline canary worse of 100 harmless of 20"
    assert [row.split()[0] for row in rows[1:]] == [
        *("errors", "latency", "cost", "quality", "tokens", "all"),
    ]
    assert max(len(row) for row in rows) <= 80


def test_a_metric_without_data_is_said_to_have_none_and_never_zero() -> None:
    found: dict[str, Any] = verdict("wait")
    found["metrics"][0]["canary"] = {"n": 0, "value": None, "low": None, "high": None}
    cells = "errors 0.4 % no data 0.2 of 100 ~600 requests, 1 min 12 s"
    assert rows_of(found)[1].split() == cells.split()


def test_without_a_terminal_a_verdict_that_waits_is_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Screen().tell(live(verdict("wait"), 2.0))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("● canary 10 %  100 requests · 2:00 · errors 0.4 % (baseline 0.4 %)")
    assert line.endswith("0.2 of 100")


def test_no_verdict_has_no_table() -> None:
    assert rows_of(None) == []


def test_on_a_terminal_the_table_is_live_and_the_lines_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    with Screen() as screen:
        screen.tell(live(verdict("wait"), 1.0))
        screen.tell(Event("promoted", "100 % [of] the traffic"))
    shown = terminal.getvalue()
    assert "evidence against" in shown
    assert verdict("wait")["reason"] in shown
    assert "promoted     100 % [of] the traffic" in shown


def test_a_text_cannot_steer_the_terminal() -> None:
    assert plain("red \x1b[31m\r\nalert\x07 ü ✓") == "red  [31m  alert  ü ✓"


def test_with_json_nothing_but_the_object_goes_to_stdout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen = Screen(in_json=True)
    screen.tell(Event("preflight", "quiet"))
    screen.finish({"outcome": "promoted"}, ["never shown"])
    seen = capsys.readouterr()
    assert seen.out == '{"outcome": "promoted"}\n'
    assert "never shown" not in seen.err and "quiet" in seen.err
