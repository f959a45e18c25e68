"""What an experiment is, as a bundle's features say it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from llmops_runbooks import bundle_lint, publish
from llmops_runbooks.errors import UsageError
from llmops_runbooks.moments import parse
from llmops_runbooks.ports import Cloud
from llmops_runbooks.serving import serving


@dataclass(frozen=True)
class Definition:
    """An experiment. weights: variant -> share of the units; the first variant is the control.

    unit: what is drawn: user, conversation or request. metric: what decides.
    """

    name: str
    feature: str
    weights: Mapping[str, float]
    unit: str
    metric: str
    started: datetime | None


def find(files: Mapping[str, str], name: str | None, where: str) -> Definition:
    """The experiment called `name` in a bundle's files, or the only one there is.

    `where` names the bundle in errors. Raises UsageError that lists what there is.
    """
    found = {each.name: each for each in _all(files)}
    if name in found:
        return found[name]
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    known = ", ".join(found) or "none"
    if name is None and found:
        raise UsageError(f"{where} has several experiments: name one of {known}.")
    asked = f"experiment {name}" if name else "experiment"
    raise UsageError(
        f"{where} has no {asked} (known: {known}).",
        hint='Add "experiment" to a file of features/, or choose another release: --release V.',
    )


def live(cloud: Cloud, name: str | None) -> Definition:
    """The experiment of the release that serves."""
    release = serving(cloud).release
    found = publish.published(release, cloud.artifacts)
    bundle = cloud.artifacts.get(found.bundle_key) if found else None
    if bundle is None:
        raise UsageError(
            f"The bundle of the live release {release} is not in the artifact bucket.",
            hint="Name a release of this project: --release V.",
        )
    return find(json.loads(bundle), name, f"The live release {release}")


def of_release(project: Path, version: str, name: str | None) -> Definition:
    """The experiment of a release in the working tree."""
    described = publish.read(project / "releases" / version / publish.FILE)
    files = bundle_lint.files_of(project, described)
    return find(files, name, f"Release {version}")


def at(path: Path, name: str | None) -> Definition:
    """The experiment of the bundle in a folder or a stored file."""
    return find(bundle_lint.files_at(path), name, f"The bundle {path}")


def _all(files: Mapping[str, str]) -> Iterator[Definition]:
    for path, text in files.items():
        if path.startswith("features/"):
            feature = _json(path, text)
            if feature.get("experiment"):
                yield _definition(path, feature)


def _json(path: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"{path} is no JSON object.", hint="llmops bundle lint")
    return found


def _definition(path: str, feature: Mapping[str, Any]) -> Definition:
    told = feature["experiment"]
    try:
        return Definition(
            name=told["name"],
            feature=feature["name"],
            weights={each["name"]: float(each["weight"]) for each in told["variants"]},
            unit=told.get("unit", "user"),
            metric=told.get("metric", "quality"),
            started=parse(told["started"]) if told.get("started") else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{path}: the experiment cannot be read: {error!r}.", hint="llmops bundle lint"
        ) from error
