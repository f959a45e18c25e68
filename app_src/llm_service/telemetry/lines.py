"""Standard output, which CloudWatch Logs reads, behind a thread.

A container's standard output is a pipe: when the log driver falls behind, a write waits, and an
event loop that waits serves nobody. Lines collect for at most LINGER seconds and go out in one
write; what is queued is written when the service stops (SIGTERM ends in `stop`) or the interpreter
ends, so a task that is stopped takes none of its last minute with it. In a Lambda function, which
freezes between invocations with all its threads, lines are written at once.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable
from typing import Any

from llm_service.telemetry.background import Background

LINGER = 0.05
CAPACITY = 20_000
"""Lines of about 1.5 kB: at most 30 MB while nobody reads."""
BATCH = 2_000
STOP = 5.0
"""Seconds that a stopping process spends on writing; ECS kills after 30."""

Write = Callable[[bytes], None]


def to_stdout(data: bytes) -> None:
    """Writes all of `data` and flushes."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


class Lines:
    """Writes lines in the order they come; `at_once` without thread and delay."""

    def __init__(
        self, write: Write = to_stdout, *, at_once: bool = False, capacity: int = CAPACITY
    ) -> None:
        self._write, self.at_once = write, at_once
        self._background = Background[bytes](
            "lines", self._write_all, capacity=capacity, batch=BATCH, linger=LINGER
        )

    def start(self) -> None:
        """Begins to write."""
        if not self.at_once:
            self._background.start()
            atexit.register(self.stop)

    def add(self, line: bytes) -> None:
        """Takes a line without its newline; never waits unless `at_once`."""
        if self.at_once:
            self._write(line + b"\n")
        else:
            self._background.offer(line)

    def stop(self) -> None:
        """Writes what is queued for at most STOP seconds."""
        atexit.unregister(self.stop)
        self._background.stop(STOP)

    def state(self) -> dict[str, Any]:
        """How it stands, for a person."""
        return self._background.state()

    def _write_all(self, lines: list[bytes]) -> None:
        self._write(b"\n".join([*lines, b""]))
