"""Someone at a terminal: runs the CLI in processes of its own, as an operator does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from llmops_runbooks import settings
from llmops_runbooks.aws.clients import Clients
from llmops_runbooks.aws.tokens import bearer_token
from llmops_runbooks.traffic import SAMPLE, Load, Record, Sender, Summary, summarise

PROJECT = Path(__file__).parents[2]
DEADLINE_SECONDS = 120.0
COMMAND_SECONDS = 300.0
RATE = 100.0


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def wait_until(condition: Callable[[], Any], what: str, seconds: float = DEADLINE_SECONDS) -> Any:
    """The first true answer of a condition, or a failure that says what was waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds:g} s for {what}")


@dataclass(frozen=True)
class Ran:
    """How a command ended, and the JSON object it printed last (None if it printed none)."""

    code: int
    answer: Any
    stderr: str


@dataclass
class Operator:
    """Someone at a terminal of a machine, with the variables of one environment exported."""

    state: Path
    variables: dict[str, str] = field(default_factory=dict)

    @classmethod
    def with_free_ports(cls, state: Path) -> Operator:
        api, listener, test_listener = free_ports(3)
        return cls(
            state,
            {
                "LLMOPS_STATE": str(state),
                "LLMOPS_ENDPOINT_URL": f"http://127.0.0.1:{api}",
                "LLMOPS_SERVICE__LISTENER_PORT": str(listener),
                "LLMOPS_SERVICE__TEST_LISTENER_PORT": str(test_listener),
            },
        )

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "llmops_cli", *words, "--json"],
            cwd=PROJECT,
            env={**os.environ, **self.variables, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, **variables: str) -> Ran:
        process = self.start(*words, **variables)
        try:
            out, err = process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"llmops {' '.join(words)} did not end:\n{out}\n{err}") from None
        lines = out.strip().splitlines()
        return Ran(process.returncode, json.loads(lines[-1]) if lines else None, err)

    def settings(self) -> settings.Environment:
        return settings.load("local", file=PROJECT / "llmops.toml", variables=self.variables)

    def clients(self) -> Clients:
        return Clients(self.settings())

    def status(self) -> dict[str, Any]:
        found = self.run("status").answer
        assert isinstance(found, dict)
        return found

    def serving(self) -> str:
        """The version that serves while no rollout is under way."""
        (arm,) = self.status()["serving"]
        return str(arm["release"]).rsplit("-", 1)[0]

    def other(self) -> str:
        """A good version that does not serve now."""
        return "1.2.0" if self.serving() == "1.0.0" else "1.0.0"

    def wait_for_rollout(self, seen: Callable[[dict[str, Any]], Any], what: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            rollout = self.status()["rollout"]
            return rollout if rollout and seen(rollout) else None

        found: dict[str, Any] = wait_until(look, what)
        return found

    def task_pids(self) -> list[int]:
        """The processes of the service's tasks."""
        root = str(self.state)
        found = []
        for process in psutil.process_iter(["cmdline", "cwd"]):
            words = process.info["cmdline"] or []
            if "llm_service" in words and (process.info["cwd"] or "").startswith(root):
                found.append(process.pid)
        return found

    @contextmanager
    def traffic(self) -> Iterator[Callable[[], Summary]]:
        """Questions the whole time; the yielded function stops them and tells the counts."""
        where, folder = self.settings(), PROJECT / SAMPLE
        out = self.state / f"traffic-{time.monotonic_ns()}.jsonl"
        load = Load(str(self.service_url()), bearer_token(where), RATE)
        sender = Sender(load, folder, out)

        def stop() -> Summary:
            records: list[Record] = sender.stop()
            return summarise(records)

        try:
            wait_until(lambda: len(sender.records()) > 10, "the first answers", 30)
            yield stop
        finally:
            sender.stop()

    def service_url(self) -> str:
        return str(self.status()["service_url"])
