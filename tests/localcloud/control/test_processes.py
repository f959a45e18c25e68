from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from llmops_localcloud.processes import (
    Ports,
    ProcessRegistry,
    Recorded,
    end,
    port_is_free,
    recorded,
)

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x', flush=True); "
    "time.sleep(60)",
]
PARENT = """
import sys, time
from pathlib import Path
from llmops_localcloud.processes import ProcessRegistry
registry = ProcessRegistry(Path(sys.argv[1]))
child = registry.spawn([sys.executable, "-c", "import time; time.sleep(60)"], role="sleeper")
print(child.pid, flush=True)
time.sleep(60)
"""


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_started_process_is_recorded_until_it_is_forgotten(tmp_path: Path) -> None:
    registry = ProcessRegistry(tmp_path)
    process = registry.spawn(SLEEPER, role="sleeper")
    assert [(r.pid, r.role) for r in recorded(tmp_path)] == [(process.pid, "sleeper")]
    process.kill()
    process.wait()
    registry.forget(process.pid)
    assert recorded(tmp_path) == []


def test_ending_all_ends_also_what_ignores_sigterm(tmp_path: Path) -> None:
    registry = ProcessRegistry(tmp_path)
    process = registry.spawn(STUBBORN, role="stubborn", stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"x\n"
    registry.end_all(patience=0.2)
    assert gone(process.pid)


def test_a_recycled_pid_is_never_ended() -> None:
    end([Recorded(os.getpid(), started=1.0, role="a process of long ago")], patience=0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's tie is Linux's")
def test_a_child_dies_with_a_daemon_that_is_killed(
    tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    eventually(lambda: gone(child), 5)


def test_a_port_is_handed_out_once() -> None:
    ports = Ports()
    taken = [ports.take() for _ in range(20)]
    assert len(set(taken)) == 20


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert not port_is_free(listener.getsockname()[1])
