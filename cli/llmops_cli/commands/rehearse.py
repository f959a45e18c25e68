"""`llmops rehearse`: a local cloud of its own, the runbooks in order, and a table at the end."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from json import loads as parse
from pathlib import Path
from typing import Annotated, Any

import typer

from llmops_cli import options
from llmops_cli.commands import deploy as deploying
from llmops_cli.commands import local
from llmops_cli.render import Screen
from llmops_runbooks import settings as settings_of
from llmops_runbooks import state
from llmops_runbooks.errors import CloudError, RolloutFailed
from llmops_runbooks.narration import Event, Mark
from llmops_runbooks.rehearse import Report, Rollout, Script
from llmops_runbooks.rehearse import rehearse as run
from llmops_runbooks.traffic import SAMPLE, Load, Record, Sender
from llmops_runbooks.watch import TASKS

ENVIRONMENT = "local"
FIRST_ANSWERS = 20
FIRST_ANSWERS_SECONDS = 20.0

Rate = Annotated[float, typer.Option("--rate", min=20, max=500, help="Questions a second.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed asks the same questions.")]


def rehearse(
    rate: Rate = 120, speed: local.Speed = 60, seed: Seed = 1, json: options.Json = False
) -> None:
    """Rehearse a bad release and a good one, end to end, on this machine.

    A local cloud of its own on free ports, the real templates, questions the whole time. Exit
    code 0: the bad release was rolled back by the gate, the good one promoted, nothing was lost.
    """
    project = options.project()
    os.environ.update(_overrides())
    with Screen(in_json=json) as screen:
        steps = LocalSteps(settings_of.load(ENVIRONMENT), project, speed, screen)
        report = run(Script(rate=rate, seed=seed), steps, time.monotonic)
    screen.finish(report.json(), lines(report))
    raise typer.Exit(0 if report.passed else 1)


class LocalSteps:
    """The steps of a rehearsal on a local cloud under `.llmops/rehearsal`."""

    def __init__(
        self, settings: settings_of.Environment, project: Path, speed: float, screen: Screen
    ) -> None:
        self._settings = settings
        self._project = project
        self._speed = speed
        self._screen = screen
        self._root = state.folder() / "rehearsal"
        self._traffic = options.evidence_folder() / "rehearsal-traffic.jsonl"
        self._sender: Sender | None = None
        self._evidence: list[Path] = []
        self._assembly: Future[Path] | None = None

    def up(self) -> None:
        """Starts the cloud while the CDK synthesizes: neither needs the other."""
        local.end(self._root)
        self._traffic.parent.mkdir(parents=True, exist_ok=True)
        self._traffic.unlink(missing_ok=True)
        pool = ThreadPoolExecutor(1)
        self._assembly = pool.submit(
            deploying.synthesize, self._settings, self._project, self._screen
        )
        pool.shutdown(wait=False)
        running = local.start(self._settings, self._root, speed=self._speed)
        self._tell("up", f"{running['endpoint']} · a minute takes {60 / self._speed:g} s")

    def deploy(self) -> None:
        assert self._assembly is not None
        done = deploying.bring(
            self._settings,
            self._project,
            self._assembly.result(),
            self._screen,
            confirm=lambda _: True,
            tell=self._must_start,
        )
        self._tell("deployed", f"{done.release} at {done.service_url}")

    def start_traffic(self, rate: float, seed: int) -> None:
        from llmops_runbooks.aws.tokens import bearer_token, service_url

        load = Load(service_url(self._settings), bearer_token(self._settings), rate, seed)
        self._sender = Sender(load, self._project / SAMPLE, self._traffic)
        deadline = time.monotonic() + FIRST_ANSWERS_SECONDS
        while len(self._sender.records()) < FIRST_ANSWERS:
            if not self._sender.running() or time.monotonic() > deadline:
                raise CloudError(f"The service at {load.url} answers no questions.")
            time.sleep(0.05)
        self._tell("traffic", f"{rate:g} questions a second, every answer checked")

    def release(self, version: str) -> Rollout:
        from llmops_runbooks.aws.connect import connect
        from llmops_runbooks.release import Job
        from llmops_runbooks.release import release as go

        self._screen.line(f"\nrelease {version}")
        job = Job(
            version=version,
            cloud=connect(self._settings),
            settings=self._settings,
            project=self._project,
            folder=options.evidence_folder(),
            tell=self._must_start,
        )
        found = go(job)
        if found.evidence:
            self._evidence.append(Path(found.evidence))
        return Rollout(
            release=found.release,
            outcome=str(found.outcome),
            verdict=found.verdict["decision"] if found.verdict else None,
            decided_by=found.decided_by,
            canary_requests_at_decision=found.canary_requests_at_decision,
            seconds_from_start_to_decision=found.seconds_from_start_to_decision,
            decided_at=found.decided_wall,
            reason=(found.verdict or {}).get("reason") or found.status_reason,
            evidence=found.evidence,
        )

    def stop_traffic(self) -> list[Record]:
        assert self._sender is not None
        return self._sender.stop()

    def evidence(self, summary: dict[str, Any]) -> str:
        from llmops_runbooks.evidence.page import render

        title = f"Rehearsal of {self._settings.service_name}"
        told = [parse(path.with_suffix(".json").read_bytes()) for path in self._evidence]
        page = options.evidence_folder() / "rehearsal.html"
        page.write_text(render(told, title=title, summary=summary), encoding="utf-8")
        return str(page)

    def down(self) -> None:
        if self._sender is not None:
            self._sender.stop()
        local.end(self._root)

    def _must_start(self, event: Event) -> None:
        """A task that does not start is no canary to judge: the rehearsal ends there."""
        self._screen.tell(event)
        if event.step == TASKS:
            raise RolloutFailed(f"Tasks do not start: {event.text}.", hint=self._log())

    def _log(self) -> str:
        return f"The log of the local cloud is {self._root / 'daemon.log'}."

    def _tell(self, step: str, text: str) -> None:
        self._screen.tell(Event(step, text, Mark.DONE))


def _overrides() -> dict[str, str]:
    """The rehearsal's own ports, so that it disturbs nothing that runs already."""
    api, listener, test_listener = _free_ports(3)
    return {
        "LLMOPS_ENDPOINT_URL": f"http://127.0.0.1:{api}",
        "LLMOPS_SERVICE__LISTENER_PORT": str(listener),
        "LLMOPS_SERVICE__TEST_LISTENER_PORT": str(test_listener),
    }


def _free_ports(count: int) -> Iterator[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        yield from [int(each.getsockname()[1]) for each in sockets]


def lines(report: Report) -> list[str]:
    """The table at the end."""
    rows = [
        ("requests sent", f"{report.requests.sent:,}"),
        ("requests lost", f"{report.requests_lost:,}"),
        ("sent again", f"{report.requests.retried:,}"),
        ("bad answers", f"{report.bad_answers:,} (HTTP 500 or wrong, of the bad release)"),
        ("first to last bad answer", _seconds(report.seconds_from_first_to_last_bad_answer)),
    ]
    told = ["", *(f"{name:<26}{value}" for name, value in rows), ""]
    told += _table(report)
    told += ["", f"evidence: {report.evidence}"]
    took = timedelta(seconds=round(report.wall_seconds))
    told += [f"failed: {failure}" for failure in report.failures]
    told.append(f"{'passed' if report.passed else 'FAILED'} in {took.seconds} s")
    return told


def _table(report: Report) -> list[str]:
    heads = ("release", "outcome", "verdict", "decided by", "canary requests", "decided", "silent")
    rows = [heads]
    for rollout, silence in zip(report.rollouts, report.seconds_to_no_canary_traffic, strict=True):
        requests = rollout.canary_requests_at_decision
        decided = rollout.seconds_from_start_to_decision
        rows.append(
            (
                rollout.release,
                rollout.outcome,
                rollout.verdict or "-",
                rollout.decided_by or "-",
                "-" if requests is None else f"{requests:,}",
                "-" if decided is None else f"after {decided:.1f} s",
                "-" if silence is None else f"after {silence:.1f} s",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    told = ["   ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return [*told, "", *(f"{rollout.release}: {rollout.reason}" for rollout in report.rollouts)]


def _seconds(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f} s"
