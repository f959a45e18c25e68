from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends

from llmops_localcloud.clock import VirtualClock
from llmops_localcloud.credentials import Surroundings
from llmops_localcloud.images import ImageError, ImageStore, Snapshot
from llmops_localcloud.ports import TaskSpec, TaskStatus, TaskView
from llmops_localcloud.processes import Ports, ProcessRegistry, port_is_free
from llmops_localcloud.tasks import Tasks

ACCOUNT, REGION = "123456789012", "us-east-1"
ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/cluster/"

SERVER = """
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"env": dict(os.environ), "file": __file__}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

def stop(*_):
    print("finishing", flush=True)
    sys.exit(7)

signal.signal(signal.SIGTERM, stop)
print("serving", flush=True)
HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
DEAF = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf')\n" \
    "time.sleep(60)\n"  # fmt: skip


@dataclass
class Lines:
    """A log that remembers."""

    lines: list[tuple[str, str, str]] = field(default_factory=list)

    def line(self, group: str, stream: str, text: str, real_epoch_seconds: float) -> None:
        assert abs(real_epoch_seconds - time.time()) < 10
        self.lines.append((group, stream, text))


@dataclass
class Bench:
    """A task runner and what it stands on."""

    tasks: Tasks
    logs: Lines
    eventually: Callable[..., Any]

    def run(self, name: str, **container: Any) -> str:
        definition = {"name": "app", "image": "the-image", "essential": True, **container}
        arn = ARN + name
        self.tasks.start(
            TaskSpec(arn, "cluster-arn", "service", {"containerDefinitions": [definition]})
        )
        return arn

    def until(self, arn: str, status: TaskStatus, seconds: float = 20.0) -> TaskView:
        self.eventually(lambda: self.tasks.view(arn).status is status, seconds)
        return self.tasks.view(arn)

    def ask(self, arn: str) -> dict[str, Any]:
        self.until(arn, TaskStatus.RUNNING)
        address = self.tasks.view(arn).address
        assert address is not None

        def answer() -> Any:
            try:
                with urllib.request.urlopen(f"http://{address[0]}:{address[1]}/", timeout=5) as got:
                    return json.load(got)
            except OSError:
                return None

        answered: dict[str, Any] = self.eventually(answer)
        return answered


@pytest.fixture
def bench(
    tmp_path: Path, make_layer: Any, make_image: Any, eventually: Callable[..., Any]
) -> Iterator[Bench]:
    store = ImageStore(tmp_path)
    layer = make_layer({"app/server.py": SERVER, "app/deaf.py": DEAF})
    config, manifest = make_image(layer, ["python", "-m", "server"])
    store.put_blob(layer), store.put_blob(config)

    def pull(uri: str) -> Snapshot:
        if uri != "the-image":
            raise ImageError(f"CannotPullContainerError: {uri}: not found")
        return store.snapshot("sha256:" + "a" * 64, manifest)

    registry, logs = ProcessRegistry(tmp_path), Lines()
    around = Surroundings("http://127.0.0.1:9", ACCOUNT, REGION, tmp_path / "cache")
    tasks = Tasks(VirtualClock(60), registry, Ports(), logs=logs, surroundings=around, pull=pull)
    yield Bench(tasks, logs, eventually)
    tasks.stop_all(5)
    registry.end_all(1)


def test_a_task_runs_the_image_s_code_and_listens_where_its_view_says(bench: Bench) -> None:
    arn = bench.run("one")
    answer = bench.ask(arn)
    assert answer["file"].endswith("rootfs/app/server.py")
    assert answer["env"]["FROM_IMAGE"] == "yes"
    assert bench.tasks.view(arn).pid is not None


def test_a_task_gets_its_variables_and_the_cloud_s_own(bench: Bench) -> None:
    variables = [{"name": "RELEASE", "value": "1.0.0"}, {"name": "HOST", "value": "0.0.0.0"}]
    got = bench.ask(bench.run("two", environment=variables))["env"]
    assert (got["RELEASE"], got["HOST"]) == ("1.0.0", "127.0.0.1")
    assert got["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9"
    assert got["AWS_REGION"] == got["AWS_DEFAULT_REGION"] == REGION


def test_secrets_are_injected_whole_by_key_and_from_parameters(bench: Bench) -> None:
    backend: Any = secretsmanager_backends[ACCOUNT][REGION]
    backend.create_secret(
        "db", json.dumps({"username": "u", "password": "p"}), None, None, [], None, None, [], False
    )
    arn = backend.describe_secret("db").arn
    ssm_backends[ACCOUNT][REGION].put_parameter(
        "/model", "", "large", "String", "", "", False, [], "text", None, None
    )
    secrets = [
        {"name": "WHOLE", "valueFrom": arn},
        {"name": "PASSWORD", "valueFrom": f"{arn}:password::"},
        {"name": "STAGED", "valueFrom": f"{arn}:username:AWSCURRENT:"},
        {"name": "MODEL", "valueFrom": f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/model"},
    ]
    got = bench.ask(bench.run("secrets", secrets=secrets))["env"]
    assert json.loads(got["WHOLE"]) == {"username": "u", "password": "p"}
    assert (got["PASSWORD"], got["STAGED"], got["MODEL"]) == ("p", "u", "large")


@pytest.mark.parametrize(
    "value_from",
    [
        f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:missing-AbCdEf",
        f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/missing",
    ],
)
def test_a_missing_secret_stops_the_task_before_it_starts(bench: Bench, value_from: str) -> None:
    arn = bench.run("missing", secrets=[{"name": "X", "valueFrom": value_from}])
    view = bench.until(arn, TaskStatus.STOPPED)
    assert view.stopped_reason.startswith(
        "ResourceInitializationError: unable to pull secrets or registry auth"
    )
    assert value_from in view.stopped_reason
    assert view.pid is None


def test_a_missing_image_stops_the_task(bench: Bench) -> None:
    view = bench.until(bench.run("image", image="another"), TaskStatus.STOPPED)
    assert view.stopped_reason.startswith("CannotPullContainerError")


def test_what_a_task_prints_goes_to_its_log_stream(bench: Bench) -> None:
    options = {"awslogs-group": "/group", "awslogs-stream-prefix": "prefix"}
    arn = bench.run("logs", logConfiguration={"logDriver": "awslogs", "options": options})
    bench.until(arn, TaskStatus.RUNNING)
    bench.eventually(lambda: ("/group", "prefix/app/logs", "serving") in bench.logs.lines)


def test_stop_lets_a_task_finish_and_keeps_its_exit_code(bench: Bench) -> None:
    arn = bench.run("stop")
    bench.ask(arn)
    address = bench.tasks.view(arn).address
    bench.tasks.stop(arn, "scaling down")
    view = bench.until(arn, TaskStatus.STOPPED)
    assert (view.exit_code, view.stopped_reason) == (7, "scaling down")
    assert address is not None and port_is_free(address[1])


def test_a_task_deaf_to_sigterm_is_killed_after_its_stop_timeout(bench: Bench) -> None:
    options = {"awslogs-group": "/deaf"}
    arn = bench.run(
        "deaf", command=["python", "-m", "deaf"], stopTimeout=2,
        logConfiguration={"options": options},
    )  # fmt: skip
    bench.eventually(lambda: ("/deaf", "deaf", "deaf") in bench.logs.lines)
    bench.tasks.stop(arn, "no longer needed")
    assert bench.tasks.view(arn).status is TaskStatus.STOPPING
    assert bench.until(arn, TaskStatus.STOPPED, 6).exit_code == 128 + signal.SIGKILL


def test_a_task_killed_from_outside_is_stopped_within_50_ms(bench: Bench) -> None:
    arn = bench.run("killed")
    bench.ask(arn)
    pid = bench.tasks.view(arn).pid
    assert pid is not None
    start = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    while bench.tasks.view(arn).status is not TaskStatus.STOPPED:
        assert time.perf_counter() - start < 0.5
    assert time.perf_counter() - start < 0.15
    view = bench.tasks.view(arn)
    assert (view.exit_code, view.stopped_reason) == (137, "Essential container in task exited")
    assert not psutil.pid_exists(pid)


def test_tasks_have_ports_of_their_own(bench: Bench) -> None:
    arns = [bench.run(f"many-{number}") for number in range(4)]
    addresses = {bench.until(arn, TaskStatus.RUNNING).address for arn in arns}
    assert len(addresses) == 4
