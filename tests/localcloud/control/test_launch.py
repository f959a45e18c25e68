from __future__ import annotations

import json
import os
import signal
import socket
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest

from llmops_localcloud import launch
from llmops_localcloud.processes import port_is_free

Start = Callable[..., AbstractContextManager[Any]]

CODE = "def handler(event, context):\n    return event\n"


def health(endpoint: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{endpoint}/_llmops/health", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def start_a_worker_and_a_database(cloud: Any, code: bytes) -> list[int]:
    cloud.client("lambda").create_function(
        FunctionName="echo",
        Runtime="python3.13",
        Handler="index.handler",
        Role="arn:aws:iam::123456789012:role/cdk-hnb659fds-cfn-exec-role-123456789012-us-east-1",
        Code={"ZipFile": code},
    )
    cloud.client("lambda").invoke(FunctionName="echo", Payload=b"{}")
    cloud.client("rds").create_db_instance(
        DBInstanceIdentifier="left",
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        MasterUsername="owner",
        MasterUserPassword="not-a-real-one",
        AllocatedStorage=20,
    )
    return [entry["pid"] for entry in health(cloud.endpoint)["processes"]]


def test_up_again_on_the_same_root_returns_the_running_one(cloud: Any) -> None:
    again = launch.up(
        root=cloud.root, port=1, speed=1.0, account="123456789012", region="us-east-1"
    )
    assert (again["endpoint"], again["pid"]) == (cloud.endpoint, cloud.pid)


def test_status_tells_a_running_cloud_from_none(cloud: Any, tmp_path: Path) -> None:
    running = launch.status(root=cloud.root)
    assert running is not None and set(running) == {"endpoint", "pid", "speed", "root"}
    assert launch.status(root=tmp_path) is None


def test_a_taken_port_is_one_sentence_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(launch.LaunchError, match=rf"^Port {port} on 127\.0\.0\.1 is already"):
            launch.up(
                root=tmp_path, port=port, speed=1.0, account="123456789012", region="us-east-1"
            )
    assert launch.status(root=tmp_path) is None
    assert not (tmp_path / launch.STATE).exists()


def test_down_where_nothing_runs_is_no_error(tmp_path: Path) -> None:
    assert launch.down(root=tmp_path / "never") == {"stopped": False, "ended": 0}
    assert launch.down(root=tmp_path) == {"stopped": False, "ended": 0}


def test_down_leaves_no_process_and_no_port(
    start_cloud: Start, root: Path, make_zip: Callable[..., bytes]
) -> None:
    with start_cloud(root) as cloud:
        children = start_a_worker_and_a_database(cloud, make_zip({"index.py": CODE}))
        assert len(children) >= 2
        assert launch.down(root=root)["stopped"] is True
        assert [pid for pid in [cloud.pid, *children] if psutil.pid_exists(pid)] == []
        assert port_is_free(int(cloud.endpoint.rsplit(":", 1)[1]))
        assert launch.down(root=root) == {"stopped": False, "ended": 0}


@pytest.mark.slow
def test_after_a_crash_down_leaves_nothing_and_up_starts_afresh(
    start_cloud: Start, root: Path, make_zip: Callable[..., bytes]
) -> None:
    with start_cloud(root) as cloud:
        children = start_a_worker_and_a_database(cloud, make_zip({"index.py": CODE}))
        os.kill(cloud.pid, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(cloud.pid)], timeout=5)
        launch.down(root=root)
        assert [pid for pid in children if psutil.pid_exists(pid)] == []
        assert port_is_free(int(cloud.endpoint.rsplit(":", 1)[1]))
    with start_cloud(root) as fresh:
        assert fresh.client("lambda").list_functions()["Functions"] == []


def test_the_cloud_listens_on_the_loopback_only(cloud: Any) -> None:
    # net_connections of the daemon alone needs no privilege.
    listening = [
        connection.laddr.ip
        for connection in psutil.Process(cloud.pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening and set(listening) == {"127.0.0.1"}


def test_a_switch_there_is_not_is_refused_at_start(root: Path, a_free_port: Any) -> None:
    with pytest.raises(launch.LaunchError, match="has no switch weather; it has"):
        launch.up(
            root=root,
            port=a_free_port(),
            speed=1.0,
            account="123456789012",
            region="us-east-1",
            switches={"weather": "fine"},
        )
    assert launch.status(root=root) is None
