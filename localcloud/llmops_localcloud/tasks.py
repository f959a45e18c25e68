"""ECS tasks as processes: the image unpacked, the secrets resolved, the output logged.

One container of a task is run: its only essential one, or the first. Implements `ports.TaskRunner`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmops_localcloud.credentials import Surroundings
from llmops_localcloud.images import ImageError, Snapshot
from llmops_localcloud.ports import Clock, LogSink, TaskSpec, TaskStatus, TaskView
from llmops_localcloud.processes import Ports, ProcessRegistry
from llmops_localcloud.task_environment import SecretUnavailable, container_environment

STOP_TIMEOUT = 30
"""Virtual seconds between SIGTERM and SIGKILL if the container does not say `stopTimeout`."""
LEAST_STOP_SECONDS = 2.0
"""Real seconds a process gets at least, however fast the clock: the machine is not faster."""
LISTEN_SECONDS = 15.0
"""Real seconds a process gets to accept connections before it counts as RUNNING all the same."""
LISTEN_EVERY = 0.03
FORGET_AFTER = 3600.0
"""Real seconds for which a stopped task can still be viewed."""

Pull = Callable[[str], Snapshot]


class Tasks:
    """Runs each task as one process in a session of its own. Safe from any thread."""

    def __init__(
        self,
        clock: Clock,
        registry: ProcessRegistry,
        ports: Ports,
        *,
        logs: LogSink,
        surroundings: Surroundings,
        pull: Pull,
    ) -> None:
        self._clock = clock
        self._registry = registry
        self._ports = ports
        self._logs = logs
        self._surroundings = surroundings
        self._pull = pull
        self._lock = threading.Lock()
        self._tasks: dict[str, _Task] = {}
        self._closing = False

    def start(self, spec: TaskSpec) -> None:
        """Begin a task; returns at once. Its view says how it went."""
        task = _Task(self, spec)
        with self._lock:
            if self._closing:
                task.ended(None, "The local cloud is shutting down.")
            self._forget_old()
            self._tasks[spec.task_arn] = task
        if task.view.status is not TaskStatus.STOPPED:
            threading.Thread(target=task.live, name=f"task-{task.short_id}", daemon=True).start()

    def stop(self, task_arn: str, reason: str) -> None:
        """SIGTERM, then SIGKILL after the stop timeout; returns at once. Unknown tasks are gone."""
        task = self._tasks.get(task_arn)
        if task is not None:
            task.stop(reason)

    def view(self, task_arn: str) -> TaskView:
        """What is known of a task now; a task never heard of is STOPPED."""
        task = self._tasks.get(task_arn)
        if task is None:
            return TaskView(task_arn, TaskStatus.STOPPED, stopped_reason="unknown task")
        return task.view

    def running(self) -> list[TaskView]:
        """The tasks that are not stopped."""
        views = [task.view for task in list(self._tasks.values())]
        return [view for view in views if view.status is not TaskStatus.STOPPED]

    def stop_all(self, patience: float) -> None:
        """Stop every task and wait, at most `patience` real seconds, until they have ended."""
        with self._lock:
            self._closing = True
            tasks = list(self._tasks.values())
        for task in tasks:
            task.stop("The local cloud is shutting down.")
        deadline = time.monotonic() + patience
        for task in tasks:
            task.done.wait(max(0.0, deadline - time.monotonic()))

    def _forget_old(self) -> None:
        now = time.monotonic()
        old = [arn for arn, task in self._tasks.items() if now - task.ended_at > FORGET_AFTER]
        for arn in old:
            del self._tasks[arn]


class _Task:
    """One task's life, driven by a thread of its own."""

    def __init__(self, tasks: Tasks, spec: TaskSpec) -> None:
        self._tasks = tasks
        self._spec = spec
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stop_reason: str | None = None
        self.short_id = spec.task_arn.rsplit("/", 1)[-1]
        self.view = TaskView(spec.task_arn, TaskStatus.PENDING)
        self.done = threading.Event()
        self.ended_at = float("inf")

    def live(self) -> None:
        """From PENDING to STOPPED."""
        port = self._tasks._ports.take()
        try:
            container = _main_container(self._spec.task_definition)
            process = self._launch(container, port)
            if process is not None:
                self._follow(process, container)
        except (ImageError, SecretUnavailable) as error:
            self.ended(None, str(error))
        except Exception as error:  # noqa: BLE001  the task failed, not the cloud
            traceback.print_exc()
            self.ended(None, f"CannotStartContainerError: {error}")
        finally:
            self._tasks._ports.give_back(port)

    def stop(self, reason: str) -> None:
        """Ask the process to end, and see that it does."""
        with self._lock:
            if self._stop_reason is not None or self.done.is_set():
                return
            self._stop_reason = reason
            process = self._process
            if process is not None:
                self.view = replace(self.view, status=TaskStatus.STOPPING, stopped_reason=reason)
        if process is not None:
            _signal(process, signal.SIGTERM)
            threading.Thread(
                target=self._kill_later, args=(process,), name=f"kill-{self.short_id}", daemon=True
            ).start()

    def ended(self, exit_code: int | None, reason: str) -> None:
        """The task is STOPPED."""
        self.view = replace(
            self.view,
            status=TaskStatus.STOPPED,
            exit_code=exit_code,
            stopped_reason=self._stop_reason or reason,
        )
        self.ended_at = time.monotonic()
        self.done.set()

    def _launch(self, container: Mapping[str, Any], port: int) -> subprocess.Popen[bytes] | None:
        around = self._tasks._surroundings
        given = container_environment(container, around.account, around.region)
        snapshot = self._tasks._pull(container["image"])
        folder = _inside(snapshot, snapshot.config.get("WorkingDir") or "/app")
        environment = {
            **around.variables(),
            **dict(entry.split("=", 1) for entry in snapshot.config.get("Env") or []),
            **given,
            **_own_variables(around, folder, port),
        }
        with self._lock:
            if self._stop_reason is not None:
                self.ended(None, self._stop_reason)
                return None
            self._process = self._tasks._registry.spawn(
                _command(container, snapshot),
                role=f"task {self.short_id} of {self._spec.service_name}",
                env=environment,
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            self.view = replace(self.view, address=("127.0.0.1", port), pid=self._process.pid)
        return self._process

    def _follow(self, process: subprocess.Popen[bytes], container: Mapping[str, Any]) -> None:
        reader = threading.Thread(
            target=self._log, args=(process, container), name=f"log-{self.short_id}", daemon=True
        )
        reader.start()
        self._await_listening(process, container)
        code = process.wait()
        # What outlives the main process of a container goes with it.
        _signal_group(process.pid, signal.SIGKILL)
        reader.join(2)
        self._tasks._registry.forget(process.pid)
        # A shell's and Docker's convention: 128 plus the signal.
        self.ended(code if code >= 0 else 128 - code, "Essential container in task exited")

    def _await_listening(
        self, process: subprocess.Popen[bytes], container: Mapping[str, Any]
    ) -> None:
        """RUNNING, which is when ECS registers the target: once the port accepts connections.

        A process takes real time to start, which the clock would multiply: at speed 60 a start of
        two seconds would be two minutes of failed health checks, and alarms about them.
        """
        address = self.view.address if container.get("portMappings") else None
        deadline = time.monotonic() + LISTEN_SECONDS
        while address and process.poll() is None and time.monotonic() < deadline:
            if _accepts(address):
                break
            time.sleep(LISTEN_EVERY)
        with self._lock:
            if self.view.status is TaskStatus.PENDING and process.poll() is None:
                self.view = replace(self.view, status=TaskStatus.RUNNING)

    def _log(self, process: subprocess.Popen[bytes], container: Mapping[str, Any]) -> None:
        options = container.get("logConfiguration", {}).get("options", {})
        group = options.get("awslogs-group", "")
        prefix = options.get("awslogs-stream-prefix")
        name = container["name"]
        stream = f"{prefix}/{name}/{self.short_id}" if prefix else self.short_id
        assert process.stdout is not None
        for line in process.stdout:
            if group:
                text = line.decode(errors="replace").rstrip("\r\n")
                self._tasks._logs.line(group, stream, text, time.time())

    def _kill_later(self, process: subprocess.Popen[bytes]) -> None:
        container = _main_container(self._spec.task_definition)
        timeout = float(container.get("stopTimeout") or STOP_TIMEOUT)
        patience = max(LEAST_STOP_SECONDS, self._tasks._clock.real_seconds(timeout))
        if not self.done.wait(patience):
            _signal_group(process.pid, signal.SIGKILL)


def _accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True


def _main_container(task_definition: Mapping[str, Any]) -> Mapping[str, Any]:
    containers: list[Mapping[str, Any]] = task_definition["containerDefinitions"]
    essential = [container for container in containers if container.get("essential", True)]
    return (essential or containers)[0]


def _command(container: Mapping[str, Any], snapshot: Snapshot) -> list[str]:
    """Entry point and command, the container's before the image's; `python` is this one."""
    entry = container.get("entryPoint") or snapshot.config.get("Entrypoint") or []
    command = container.get("command") or snapshot.config.get("Cmd") or []
    words = [*entry, *command]
    if not words:
        raise ImageError("CannotStartContainerError: no command specified")
    if Path(words[0]).name in ("python", "python3"):
        words[0] = sys.executable
    return words


def _own_variables(around: Surroundings, folder: Path, port: int) -> dict[str, str]:
    """What the local cloud insists on: where to listen, and the code of the snapshot."""
    fixed = around.variables()
    names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    return {
        **{name: fixed[name] for name in names},
        "PATH": fixed["PATH"],
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "PYTHONPATH": str(folder),
    }


def _inside(snapshot: Snapshot, folder: str) -> Path:
    path = (snapshot.root / folder.lstrip("/")).resolve()
    if not path.is_relative_to(snapshot.root.resolve()) or not path.is_dir():
        raise ImageError(f"CannotStartContainerError: the image has no folder {folder}")
    return path


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
