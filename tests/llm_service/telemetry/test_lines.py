"""The line of a request, and how it gets to standard output."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llm_service.calls import Usage
from llm_service.telemetry import Attempt, Dimensions, Exchange, Telemetry, Thumb, emf, pseudonym
from llm_service.telemetry.lines import Lines

DIMENSIONS = Dimensions("llmops", "handbook", "test", "1.0.0-ab")
SET = ["service", "environment", "release"]
EXPERIMENT = ["service", "environment", "experiment", "variant"]

Make = Callable[..., Exchange]
CHILD = """
import asyncio, signal, sys, time
from llm_service.telemetry import Dimensions, Exchange, from_environ, build

async def main():
    telemetry = build(Dimensions("n", "s", "e", "r"), from_environ({}))
    telemetry.start()
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    number = 0
    while not ending.is_set():
        for _ in range(20):
            number += 1
            telemetry.record(Exchange(request_id=str(number), path="/", status=200, began=0.0,
                                      ended=1.0, at=time.time()))
        await asyncio.sleep(0)
        while telemetry.state()["lines"]["queued"] > 10_000:  # else it would drop, as it says
            await asyncio.sleep(0.001)
    await telemetry.stop()
    print(number, file=sys.stderr)

asyncio.run(main())
"""


def lines_of(exchange: Exchange) -> list[dict[str, Any]]:
    return [json.loads(line) for line in emf.of_exchange(DIMENSIONS, exchange).splitlines()]


def metrics(line: dict[str, Any]) -> dict[tuple[tuple[str, ...], ...], set[str]]:
    """Dimension sets -> the metrics that have them."""
    return {
        tuple(map(tuple, each["Dimensions"])): {metric["Name"] for metric in each["Metrics"]}
        for each in line["_aws"]["CloudWatchMetrics"]
    }


def test_every_metric_and_dimension_has_its_value_on_the_line(exchange: Make) -> None:
    made = exchange(
        experiment="tone",
        variant="warm",
        subject="ab",
        cached="miss",
        injection=True,
        redactions={"email": 2},
        budget_events=1,
        fingerprint="fp",
    )
    for line in lines_of(made):
        for sets, names in metrics(line).items():
            assert all(isinstance(line[name], int | float) for name in names)
            assert all(isinstance(line[name], str) for each in sets for name in each)
        assert line["_aws"]["Timestamp"] == 1_800_000_000_000


def test_requests_are_counted_by_feature_fingerprint_and_provider(exchange: Make) -> None:
    line, _ = lines_of(exchange(fingerprint="fp"))
    sets = ((*SET, "feature"), (*SET, "fingerprint"), (*SET, "provider"))
    assert metrics(line)[sets] == {"Requests"}
    assert (line["feature"], line["fingerprint"], line["provider"]) == ("default", "fp", "openai")


def test_a_provider_that_failed_before_another_answered_has_a_line_of_its_own(
    exchange: Make,
) -> None:
    line, other = lines_of(exchange())
    by_provider = {((*SET, "provider"),): {"ProviderErrors", "ProviderTimeouts"}}
    assert (line["provider"], line["ProviderErrors"], line["ProviderTimeouts"]) == ("openai", 0, 0)
    assert (other["provider"], other["ProviderErrors"], other["ProviderTimeouts"]) == (
        "anthropic",
        1,
        1,
    )
    assert metrics(other) == by_provider
    assert "path" not in other and "Requests" not in other


def test_a_request_that_no_provider_answered_counts_for_the_last(exchange: Make) -> None:
    failed = Attempt(provider="openai", model="m", began=1, ended=2, error="overloaded")
    (line,) = lines_of(exchange(status=502, answered=False, provider="", attempts=(failed, failed)))
    assert (line["provider"], line["ProviderErrors"], line["Errors"]) == ("openai", 2, 1)


def test_what_an_experiment_compares_has_a_set_by_variant(exchange: Make) -> None:
    line, _ = lines_of(exchange(experiment="tone", variant="warm", subject="ab"))
    assert metrics(line)[(tuple(EXPERIMENT),)] == {"Exposures", "Errors", "Latency", "Cost"}
    assert (line["Exposures"], line["experiment"], line["variant"]) == (1, "tone", "warm")
    assert line["subject"] == "ab"
    plain, _ = lines_of(exchange())
    assert "Exposures" not in plain and (tuple(EXPERIMENT),) not in metrics(plain)


def test_a_score_and_a_thumb_of_an_experiment_have_its_set_too() -> None:
    score = emf.of_score(
        DIMENSIONS,
        {"Quality": 0.5},
        {"response_id": "r"},
        1.0,
        experiment="e",
        variant="v",
        subject="s",
    )
    thumb = Thumb(response_id="r", release="1", up=True, experiment="e", variant="v", subject="s")
    for text, name in ((score, "Quality"), (emf.of_feedback(DIMENSIONS, thumb, 1.0), "Feedback")):
        line = json.loads(text)
        assert metrics(line) == {(tuple(SET),): {name}, (tuple(EXPERIMENT),): {name}}
        assert (line["experiment"], line["variant"], line["subject"]) == ("e", "v", "s")


def test_a_metric_without_a_value_is_absent(exchange: Make) -> None:
    line, *_ = lines_of(exchange())
    assert not {"CacheHits", "Redactions", "Injections", "BudgetEvents"} & set(line)
    asked, *_ = lines_of(exchange(cached="miss", injection=False, redactions={"iban": 1}))
    assert (asked["CacheHits"], asked["Injections"], asked["Redactions"]) == (0, 0, 1)
    hit, *_ = lines_of(exchange(cached="semantic"))
    assert hit["CacheHits"] == 1


def test_no_text_is_on_any_line(exchange: Make) -> None:
    text = emf.of_exchange(DIMENSIONS, exchange())
    assert b"Nobody" not in text and b"EMAIL" not in text


async def test_lines_of_a_batch_go_out_in_one_write_and_in_order(
    exchange: Make, monkeypatch: Any
) -> None:
    monkeypatch.setattr("llm_service.telemetry.lines.LINGER", 60.0)
    written: list[bytes] = []
    telemetry = Telemetry(DIMENSIONS, lines=Lines(written.append), sinks={})
    telemetry.start()
    for number in range(100):
        telemetry.record(exchange(request_id=str(number), attempts=()))
    await telemetry.stop()
    assert len(written) == 1
    found = [json.loads(line)["request_id"] for line in written[0].splitlines()]
    assert found == list(map(str, range(100)))


async def test_an_output_that_nobody_reads_delays_no_request(
    exchange: Make, monkeypatch: Any
) -> None:
    monkeypatch.setattr("llm_service.telemetry.lines.STOP", 0.05)
    stuck = threading.Event()

    def write(_: bytes) -> None:
        stuck.wait(30)

    lines = Lines(write, capacity=10)
    telemetry = Telemetry(DIMENSIONS, lines=lines, sinks={})
    telemetry.start()
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(200):
        telemetry.record(exchange())
    assert loop.time() - began < 1
    await telemetry.stop()
    assert lines.state()["dropped"] >= 180
    stuck.set()


def test_in_a_lambda_function_a_line_is_out_when_record_returns(exchange: Make) -> None:
    written: list[bytes] = []
    lines = Lines(written.append, at_once=True)
    telemetry = Telemetry(DIMENSIONS, lines=lines, sinks={})
    telemetry.record(exchange(attempts=()))
    assert len(written) == 1 and written[0].endswith(b"\n")


def test_a_task_stopped_under_load_loses_no_line(tmp_path: Path, until: Any) -> None:
    out = tmp_path / "stdout"
    with out.open("wb") as stdout:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdout=stdout, stderr=subprocess.PIPE
        )
    until(lambda: out.stat().st_size > 0, "nothing was written")
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=20)
    found = [json.loads(line)["request_id"] for line in out.read_text().splitlines()]
    assert child.returncode == 0
    assert found == [str(number + 1) for number in range(int(errors))]


class Broken:
    """A sink that can do nothing."""

    def start(self) -> None:
        pass

    def offer(self, exchange: Exchange) -> None:
        raise RuntimeError

    def feedback(self, thumb: Thumb) -> None:
        raise RuntimeError

    async def stop(self) -> None:
        raise RuntimeError

    def state(self) -> dict[str, Any]:
        return {"queued": 0, "failed": 0, "dropped": 0}


async def test_a_sink_that_fails_fails_nobody_else(exchange: Make) -> None:
    written: list[bytes] = []
    telemetry = Telemetry(DIMENSIONS, lines=Lines(written.append), sinks={"broken": Broken()})
    telemetry.start()
    telemetry.record(exchange())
    telemetry.feedback(Thumb(response_id="r", release="1", up=True))
    await telemetry.stop()
    assert telemetry.state()["failed"] == 2
    assert b"".join(written).count(b"\n") == 3


def test_a_pseudonym_is_the_same_for_the_same_salt_only() -> None:
    assert pseudonym("ann", "s") == pseudonym("ann", "s") != pseudonym("ann", "t")
    assert len(pseudonym("ann", "")) == 16
    assert pseudonym("", "s") == ""


def test_the_tokens_are_those_read_and_written(exchange: Make) -> None:
    line, *_ = lines_of(exchange(usage=Usage(7, 3)))
    assert (line["PromptTokens"], line["CompletionTokens"], line["Tokens"]) == (7, 3, 10)
