"""A clock that stands still until it is moved, and CloudWatch behind a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from aws_cli import AwsCli
from moto.cloudwatch import urls
from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends
from moto.cloudwatch.responses import CloudWatchResponse
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from llmops_localcloud import cloudwatch

KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


class StillClock:
    """Virtual time is real time plus an hour, and a minute of it is a second; `moment` is now."""

    speed = 60.0

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def at(self, real_epoch_seconds: float) -> datetime:
        return datetime.fromtimestamp(real_epoch_seconds, UTC) + timedelta(hours=1)

    def real_seconds(self, virtual_seconds: float) -> float:
        return virtual_seconds / self.speed

    def move(self, **by: float) -> None:
        self.moment += timedelta(**by)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@dataclass
class Cloud:
    """An API server whose CloudWatch is ours."""

    endpoint: str
    watch: cloudwatch.CloudWatch

    def client(self, service: str = "cloudwatch") -> Any:
        return boto3.client(service, endpoint_url=self.endpoint, region_name="us-east-1", **KEYS)

    def cli(self, *words: str) -> Any:
        return AwsCli(self.endpoint)(*words)

    def evaluate(self) -> None:
        """Let every alarm be looked at now."""
        self.watch.loop.tick(cloudwatch_backends["123456789012"]["us-east-1"])


@pytest.fixture
def cloud(clock: StillClock) -> Iterator[Cloud]:
    watch = cloudwatch.install(clock=clock)
    watch.loop.stop()
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield Cloud("http://{}:{}".format(*server.get_host_and_port()), watch)
    server.stop()
    watch.stop()
    cloudwatch_backends.clear()
    cloudwatch_backends.backend = CloudWatchBackend
    urls.url_paths["{0}/$"] = CloudWatchResponse.dispatch
