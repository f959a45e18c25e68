"""Publish a release: put everything it is made of where it stays, then name it, once.

The order makes a crash harmless: content first, then `versions/<version>.json` by conditional put
(the claim: one version never has two manifests), then `releases/<id>.json`. Whoever comes after a
crash finishes with the claimed manifest. A published release is never edited.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmops_runbooks import bundle_files, image
from llmops_runbooks.errors import CloudError, UsageError
from llmops_runbooks.manifest import ID_PATTERN, Release, canonical_json, sha256, version_of
from llmops_runbooks.ports import Artifacts, Registry
from llmops_runbooks.service_tables import Architecture, Semver

CODE = "llm_service"
CORPUS = f"{CODE}/sample/documents.jsonl"
GOLDEN = f"{CODE}/sample/golden.jsonl"
FILE = "release.toml"
SKIPPED = frozenset({"__pycache__", "tests"})
RESERVED = frozenset(
    {
        "HOST", "PORT", "SERVICE_NAME", "ENVIRONMENT", "RELEASE", "RELEASE_CONFIGURATION",
        "METRIC_NAMESPACE", "CORPUS_URI", "BUNDLE_URI", "DATABASE_HOST", "DATABASE_PORT",
        "DATABASE_NAME", "DATABASE_USER", "DATABASE_PASSWORD", "DATABASE_SECRET", "BEARER_TOKENS",
        "BEARER_TOKENS_SECRET", "VALKEY_URL", "OPENAI_API_KEY", "ANTHROPIC_API_KEY",
        "LANGFUSE_HOST", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY", "DAY_BUDGET_MICRO_USD",
        "JOBS_QUEUE_URL", "JOBS_VISIBILITY_SECONDS", "JOBS_RECEIVES", "OTEL_EXPORTER_OTLP_ENDPOINT",
    }
)  # fmt: skip
"""Variables of the task contract: a release's configuration may not take them."""

Key = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


class ReleaseFile(BaseModel):
    """`releases/<version>/release.toml`

    `from` names another release: this one is that, image, corpus and all, but for what this file
    says and for the files in its own `bundle/`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Semver
    base: Semver | None = Field(default=None, alias="from")
    notes: str = ""
    models: tuple[str, ...] | None = None
    configuration: dict[Key, str | bool | int | float] | None = None
    database_revision: str | None = None

    def variables(self) -> dict[str, str]:
        """The configuration as the task's environment: names in capitals, values as text."""
        return {key.upper(): _text(value) for key, value in (self.configuration or {}).items()}

    def said(self) -> dict[str, Any]:
        """The manifest's fields that this file says something of; each whole, never key by key."""
        found = {
            "models": self.models,
            "configuration": None if self.configuration is None else self.variables(),
            "database_revision": self.database_revision,
        }
        return {key: value for key, value in found.items() if value is not None}


@dataclass(frozen=True)
class Parts:
    """A release of the working tree, with the content to upload (key -> bytes). image: to push;
    None if it is a published release's."""

    release: Release
    image: image.Image | None
    blobs: Mapping[str, bytes]


@dataclass(frozen=True)
class Below:
    """The base image that code is laid on: a tag of the registry, None for none."""

    registry: Registry
    tag: str | None
    architecture: Architecture


def publish(
    version: str,
    *,
    project: Path,
    artifacts: Artifacts,
    registry: Registry,
    base_image: str | None = None,
    architecture: Architecture = "arm64",
    warn: Callable[[str], None] = lambda _: None,
) -> Release:
    """The release `version` (or id), published now if it was not.

    Raises UsageError if it is neither published nor in the project's releases/.
    """
    below = Below(registry, base_image, architecture)
    found = published(version, artifacts)
    if found is None:
        return _publish(assemble(version, project, below, artifacts), artifacts, registry)
    if (project / "releases" / found.version / FILE).is_file():
        _warn_of_differences(
            found, lambda: assemble(found.version, project, below, artifacts), warn
        )
    if artifacts.put_new(found.key, found.canonical()):
        warn(f"The manifest of {found.id} was claimed but not stored; it is stored now.")
    return found


def published(version: str, artifacts: Artifacts) -> Release | None:
    """The published manifest of a version or a release id, or None."""
    content = None
    if ID_PATTERN.fullmatch(version):
        content = artifacts.get(f"releases/{version}.json")
    content = content or artifacts.get(f"versions/{version}.json")
    return Release.model_validate_json(content) if content else None


def known(project: Path, artifacts: Artifacts) -> list[str]:
    """The versions that can be released, sorted: published, or in the project."""
    names = {key.split("/")[1].removesuffix(".json") for key in artifacts.keys("versions/")}
    return sorted(names | {path.parent.name for path in (project / "releases").glob(f"*/{FILE}")})


def exists(version: str, project: Path, artifacts: Artifacts) -> None:
    """Raises UsageError, which lists what there is, if the release is nowhere."""
    if published(version, artifacts) or (project / "releases" / version / FILE).is_file():
        return
    names = ", ".join(known(project, artifacts)) or "none"
    raise UsageError(
        f"Release {version} is neither published nor in {project.name}/releases/ (known: {names}).",
        hint=f"Write releases/{version_of(version)}/{FILE}, or choose a known release.",
    )


def assemble(version: str, project: Path, below: Below, artifacts: Artifacts) -> Parts:
    """The release as the working tree has it; reads the base image, uploads nothing."""
    exists(version, project, artifacts)
    base = image.base_of(below.registry, below.tag, below.architecture)
    return _assemble(version, project, base, artifacts)


def _assemble(
    version: str, project: Path, base: image.Base, artifacts: Artifacts, above: tuple[str, ...] = ()
) -> Parts:
    """`above`: the releases that are made from this one."""
    described = read(project / "releases" / version / FILE)
    if described.base is None:
        below = _of_the_tree(version, project, base)
    else:
        _check_base(described, project, artifacts, above)
        found = published(described.base, artifacts)
        trail = (*above, version)
        below = (
            _as_published(found, artifacts)
            if found
            else _assemble(described.base, project, base, artifacts, trail)
        )
    return _laid_over(below, described, bundle_files.own(project, version))


def _of_the_tree(version: str, project: Path, base: image.Base) -> Parts:
    """The code with the release's overlay, and what is packaged in it."""
    tree = source_tree(project, version)
    built = image.build(tree, base)
    bundle = canonical_json(bundle_files.packaged(tree))
    corpus, golden = _file(tree, CORPUS), _file(tree, GOLDEN)
    release = Release(
        version=version,
        image=built.digest,
        bundle=sha256(bundle),
        corpus=sha256(corpus),
        golden=sha256(golden),
    )
    blobs = {release.bundle_key: bundle, release.corpus_key: corpus, release.golden_key: golden}
    return Parts(release, built, blobs)


def _as_published(release: Release, artifacts: Artifacts) -> Parts:
    """A published release, with the bundle that is laid over; the rest of it is where it was."""
    bundle = artifacts.get(release.bundle_key)
    if bundle is None or not any(path.startswith("features/") for path in json.loads(bundle)):
        raise UsageError(
            f"The published release {release.id} has no features in its bundle, so no release can "
            "be made from it.",
            hint="Publish its code under a new version first.",
        )
    return Parts(release, None, {release.bundle_key: bundle})


def _laid_over(below: Parts, described: ReleaseFile, own: Mapping[str, str]) -> Parts:
    """The release as its file describes it, with its own files of the bundle over those below."""
    before = below.release.bundle_key
    bundle = canonical_json({**json.loads(below.blobs[before]), **own})
    changes = {"version": described.version, "bundle": sha256(bundle), **described.said()}
    release = Release.model_validate({**below.release.model_dump(), **changes})
    blobs = {key: blob for key, blob in below.blobs.items() if key != before}
    return Parts(release, below.image, {**blobs, release.bundle_key: bundle})


def _check_base(
    described: ReleaseFile, project: Path, artifacts: Artifacts, above: tuple[str, ...]
) -> None:
    """Raises UsageError for a `from` that leads nowhere or in a circle, or beside an overlay."""
    where = f"releases/{described.version}"
    if described.base in (*above, described.version):
        raise UsageError(
            f"{where}/{FILE}: 'from' leads back to {described.base}: break the circle."
        )
    if (project / where / "overlay").exists():
        raise UsageError(
            f"{where}/overlay would have no effect: 'from' takes the image of {described.base}. "
            "Leave out one of the two."
        )
    exists(str(described.base), project, artifacts)


def read(path: Path) -> ReleaseFile:
    """A release.toml, checked; raises UsageError that names file, key and what is allowed."""
    where = f"releases/{path.parent.name}/{path.name}"
    try:
        described = ReleaseFile.model_validate(tomllib.loads(path.read_text()))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{where} cannot be read: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{where}: '{key}' is not allowed: {first['msg']}.") from error
    if described.version != path.parent.name:
        raise UsageError(f"{where}: version is {described.version}, its folder says otherwise.")
    taken = sorted(RESERVED & set(described.variables()))
    if taken:
        raise UsageError(f"{where}: configuration.{taken[0].lower()} is set by llmops itself.")
    return described


def source_tree(project: Path, version: str) -> dict[str, bytes]:
    """Path -> content of the service's code with the release's overlay laid over it."""
    overlay = project / "releases" / version / "overlay"
    tree = {**dict(_files(project / "app_src", CODE)), **dict(_files(overlay, "."))}
    stray = next((path for path in tree if not path.startswith(f"{CODE}/")), None)
    if stray:
        raise UsageError(
            f"releases/{version}/overlay/{stray} is outside {CODE}/ and would have no effect."
        )
    return tree


def _files(root: Path, below: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted((root / below).rglob("*")):
        inside = path.relative_to(root)
        hidden = any(part in SKIPPED or part.startswith(".") for part in inside.parts)
        if path.is_file() and not hidden and path.suffix != ".pyc":
            yield inside.as_posix(), path.read_bytes()


def _file(tree: Mapping[str, bytes], path: str) -> bytes:
    if path not in tree:
        raise UsageError(f"app_src/{path} is missing, and a release needs it.")
    return tree[path]


def _publish(parts: Parts, artifacts: Artifacts, registry: Registry) -> Release:
    release = parts.release
    if parts.image is not None:
        image.push(parts.image, registry, release.version)
    for key, content in parts.blobs.items():
        artifacts.put_new(key, content)
    if not artifacts.put_new(f"versions/{release.version}.json", release.canonical()):
        winner = published(release.version, artifacts)
        if winner is None:
            raise CloudError(f"versions/{release.version}.json exists but cannot be read.")
        release = winner
    artifacts.put_new(release.key, release.canonical())
    return release


def _warn_of_differences(
    found: Release, local: Callable[[], Parts], warn: Callable[[str], None]
) -> None:
    """Says what the working tree now has otherwise; the published release is what is used."""
    try:
        now = local().release
    except UsageError as error:
        warn(f"{found.id} is published; the working tree cannot be compared: {error.message}")
        return
    parts = [name for name in Release.model_fields if getattr(now, name) != getattr(found, name)]
    if parts:
        warn(
            f"{found.id} is published, with other content than the working tree "
            f"({', '.join(parts)}); the published one is used. Changes need a new version."
        )


def _text(value: str | bool | int | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
