"""In-memory twins of everything but ECS."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from llmops_runbooks.image import digest
from llmops_runbooks.ports import RemoteImage

if TYPE_CHECKING:
    from llmops_judge.observations import History
    from llmops_judge.policy import Metric

START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


class MemoryClock:
    """A virtual clock: a waited second passes at once and moves everything that listens."""

    def __init__(self, *, speed: float = 1.0) -> None:
        self._seconds = 0.0
        self._speed = speed
        self.listeners: list[Callable[[], None]] = []

    def now(self) -> datetime:
        return START + timedelta(seconds=self._seconds * self._speed)

    def wall(self) -> float:
        return START.timestamp() + self._seconds

    def wait(self, seconds: float) -> None:
        self._seconds += seconds
        for listener in self.listeners:
            listener()


class MemoryArtifacts:
    """A bucket in a dict."""

    def __init__(self, bucket: str = "artifacts") -> None:
        self._bucket = bucket
        self.objects: dict[str, bytes] = {}

    def uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    def get(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def put(self, key: str, content: bytes, content_type: str = "application/json") -> None:
        self.objects[key] = content

    def put_new(self, key: str, content: bytes, content_type: str = "application/json") -> bool:
        if key in self.objects:
            return False
        self.objects[key] = content
        return True

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))


class MemoryRegistry:
    """A repository with tags that never move."""

    def __init__(self, name: str = "repository") -> None:
        self.name = name
        self.blobs: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}

    def image(self, *, tag: str = "", digest: str = "") -> RemoteImage | None:
        found = self.tags.get(tag) if tag else digest
        if not found or found not in self.blobs:
            return None
        return RemoteImage(found, _parsed(self.blobs[found]))

    def blob(self, digest: str) -> bytes:
        return self.blobs[digest]

    def put_blob(self, digest: str, content: bytes) -> None:
        self.blobs[digest] = content

    def put_image(self, manifest: bytes, media_type: str, tag: str) -> bool:
        name = digest(manifest)
        self.blobs[name] = manifest
        return self.tags.setdefault(tag, name) == name


class MemoryRouting:
    """One production rule over any number of target groups."""

    def __init__(self, weights: dict[str, int]) -> None:
        self.rule = weights

    def weights(self, rule_arn: str) -> dict[str, int]:
        return dict(self.rule)


class MemoryAlarms:
    """Alarms that someone sets."""

    def __init__(self, names: Sequence[str]) -> None:
        self.state = dict.fromkeys(names, "OK")

    def states(self, names: Sequence[str]) -> dict[str, str]:
        return {name: self.state[name] for name in names if name in self.state}


class MemoryMetrics:
    """Per-minute series by release."""

    def __init__(self) -> None:
        self.by_release: dict[str, list[dict[str, Any]]] = {}

    def series(
        self, *, service: str, environment: str, release: str, start: datetime, end: datetime
    ) -> list[dict[str, Any]]:
        return self.by_release.get(release, [])


class MemoryHistories:
    """Histories by release; of an experiment's variant by the moment each began."""

    def __init__(self) -> None:
        self.by_release: dict[str, History] = {}
        self.by_variant: dict[tuple[str, str], dict[datetime, History]] = {}

    def history(
        self,
        metrics: Sequence[Metric],
        *,
        service: str,
        environment: str,
        release: str,
        start: datetime,
        end: datetime,
    ) -> History:
        from llmops_judge.observations import History

        return self.by_release.get(release, History())

    def exposed(
        self,
        metrics: Sequence[Metric],
        *,
        service: str,
        environment: str,
        experiment: str,
        variant: str,
        start: datetime,
        end: datetime,
    ) -> History:
        from llmops_judge.observations import History

        pieces = self.by_variant.get((experiment, variant), {})
        return next((each for at, each in pieces.items() if start <= at < end), History())


def _parsed(manifest: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(manifest)
    return found
