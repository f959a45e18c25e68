"""The processes the local cloud runs: started, recorded on disk, and gone when it is gone.

Two nets hold them. On Linux the kernel ends each child when the daemon dies, whatever killed it
(prctl PR_SET_PDEATHSIG). Everywhere, `processes.json` in the root names every child by pid and
start time, so that `down` can end what is left without ever touching a recycled pid.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import psutil

RECORD = "processes.json"
SAME_START = 0.05
"""Seconds by which two readings of one process's start time may differ."""
PORTS = range(20000, 32768)
"""Below the range from which Linux (32768 on) and macOS (49152 on) take outgoing ports."""

# Runs in the child before the program: becomes another user if told to (the interpreter itself may
# be out of that user's reach), then ties itself to the daemon (PR_SET_PDEATHSIG is 1, and changing
# the user would clear it), which may already be gone.
_TIE_TO_PARENT = """
import ctypes, os, sys
number, parent, user, group = map(int, sys.argv[1:5])
if user >= 0: os.setgroups([]); os.setgid(group); os.setuid(user)
if sys.platform == "linux": ctypes.CDLL(None).prctl(1, number, 0, 0, 0)
if os.getppid() != parent: sys.exit(1)
os.execvp(sys.argv[5], sys.argv[5:])
"""


@dataclass(frozen=True)
class Recorded:
    """One process: `started` is psutil's create_time, which tells it from a later owner of the
    pid."""

    pid: int
    started: float
    role: str

    def process(self) -> psutil.Process | None:
        """The live process, or None if it has ended."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < SAME_START
            alive = process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if same and alive else None


class ProcessRegistry:
    """Starts children and keeps the record of those that live. Safe from any thread."""

    def __init__(self, root: Path) -> None:
        self._file = root / RECORD
        self._lock = threading.Lock()
        self._live: dict[int, Recorded] = {}
        # The kernel ties a child to the *thread* that made it: one thread makes all of them.
        self._maker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawn")

    def spawn(
        self,
        argv: Sequence[str],
        *,
        role: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: int | IO[Any] | None = subprocess.DEVNULL,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        pass_fds: Sequence[int] = (),
        user: tuple[int, int] | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> subprocess.Popen[bytes]:
        """Start a child in a session of its own, as another user and group if `user` says so.
        Raises OSError if it cannot be started."""

        def make() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                _tied(argv, death_signal, user),
                env=None if env is None else dict(env),
                cwd=cwd,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=tuple(pass_fds),
                start_new_session=True,
            )

        process = self._maker.submit(make).result()
        self.record(process.pid, role)
        return process

    def record(self, pid: int, role: str) -> None:
        """Remember a process this registry did not start itself."""
        try:
            started = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            return
        with self._lock:
            self._live[pid] = Recorded(pid, started, role)
            self._save()

    def forget(self, pid: int) -> None:
        """The process has ended and was waited for."""
        with self._lock:
            if self._live.pop(pid, None):
                self._save()

    def live(self) -> list[Recorded]:
        """What is running now."""
        with self._lock:
            return [record for record in self._live.values() if record.process()]

    def end_all(self, patience: float) -> None:
        """SIGTERM to all, SIGKILL to those that are still there after `patience` seconds."""
        end(self.live(), patience)
        with self._lock:
            self._live.clear()
            self._save()
        self._maker.shutdown(wait=False)

    def _save(self) -> None:
        write_json(self._file, [asdict(record) for record in self._live.values()])


def recorded(root: Path) -> list[Recorded]:
    """The processes the record of a root names, dead or alive; none if there is no record."""
    try:
        entries = json.loads((root / RECORD).read_text())
        return [Recorded(**entry) for entry in entries]
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return []


def end(records: Sequence[Recorded], patience: float) -> None:
    """End processes and all their descendants: SIGTERM first, SIGKILL after `patience` seconds."""
    parents = [process for record in records if (process := record.process())]
    family = {process.pid: process for process in parents}
    for parent in parents:
        with contextlib.suppress(psutil.NoSuchProcess):
            family.update({child.pid: child for child in parent.children(recursive=True)})
    for process in parents:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(list(family.values()), timeout=patience)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=5)


class Ports:
    """Hands out free ports of 127.0.0.1, each one once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given: set[int] = set()
        self._next = random.randrange(len(PORTS))  # noqa: S311

    def take(self) -> int:
        """A port nobody listens on and nobody was given. Raises OSError if there is none."""
        with self._lock:
            for _ in PORTS:
                port = PORTS[self._next]
                self._next = (self._next + 1) % len(PORTS)
                if port not in self._given and port_is_free(port):
                    self._given.add(port)
                    return port
        raise OSError(f"no port of {PORTS.start} to {PORTS.stop - 1} is free on 127.0.0.1")

    def give_back(self, port: int) -> None:
        """The port may be handed out again."""
        with self._lock:
            self._given.discard(port)


def port_is_free(port: int) -> bool:
    """Whether one could listen on the port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def write_json(file: Path, value: Any) -> None:
    """Write a file so that a reader, or a crash, sees the old text or the new, never half."""
    draft = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}")
    draft.write_text(json.dumps(value, indent=2))
    draft.replace(file)


def _tied(
    argv: Sequence[str], death_signal: signal.Signals, user: tuple[int, int] | None
) -> list[str]:
    if sys.platform != "linux" and user is None:
        return list(argv)
    tie = [sys.executable, "-I", "-S", "-c", _TIE_TO_PARENT]
    numbers = (int(death_signal), os.getpid(), *(user or (-1, -1)))
    return [*tie, *map(str, numbers), *argv]
