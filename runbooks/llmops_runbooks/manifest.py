"""A release: an immutable manifest, named by its version and the hash of its content."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from llmops_runbooks.service_tables import Semver

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

VERSION_PATTERN = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?")
ID_PATTERN = re.compile(r"(?P<version>\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?)-[0-9a-f]{8}")


class Release(BaseModel):
    """What runs: everything that can change an answer, by content."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    version: Semver
    image: Digest
    """Digest of the image in the service's repository."""
    bundle: Sha256
    """Features and prompts: `bundles/<sha256>.json` of the artifact bucket."""
    corpus: Sha256
    """`corpus/<sha256>.jsonl`"""
    golden: Sha256
    """`golden/<sha256>.jsonl`"""
    models: tuple[str, ...] = ()
    configuration: dict[str, str] = {}
    """Environment variables of the task, names in capitals."""
    database_revision: str = ""

    @property
    def id(self) -> str:
        """`<version>-<first 8 hex digits of the SHA-256 of the manifest>`"""
        return f"{self.version}-{sha256(self.canonical())[:8]}"

    def canonical(self) -> bytes:
        """The manifest as it is hashed and stored: JSON, sorted keys, no spaces, UTF-8."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def key(self) -> str:
        return f"releases/{self.id}.json"

    @property
    def corpus_key(self) -> str:
        return f"corpus/{self.corpus}.jsonl"

    @property
    def golden_key(self) -> str:
        return f"golden/{self.golden}.jsonl"

    @property
    def bundle_key(self) -> str:
        return f"bundles/{self.bundle}.json"


def canonical_json(value: Any) -> bytes:
    """One byte string per value: what content addresses are made of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def version_of(release: str) -> str:
    """The version of a release id; a bare version is its own."""
    match = ID_PATTERN.fullmatch(release)
    return match["version"] if match else release
