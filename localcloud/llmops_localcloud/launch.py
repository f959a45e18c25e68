"""Starting, finding and ending the local cloud's daemon.

One daemon per root folder. `daemon.json` in it says where the daemon answers; `processes.json`
names the processes it started, so that `down` leaves nothing behind even after a crash.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from llmops_localcloud.processes import Recorded, end, port_is_free, recorded, write_json

STATE = "daemon.json"
LOG = "daemon.log"
LOCK = "lock"
KEPT = {LOCK, LOG, "cache"}
"""What of a root outlives the daemon: caches that cost time to make, and the last log."""
START_SECONDS = 60.0
STOP_SECONDS = 15.0
CHILD_SECONDS = 3.0


class LaunchError(Exception):
    """The local cloud cannot be started or ended; the text is one sentence for the user."""


def up(
    *,
    root: Path,
    port: int,
    speed: float,
    account: str,
    region: str,
    switches: Mapping[str, str] = {},
) -> dict[str, Any]:
    """Start the daemon, detached, and return once it answers: endpoint, pid, speed and root.

    If it already runs on this root, the same is returned and nothing is started; the port and
    speed asked for now are not applied. Raises LaunchError.
    """
    root = root.resolve()
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root):
        running = status(root=root)
        if running is not None:
            return running
        _clear(root)
        if not port_is_free(port):
            raise LaunchError(
                f"Port {port} on 127.0.0.1 is already taken by another program; stop it or choose "
                "another port."
            )
        arguments = {
            "root": str(root),
            "port": port,
            "speed": speed,
            "account": account,
            "region": region,
            "switches": dict(switches),
        }
        return _start(root, speed, arguments)


def down(*, root: Path) -> dict[str, Any]:
    """End the daemon and every process recorded in the root; nothing to end is no error.

    Answers `{"stopped": whether a daemon ran, "ended": processes that had to be ended}`.
    Raises LaunchError if something will not go.
    """
    root = root.resolve()
    if not root.is_dir():
        return {"stopped": False, "ended": 0}
    with _locked(root):
        return _clear(root)


def status(*, root: Path) -> dict[str, Any] | None:
    """The running daemon of this root, as `up` describes it; None if there is none."""
    state = _state(root.resolve())
    if state is None or _daemon(state) is None:
        return None
    health = _health(state["endpoint"])
    if health is None or health.get("root") != state["root"]:
        return None
    return {key: state[key] for key in ("endpoint", "pid", "speed", "root")}


def _start(root: Path, speed: float, arguments: Mapping[str, Any]) -> dict[str, Any]:
    with (root / LOG).open("wb") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-P", "-m", "llmops_localcloud.daemon", json.dumps(arguments)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=root,
            start_new_session=True,
        )
    try:
        state = {
            "endpoint": f"http://127.0.0.1:{arguments['port']}",
            "pid": daemon.pid,
            "started": psutil.Process(daemon.pid).create_time(),
            "speed": speed,
            "root": str(root),
        }
        write_json(root / STATE, state)
        _wait_until_ready(daemon, str(state["endpoint"]), root)
    except BaseException:
        daemon.kill()
        daemon.wait()
        _clear(root)
        raise
    return {key: state[key] for key in ("endpoint", "pid", "speed", "root")}


def _wait_until_ready(daemon: subprocess.Popen[bytes], endpoint: str, root: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        health = _health(endpoint)
        if health is not None and health.get("ready"):
            return
        if daemon.poll() is not None:
            lines = (root / LOG).read_text(errors="replace").strip().splitlines()
            last = lines[-1] if lines else "no output"
            raise LaunchError(f"The local cloud did not start: {last} (see {root / LOG}).")
        time.sleep(0.02)
    raise LaunchError(
        f"The local cloud did not answer within {START_SECONDS:.0f} s; see {root / LOG}."
    )


def _clear(root: Path) -> dict[str, Any]:
    """End what the root's records name and remove what the next daemon must not find."""
    stopped = _stop_daemon(root)
    left = [record for record in recorded(root) if record.process()]
    end(left, CHILD_SECONDS)
    stubborn = [record for record in left if record.process()]
    if stubborn:
        names = ", ".join(f"{record.role} ({record.pid})" for record in stubborn)
        raise LaunchError(f"These processes of the local cloud could not be ended: {names}.")
    for entry in root.iterdir():
        if entry.name not in KEPT:
            _remove(entry)
    return {"stopped": stopped, "ended": len(left)}


def _stop_daemon(root: Path) -> bool:
    state = _state(root)
    process = None if state is None else _daemon(state)
    if process is None:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(STOP_SECONDS)
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            process.kill()
            process.wait(5)
    return True


def _daemon(state: Mapping[str, Any]) -> psutil.Process | None:
    return Recorded(state["pid"], state["started"], "daemon").process()


def _state(root: Path) -> dict[str, Any] | None:
    try:
        state = json.loads((root / STATE).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return state if isinstance(state, dict) else None


def _health(endpoint: str) -> dict[str, Any] | None:
    # The daemon is on this machine: no proxy of the environment may come between.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{endpoint}/_llmops/health", timeout=2) as answer:
            health = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return health if isinstance(health, dict) else None


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        # Snapshots of images are read-only.
        for folder, _, _ in os.walk(entry):
            with contextlib.suppress(OSError):
                os.chmod(folder, 0o700)
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """One `up` or `down` at a time on a root."""
    with (root / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
