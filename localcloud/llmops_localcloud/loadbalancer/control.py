"""The daemon's end: start the process, hand it the desired state, hear counts and health.

If the process dies it is started again with the same state; targets keep the health they had, so
that traffic goes on at once.
"""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from llmops_localcloud.ports import TargetHealth

from .desired import DESIRED, Address, Desired

log = logging.getLogger(__name__)

ACK_SECONDS = 30.0
RESTART_PAUSE = 0.2
RETRY_PAUSE = 1.0


class LoadBalancerError(Exception):
    """The load balancer did not take a configuration over; `listener` names the culprit, if one."""

    def __init__(self, message: str, listener: str = "") -> None:
        super().__init__(message)
        self.listener = listener


@dataclass(frozen=True)
class HealthView:
    """What the load balancer says of a target, with AWS's reason code and description."""

    state: TargetHealth
    reason: str = ""
    description: str = ""


Health = Mapping[str, Mapping[Address, HealthView]]
Slices = list[dict[str, Any]]
Report = Callable[[Slices, Health, float], None]
"""Called from the reading thread with slices of counts (see `counts.Counts.take`), the health of
all targets, and the real time of the report."""


class LoadBalancerProcess:
    """A running load balancer. Safe to use from any thread; `configure` calls are serialised."""

    def __init__(self, *, speed: float = 1.0, seed: int | None = None, report: Report) -> None:
        self._speed = speed
        self._seed = seed
        self._report = report
        self._desired = Desired(speed=speed)
        self._configuring = threading.Lock()
        self._lock = threading.Condition(threading.RLock())
        self._answers: dict[int, dict[str, Any]] = {}
        self._health: Health = {}
        self._last_id = 0
        self._generation = 0
        self._stopping = False
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._spawn()

    @property
    def pid(self) -> int:
        """The process's id (it changes when it had to be started again)."""
        with self._lock:
            assert self._process is not None
            return self._process.pid

    @property
    def health(self) -> Health:
        """The last word on every target, by target group ARN; at most 0.2 s old."""
        with self._lock:
            return self._health

    def configure(self, desired: Desired) -> None:
        """Return when the process routes by `desired`.

        Raises LoadBalancerError, with nothing changed, if a listener's port cannot be opened.
        """
        desired = replace(desired, speed=self._speed)
        with self._configuring:
            before, self._desired = self._desired, desired
            answer = self._ask(desired)
            if "error" in answer:
                self._desired = before
                raise LoadBalancerError(answer["error"], answer["listener"])

    def stop(self) -> None:
        """End the process and wait for it. Does nothing the second time."""
        with self._lock:
            self._stopping = True
            process, channel = self._process, self._channel
        if channel:
            _shut(channel)
        if process:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "llmops_localcloud.loadbalancer"]
        command += ["--control-fd", str(theirs.fileno()), "--speed", str(self._speed)]
        if self._seed is not None:
            command += ["--seed", str(self._seed)]
        with theirs:
            process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        with self._lock:
            self._process, self._channel = process, ours
            self._generation += 1
        name = f"loadbalancer-{process.pid}"
        threading.Thread(target=self._listen, args=(process, ours), name=name, daemon=True).start()

    def _ask(self, desired: Desired) -> dict[str, Any]:
        """Send the state and wait; a process that dies meanwhile is asked again once it is back."""
        with self._lock:
            self._last_id += 1
            number = self._last_id
            generation = self._generation
            self._send(number, desired)
            while number not in self._answers:
                if not self._lock.wait(ACK_SECONDS) or self._stopping:
                    raise LoadBalancerError("the load balancer process does not answer")
                if self._generation != generation:
                    generation = self._generation
                    self._send(number, desired)
            return self._answers.pop(number)

    def _send(self, number: int, desired: Desired) -> None:
        message = {"id": number, "desired": DESIRED.dump_python(desired, mode="json")}
        assert self._channel is not None
        try:
            self._channel.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            log.warning("load balancer process is gone (%s); it is started again", error)

    def _listen(self, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        """Read until the channel ends; then start a new process, unless stopping."""
        with channel, channel.makefile("rb") as lines:
            try:
                for line in lines:
                    self._hear(json.loads(line))
            except (OSError, ValueError) as error:
                log.warning("control channel of the load balancer broke: %s", error)
        process.kill()
        process.wait()
        with self._lock:
            if self._stopping:
                self._lock.notify_all()
                return
        log.warning("load balancer process %d ended (%s)", process.pid, process.returncode)
        self._restart()

    def _restart(self) -> None:
        threading.Event().wait(RESTART_PAUSE)
        with self._lock:
            if self._stopping:
                return
            self._spawn()
            self._resend()
            self._lock.notify_all()

    def _resend(self) -> None:
        """Send the state again, unasked (number 0): after a restart."""
        with self._lock:
            if not self._stopping:
                self._send(0, _seeded(self._desired, self._health))

    def _hear(self, message: dict[str, Any]) -> None:
        with self._lock:
            self._health = _health(message["health"])
            if message.get("ack"):
                self._answers[message["ack"]] = message
                self._lock.notify_all()
            elif "error" in message:
                log.error("load balancer after its restart: %s; trying again", message["error"])
                threading.Timer(RETRY_PAUSE, self._resend).start()
        if "slices" in message:
            try:
                self._report(message["slices"], self._health, message["at"])
            except Exception:
                log.exception("a report of the load balancer could not be taken")


def _health(raw: Mapping[str, list[list[Any]]]) -> Health:
    return {
        arn: {
            (host, port): HealthView(TargetHealth(state), reason, description)
            for host, port, state, reason, description in targets
        }
        for arn, targets in raw.items()
    }


def _seeded(desired: Desired, health: Health) -> Desired:
    """The state with what was known of each target's health."""
    groups = tuple(
        replace(
            group,
            known=tuple((a, view.state.value) for a, view in health.get(group.arn, {}).items()),
        )
        for group in desired.groups
    )
    return replace(desired, groups=groups)


def _shut(channel: socket.socket) -> None:
    try:
        channel.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
