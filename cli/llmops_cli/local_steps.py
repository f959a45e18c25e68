"""The runbooks of a rehearsal, on a local cloud of its own."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from json import loads as parse
from pathlib import Path
from typing import Any

from llmops_cli import options
from llmops_cli.commands import deploy as deploying
from llmops_cli.commands import local
from llmops_cli.render import Screen
from llmops_runbooks import state
from llmops_runbooks.errors import CloudError, LlmopsError, RolloutFailed
from llmops_runbooks.narration import Event, Mark, Tell
from llmops_runbooks.outcome import Result
from llmops_runbooks.ports import Clock
from llmops_runbooks.rehearse import Rollout
from llmops_runbooks.rehearse_ending import rollout_of
from llmops_runbooks.release import Job, release
from llmops_runbooks.settings import Environment
from llmops_runbooks.traffic import SAMPLE, Load, Record, Sender
from llmops_runbooks.watch import TASKS

FIRST_ANSWERS = 20
FIRST_ANSWERS_SECONDS = 20.0
MACHINE_SECONDS = 60.0
VIRTUAL_MINUTES = 30
"""What a rollout may take of the machine's time for its tasks and of the cloud's for its bakes,
beside the minutes that the judge may take."""


class LocalSteps:
    """The steps of a rehearsal on a local cloud under `.llmops/rehearsal`."""

    def __init__(self, settings: Environment, project: Path, speed: float, screen: Screen) -> None:
        self._settings = settings
        self._project = project
        self._releases = project
        """Where the releases are; not always where the infrastructure is."""
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
            self._releases,
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
        self._screen.line(f"\nrelease {version}")
        return rollout_of(self._release(self._job(version, self._must_start)))

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

    def _release(self, job: Job) -> Result:
        found = release(job)
        if found.evidence:
            self._evidence.append(Path(found.evidence))
        return found

    def _job(self, version: str, tell: Tell) -> Job:
        from llmops_runbooks.aws.connect import connect

        minutes = self._settings.policy.maximum_minutes + VIRTUAL_MINUTES
        cloud = connect(self._settings)
        clock = Deadline(cloud.clock, MACHINE_SECONDS + minutes * 60 / self._speed)
        return Job(
            version=version,
            cloud=replace(cloud, clock=clock),
            settings=self._settings,
            project=self._releases,
            folder=options.evidence_folder(),
            tell=tell,
        )

    def _must_start(self, event: Event) -> None:
        """A task that does not start is no canary to judge: the rehearsal ends there."""
        self._screen.tell(event)
        if event.step == TASKS:
            raise RolloutFailed(f"Tasks do not start: {event.text}.", hint=self._log())

    def _log(self) -> str:
        return f"The log of the local cloud is {self._root / 'daemon.log'}."

    def _tell(self, step: str, text: str) -> None:
        self._screen.tell(Event(step, text, Mark.DONE))


class Deadline:
    """A clock on which nobody waits for ever."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._last = time.monotonic() + seconds
        self.now, self.wall = clock.now, clock.wall

    def wait(self, seconds: float) -> None:
        """Waits; raises LlmopsError once the time is over."""
        if time.monotonic() > self._last:
            within = f"{self._seconds:.0f} s of this machine's time"
            raise LlmopsError(f"What was waited for has not come within {within}.")
        self._clock.wait(seconds)


def own_ports() -> dict[str, str]:
    """The rehearsal's own ports, as variables, so that it disturbs nothing that runs already."""
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
