"""A release's image: one deterministic layer of code, on a base image or alone.

OCI image-spec 1.1. The same tree gives the same bytes: entries sorted, times, owners and the
gzip header zeroed. Docker media types of a base are rewritten to OCI's, which name the same bytes.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from llmops_runbooks.errors import UsageError
from llmops_runbooks.manifest import canonical_json, sha256
from llmops_runbooks.ports import Registry
from llmops_runbooks.service_tables import Architecture

ROOT = "app"
COMMAND = ["python", "-m", "llm_service"]
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_TO_OCI = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER_TYPE,
    "application/vnd.docker.container.image.v1+json": CONFIG_TYPE,
}
PLATFORMS: Mapping[Architecture, str] = {"arm64": "arm64", "x86_64": "amd64"}
"""What OCI calls AWS's architectures."""
EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True)
class Base:
    """What the code is laid on: the layers and the parsed configuration of the base image."""

    layers: tuple[Mapping[str, Any], ...] = ()
    config: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Image:
    """Everything to upload, and the digest that names it."""

    layer: bytes
    config: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        return digest(self.manifest)


def digest(content: bytes) -> str:
    return f"sha256:{sha256(content)}"


def build(tree: Mapping[str, bytes], base: Base) -> Image:
    """The image that runs `tree` (path -> content) from /app."""
    tar = _tar(tree)
    layer = gzip.compress(tar, compresslevel=6, mtime=0)
    config = canonical_json(_config(base, digest(tar)))
    layers = [*base.layers, _descriptor(LAYER_TYPE, layer)]
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(CONFIG_TYPE, config),
            "layers": layers,
        }
    )
    return Image(layer, config, manifest)


def base_of(registry: Registry, tag: str | None, architecture: Architecture) -> Base:
    """The base image behind `tag`; raises UsageError if it is not in the repository."""
    if tag is None:
        return Base()
    found = registry.image(tag=tag)
    if found is None:
        raise UsageError(
            f"The repository {registry.name} has no image tagged '{tag}', which base_image of "
            "llmops.toml names.",
            hint=f"Push an image with Python and the dependencies as {registry.name}:{tag}.",
        )
    wanted = PLATFORMS[architecture]
    manifest = _single(registry, tag, found.manifest, wanted)
    config = json.loads(registry.blob(manifest["config"]["digest"]))
    if config.get("architecture", wanted) != wanted:
        raise _other_platform(registry, tag, wanted)
    return Base(tuple(_oci(layer) for layer in manifest["layers"]), config)


def push(image: Image, registry: Registry, tag: str) -> None:
    """Uploads what the repository lacks; raises UsageError if the tag names another image."""
    registry.put_blob(digest(image.layer), image.layer)
    registry.put_blob(digest(image.config), image.config)
    if not registry.put_image(image.manifest, MANIFEST_TYPE, tag):
        raise UsageError(
            f"The tag '{tag}' of the repository {registry.name} already names another image.",
            hint="Publish under a new version: tags are never moved.",
        )


def _single(
    registry: Registry, tag: str, manifest: Mapping[str, Any], wanted: str
) -> Mapping[str, Any]:
    """The entry for the platform, if the tag names a list of images for several."""
    for entry in manifest.get("manifests", ()):
        platform = entry.get("platform", {})
        if (platform.get("os"), platform.get("architecture")) == ("linux", wanted):
            found = registry.image(digest=entry["digest"])
            if found is not None:
                return found.manifest
    if "layers" not in manifest:
        raise _other_platform(registry, tag, wanted)
    return manifest


def _other_platform(registry: Registry, tag: str, wanted: str) -> UsageError:
    return UsageError(
        f"The image '{tag}' of the repository {registry.name} has no linux/{wanted} variant, which "
        "service.architecture of llmops.toml asks for.",
        hint=f"Push the base image for linux/{wanted}.",
    )


def _tar(tree: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for folder in _folders(tree):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for path in sorted(tree):
            entry = tarfile.TarInfo(f"{ROOT}/{path}")
            entry.size, entry.mode = len(tree[path]), 0o644
            tar.addfile(entry, io.BytesIO(tree[path]))
    return buffer.getvalue()


def _folders(tree: Mapping[str, bytes]) -> list[str]:
    parents = {str(parent) for path in tree for parent in PurePosixPath(ROOT, path).parents}
    return sorted(parents - {"."})


def _config(base: Base, diff_id: str) -> dict[str, Any]:
    below = dict(base.config or {"architecture": "amd64", "os": "linux"})
    run = {**below.get("config", {}), "WorkingDir": f"/{ROOT}", "Cmd": COMMAND}
    run.pop("Entrypoint", None)
    diff_ids = [*below.get("rootfs", {}).get("diff_ids", ()), diff_id]
    history = [*below.get("history", ()), {"created": EPOCH, "created_by": "llmops"}]
    return {
        **below,
        "created": EPOCH,
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": history,
    }


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def _oci(descriptor: Mapping[str, Any]) -> dict[str, Any]:
    media_type = descriptor["mediaType"]
    return {**descriptor, "mediaType": DOCKER_TO_OCI.get(media_type, media_type)}
