"""Lambda functions run from their zip in warm worker processes. Implements `ports.Functions`.

One worker per function and version, started by the first invoke and again when it died, timed out
or its code or configuration changed. One invoke at a time per worker. Any `python3.x` runtime runs
on this interpreter.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
import zipfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moto.awslambda.utils import get_backend

from llmops_localcloud.credentials import Surroundings
from llmops_localcloud.ports import Clock, LogSink
from llmops_localcloud.processes import ProcessRegistry

INIT_SECONDS = 10.0
"""Lambda gives a function's import ten seconds."""
WORKER = Path(__file__).with_name("lambda_worker.py")
CONCURRENT = 32


class FunctionError(Exception):
    """The function failed; the text is its error message."""


@dataclass(frozen=True)
class Outcome:
    """The answer of one invoke: the payload's text, and whether it is an error's."""

    payload: str
    failed: bool


class LocalFunctions:
    """Invokes the functions that moto's Lambda knows. Safe from any thread."""

    def __init__(
        self,
        root: Path,
        clock: Clock,
        registry: ProcessRegistry,
        logs: LogSink,
        surroundings: Surroundings,
    ) -> None:
        self._root = root / "functions"
        self._clock = clock
        self._registry = registry
        self._logs = logs
        self._surroundings = surroundings
        self._lock = threading.Lock()
        self._workers: dict[str, _Worker] = {}
        self._unpacking = threading.Lock()
        self._pool = ThreadPoolExecutor(CONCURRENT, thread_name_prefix="invoke")

    def invoke(self, function_arn: str, payload: Mapping[str, Any]) -> Future[Any]:
        """The function's parsed answer, or an exception whose text says why there is none."""
        return self._pool.submit(self._answer, function_arn, payload)

    def later(self, function: Any, event: Any) -> None:
        """An asynchronous invoke: what it answers goes nowhere."""
        self._pool.submit(self.run, function, event)

    def run(self, function: Any, event: Any) -> Outcome:
        """Invoke a function of moto's and wait for its answer."""
        worker = self._worker(function)
        return worker.invoke(event, float(function.timeout))

    def live(self) -> list[str]:
        """The functions that have a warm worker."""
        return [worker.name for worker in list(self._workers.values()) if worker.alive]

    def stop_all(self) -> None:
        """End every worker."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            workers = list(self._workers.values())
            self._workers.clear()
        for worker in workers:
            worker.end()

    def _answer(self, function_arn: str, payload: Mapping[str, Any]) -> Any:
        region, account = function_arn.split(":")[3:5]
        function = get_backend(account, region).get_function(function_arn)
        outcome = self.run(function, payload)
        if outcome.failed:
            error = json.loads(outcome.payload)
            kind = error.get("errorType", "Unhandled")
            raise FunctionError(f"{kind}: {error.get('errorMessage', '')}")
        return json.loads(outcome.payload)

    def _worker(self, function: Any) -> _Worker:
        """The warm worker of this very code and configuration."""
        plan = _plan(function)
        with self._lock:
            worker = self._workers.get(plan.arn)
            if worker is not None and worker.plan == plan:
                return worker
            fresh = _Worker(self, plan, self._code(function, plan))
            self._workers[plan.arn] = fresh
        if worker is not None:
            worker.retire()
        return fresh

    def _code(self, function: Any, plan: _Plan) -> Path:
        """The folder of the unpacked zip; one per CodeSha256."""
        folder = self._root / hashlib.sha256(plan.code_sha256.encode()).hexdigest()[:32]
        with self._unpacking:
            if not folder.is_dir():
                draft = folder.with_suffix(".draft")
                shutil.rmtree(draft, ignore_errors=True)
                with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as archive:
                    archive.extractall(draft)
                draft.rename(folder)
        return folder


@dataclass(frozen=True)
class _Plan:
    """All that makes a worker what it is; another plan needs another worker."""

    arn: str
    name: str
    version: str
    handler: str
    memory: int
    log_group: str
    code_sha256: str
    variables: tuple[tuple[str, str], ...]


def _plan(function: Any) -> _Plan:
    variables = tuple(sorted((key, str(v)) for key, v in function.environment_vars.items()))
    version = "$LATEST" if function.version in (1, "1", None) else str(function.version)
    logging = getattr(function, "logging_config", None) or {}
    return _Plan(
        function.function_arn,
        function.function_name,
        version,
        function.handler,
        int(function.memory_size),
        logging.get("LogGroup") or function.logs_group_name,
        function.code_sha_256,
        variables,
    )


class _Worker:
    """One process; started when first needed, replaced by a new one when it has gone."""

    def __init__(self, functions: LocalFunctions, plan: _Plan, code: Path) -> None:
        self.plan = plan
        self.name = plan.name
        self._functions = functions
        self._code = code
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._lines: Any = None
        self._stream = ""

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    def invoke(self, event: Any, timeout: float) -> Outcome:
        """Run the handler once; waits for its turn. `timeout` is in real seconds."""
        with self._turn:
            failure = self._ensure_started()
            request = str(uuid.uuid4())
            if failure is not None:
                return _failed({**failure, "requestId": request})
            return self._exchange(event, timeout, request)

    def retire(self) -> None:
        """End it when it is idle; its place is taken."""
        threading.Thread(target=self._retire, name=f"retire-{self.name}", daemon=True).start()

    def end(self) -> None:
        """End it now."""
        process, channel = self._process, self._channel
        self._process = self._channel = None
        if channel is not None:
            with contextlib.suppress(OSError):
                channel.close()
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self._functions._registry.forget(process.pid)

    def _retire(self) -> None:
        with self._turn:
            self.end()

    def _exchange(self, event: Any, timeout: float, request: str) -> Outcome:
        assert self._channel is not None
        message = {
            "id": request,
            "event": event,
            "deadline": time.time() + timeout,
            "arn": self.plan.arn,
            "request_id": request,
        }
        try:
            self._channel.sendall(json.dumps(message).encode() + b"\n")
            answer = self._receive(timeout)
        except TimeoutError:
            self.end()
            text = f"{self._stamp()} {request} Task timed out after {timeout:.2f} seconds"
            return _failed({"errorMessage": text})
        except (OSError, ValueError):
            return _failed(self._crash(request))
        if "error" in answer:
            return _failed(answer["error"])
        return Outcome(answer["result"], failed=False)

    def _ensure_started(self) -> dict[str, Any] | None:
        """Start the process if there is none; the error of its import, if it fails."""
        if self.alive:
            return None
        self.end()
        self._start()
        try:
            answer = self._receive(INIT_SECONDS)
        except TimeoutError:
            self.end()
            return {
                "errorMessage": f"Init timed out after {INIT_SECONDS:.2f} seconds",
                "errorType": "Sandbox.Timedout",
            }
        except (OSError, ValueError):
            return self._crash("")
        error: dict[str, Any] | None = answer.get("init_error")
        return error

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        now = self._functions._clock.now()
        self._stream = f"{now:%Y/%m/%d}/[{self.plan.version}]{secrets.token_hex(16)}"
        with theirs:
            process = self._functions._registry.spawn(
                [sys.executable, str(WORKER), str(theirs.fileno()), self.plan.handler],
                role=f"function {self.name}",
                env=self._environment(),
                cwd=self._code,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
            )
        self._process, self._channel = process, ours
        self._lines = ours.makefile("r", encoding="utf-8")
        threading.Thread(
            target=self._log, args=(process, self._stream), name=f"log-{self.name}", daemon=True
        ).start()

    def _receive(self, timeout: float) -> dict[str, Any]:
        """One message. Raises TimeoutError, or OSError or ValueError if the process is gone."""
        assert self._channel is not None
        self._channel.settimeout(timeout)
        line = self._lines.readline()
        message: dict[str, Any] = json.loads(line)
        return message

    def _crash(self, request: str) -> dict[str, Any]:
        process = self._process
        code = process.wait() if process is not None else None
        self.end()
        status = f"signal: {-code}" if code is not None and code < 0 else f"exit status {code}"
        return {
            "errorType": "Runtime.ExitError",
            "errorMessage": f"RequestId: {request} Error: Runtime exited with error: {status}",
        }

    def _environment(self) -> dict[str, str]:
        plan = self.plan
        return {
            **self._functions._surroundings.variables(),
            "PYTHONPATH": str(self._code),
            "LAMBDA_TASK_ROOT": str(self._code),
            "_HANDLER": plan.handler,
            "AWS_LAMBDA_FUNCTION_NAME": plan.name,
            "AWS_LAMBDA_FUNCTION_VERSION": plan.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(plan.memory),
            "AWS_LAMBDA_LOG_GROUP_NAME": plan.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": self._stream,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info[0]}.{sys.version_info[1]}",
            **dict(plan.variables),
        }

    def _log(self, process: subprocess.Popen[bytes], stream: str) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            text = line.decode(errors="replace").rstrip("\r\n")
            self._functions._logs.line(self.plan.log_group, stream, text, time.time())

    def _stamp(self) -> str:
        return self._functions._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _failed(error: Mapping[str, Any]) -> Outcome:
    return Outcome(json.dumps(error), failed=True)
