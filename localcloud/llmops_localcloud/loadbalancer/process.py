"""The process: listeners, the control channel, and the reports to the daemon.

The control channel is a socket inherited from the daemon; nobody else can reach it, and its end
is the end of the process, so a daemon that dies leaves no load balancer behind. Lines of JSON:

- in: `{"id": n, "desired": {...}}`; out: `{"ack": n, "health": ...}` once the state is active, or
  `{"ack": n, "error": "...", "listener": arn}` with nothing changed.
- out, on its own: `{"health": ...}` when a target's state changes, and `{"slices": [...], "health":
  ...}` several times a second while there is something to tell.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import time
from typing import Any

from aiohttp import web

from . import health, pool, proxy
from .counts import Counts
from .desired import DESIRED, Desired, Listener
from .targets import Group

LINE_LIMIT = 64 * 1024 * 1024
DRAIN_FLOOR = 2.0
"""Real seconds (at most the delay itself) that a drain lasts while requests are in flight."""


class PortTaken(Exception):
    """A listener cannot be opened; `arn` names it."""

    def __init__(self, arn: str, port: int, error: OSError) -> None:
        super().__init__(
            f"port {port} of 127.0.0.1 cannot be opened: {os.strerror(error.errno or 0)}"
        )
        self.arn = arn


class OpenListener:
    """A listening socket and the proxy behind it."""

    def __init__(self, shared: proxy.Shared, spec: Listener) -> None:
        self.proxy = proxy.Proxy(shared, spec)
        self._web = web.Server(
            self.proxy,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=3600.0,
            max_line_size=16384,
            max_field_size=65536,
        )
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        spec = self.proxy.listener
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._web, "127.0.0.1", spec.port, backlog=1024, reuse_address=True
            )
        except OSError as error:
            raise PortTaken(spec.arn, spec.port, error) from error

    def stop(self) -> None:
        """Free the port at once and drop idle connections; requests in flight go on."""
        if self._server:
            self._server.close()
        self._web.pre_shutdown()

    async def finish(self, grace: float) -> None:
        """Wait for requests in flight, `grace` seconds at most."""
        await self._web.shutdown(grace)


class LoadBalancer:
    """Brings the desired state about and keeps counts."""

    def __init__(self, shared: proxy.Shared, checker: health.Checker) -> None:
        self._shared = shared
        self._checker = checker
        self.groups: dict[str, Group] = shared.groups  # type: ignore[assignment]
        self.listeners: dict[str, OpenListener] = {}
        self.speed = 1.0
        self._closing: set[asyncio.Task[None]] = set()

    async def apply(self, desired: Desired) -> None:
        """Make it so, wholly or (PortTaken) not at all."""
        opened = await self._open_new(desired.listeners)
        self._checker.speed = self.speed = desired.speed
        self._apply_groups(desired)
        self.listeners.update(opened)
        wanted = {spec.arn: spec for spec in desired.listeners}
        for arn, listener in list(self.listeners.items()):
            if arn in wanted and wanted[arn].port == listener.proxy.listener.port:
                listener.proxy.apply(wanted[arn])
            elif arn not in wanted:
                self._close(self.listeners.pop(arn))
        self._checker.follow(list(self.groups.values()))

    async def _open_new(self, wanted: tuple[Listener, ...]) -> dict[str, OpenListener]:
        opened: dict[str, OpenListener] = {}
        try:
            for spec in wanted:
                old = self.listeners.get(spec.arn)
                if old is None or old.proxy.listener.port != spec.port:
                    opened[spec.arn] = OpenListener(self._shared, spec)
                    await opened[spec.arn].open()
        except PortTaken:
            for listener in opened.values():
                listener.stop()
            raise
        for arn in opened.keys() & self.listeners.keys():
            self._close(self.listeners.pop(arn))
        return opened

    def _apply_groups(self, desired: Desired) -> None:
        now = time.monotonic()
        for spec in desired.groups:
            delay = health.scaled(spec.deregistration_seconds, desired.speed, DRAIN_FLOOR)
            self.groups.setdefault(spec.arn, Group(spec)).apply(spec, now + delay)
        for arn in set(self.groups) - {spec.arn for spec in desired.groups}:
            del self.groups[arn]

    def _close(self, listener: OpenListener) -> None:
        listener.stop()
        task = asyncio.get_running_loop().create_task(listener.finish(60.0))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def shut(self) -> None:
        """Close every listener without waiting for requests."""
        for listener in self.listeners.values():
            listener.stop()
        await asyncio.gather(*(one.finish(0) for one in self.listeners.values()))

    def settle(self) -> bool:
        """Let drained targets go; True if one went."""
        now = time.monotonic()
        settled = [group.settle(now) for group in self.groups.values()]
        return any(settled)

    def health(self) -> dict[str, list[list[Any]]]:
        """By target group: address, state, reason and description of each target."""
        return {
            arn: [[*t.address, t.state.value, t.reason, t.description] for t in group.view()]
            for arn, group in self.groups.items()
        }


class Control:
    """The process's end of the control channel."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    async def serve(self, balancer: LoadBalancer) -> None:
        """Carry out commands until the daemon closes the channel."""
        while line := await self._reader.readline():
            message = json.loads(line)
            answer: dict[str, Any] = {"ack": message["id"]}
            try:
                await balancer.apply(DESIRED.validate_python(message["desired"]))
            except PortTaken as error:
                answer |= {"error": str(error), "listener": error.arn}
            self.send(answer | {"health": balancer.health()})

    async def report(self, balancer: LoadBalancer, counts: Counts) -> None:
        """Tell the daemon what happened, every 20 virtual seconds or 0.2 real ones if shorter."""
        while True:
            await asyncio.sleep(min(0.2, max(0.02, 20.0 / balancer.speed)))
            settled = balancer.settle()
            slices = counts.take()
            if settled or slices or any(g.targets for g in balancer.groups.values()):
                self.send({"slices": slices, "health": balancer.health(), "at": time.time()})


async def run(control_fd: int, speed: float, seed: int | None) -> None:
    """Serve until the control channel ends."""
    channel = socket.socket(fileno=control_fd)
    control = Control(*await asyncio.open_connection(sock=channel, limit=LINE_LIMIT))
    counts = Counts(max(0.01, 1.0 / speed))
    async with pool.new_session() as session, health.new_session() as probes:
        shared = proxy.Shared(session, {}, counts, random.Random(seed))  # noqa: S311
        checker = health.Checker(probes, speed, lambda: control.send({"health": balancer.health()}))
        balancer = LoadBalancer(shared, checker)
        reports = asyncio.create_task(control.report(balancer, counts))
        try:
            await control.serve(balancer)
        finally:
            reports.cancel()
            checker.follow([])
            await balancer.shut()
