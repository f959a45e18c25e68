"""One local cloud for all tests of this folder, and the helpers they share."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import socket
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from llmops_localcloud import launch

ACCOUNT, REGION = "123456789012", "us-east-1"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Cloud:
    """A running local cloud, as a client of AWS sees it."""

    endpoint: str
    root: Path
    pid: int
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """A boto3 client; one per service."""
        if service not in self.clients:
            self.clients[service] = boto3.client(
                service,
                endpoint_url=self.endpoint,
                region_name=REGION,
                aws_access_key_id="local",
                aws_secret_access_key="local",
                config=Config(retries={"total_max_attempts": 1}, proxies={}),
            )
        return self.clients[service]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """The first true answer of a condition; fails after a deadline."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s; the last answer was {answer!r}")
        time.sleep(0.02)


@contextlib.contextmanager
def running(root: Path, **options: Any) -> Iterator[Cloud]:
    """A local cloud of its own, down again at the end."""
    arguments = {"port": free_port(), "speed": 60.0, "account": ACCOUNT, "region": REGION}
    try:
        state = launch.up(root=root, **{**arguments, **options})
        yield Cloud(state["endpoint"], Path(state["root"]), state["pid"])
    finally:
        launch.down(root=root)


@contextlib.contextmanager
def new_root() -> Iterator[Path]:
    """A folder that PostgreSQL's user can reach: pytest closes its own to everyone else."""
    with tempfile.TemporaryDirectory(prefix="llmops-test-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    with new_root() as root, running(root) as cloud:
        yield cloud


@pytest.fixture
def root() -> Iterator[Path]:
    with new_root() as root:
        yield root


@pytest.fixture(scope="session")
def start_cloud() -> Callable[..., contextlib.AbstractContextManager[Cloud]]:
    return running


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    return wait_for


@pytest.fixture(scope="session")
def a_free_port() -> Callable[[], int]:
    return free_port


def zipped(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def layer_of(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            content = text.encode()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def image_of(layer: bytes, command: list[str]) -> tuple[bytes, str]:
    """The configuration blob and the manifest of an image with one layer."""
    settings = {"WorkingDir": "/app", "Cmd": command, "Env": ["FROM_IMAGE=yes"]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": settings}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest_of(config),
            "size": len(config),
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": digest_of(layer),
                "size": len(layer),
            }
        ],
    }
    return config, json.dumps(manifest)


@pytest.fixture(scope="session")
def make_zip() -> Callable[[Mapping[str, str]], bytes]:
    return zipped


@pytest.fixture(scope="session")
def make_layer() -> Callable[[Mapping[str, str]], bytes]:
    return layer_of


@pytest.fixture(scope="session")
def make_image() -> Callable[[bytes, list[str]], tuple[bytes, str]]:
    return image_of


@pytest.fixture(scope="session")
def digest() -> Callable[[bytes], str]:
    return digest_of


@pytest.fixture(scope="session", name="new_root")
def root_maker() -> Callable[[], contextlib.AbstractContextManager[Path]]:
    return new_root
