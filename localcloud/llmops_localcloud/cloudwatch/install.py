"""Puts our CloudWatch in the place of moto's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from moto.cloudwatch import urls
from moto.cloudwatch.models import cloudwatch_backends

from llmops_localcloud.ports import Clock

from . import resources
from .alarms import AlarmLoop, AlarmStates
from .backend import LocalCloudWatchBackend, LocalCloudWatchResponse
from .logs import EmfLogSink
from .store import MetricStore


class CloudWatch:
    """What the daemon holds: `logs` is a ports.LogSink, `alarms` a ports.Alarms."""

    def __init__(self, clock: Clock, account: str, region: str) -> None:
        self._account, self._region = account, region
        self.logs = EmfLogSink(clock, self.put, account=account, region=region)
        self.alarms = AlarmStates(lambda: self._backend.alarms)
        self.loop = AlarmLoop(clock, _backends)

    @property
    def _backend(self) -> Any:
        return cloudwatch_backends[self._account][self._region]

    @property
    def store(self) -> MetricStore:
        """The metrics of the cloud's own account and region."""
        store: MetricStore = self._backend.store
        return store

    def put(
        self,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        at: datetime,
        values: Sequence[float],
        *,
        unit: str = "None",
    ) -> None:
        """Record metric values at a virtual time; what `elbv2.install` takes as `put`."""
        self.store.put(namespace, name, dimensions, at, values, unit=unit)

    def stop(self) -> None:
        """End the evaluation of alarms."""
        self.loop.stop()


def install(
    *, clock: Clock, account: str = "123456789012", region: str = "us-east-1"
) -> CloudWatch:
    """Call it once, before the server answers; the caller stops what it returns."""
    bound = type("BoundCloudWatchBackend", (LocalCloudWatchBackend,), {"clock": clock})
    cloudwatch_backends.clear()
    cloudwatch_backends.backend = bound
    urls.url_paths["{0}/$"] = LocalCloudWatchResponse.dispatch
    resources.register()
    cloudwatch = CloudWatch(clock, account, region)
    cloudwatch.loop.start()
    return cloudwatch


def _backends() -> Iterator[Any]:
    for account in list(cloudwatch_backends.values()):
        for backend in list(account.values()):
            if isinstance(backend, LocalCloudWatchBackend):
                yield backend
