"""What a cloud assembly is made of, as one digest: the same digest, the same assembly.

Everything that synthesis can read counts: each file of the project but what is hidden or made by
running it, the settings that environment variables override, Python, and each installed
distribution by name and version. One that is installed in editable form changes without a new
version, so its files count as well.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

MADE = frozenset({"__pycache__", "node_modules", "cdk.out"})
"""Folders that running something makes, beside the hidden ones."""
OVERRIDES = ("LLMOPS_", "CDK_", "JSII_")
CHUNK = 1 << 20


def of_project(project: Path, environment: str, variables: Mapping[str, str]) -> str:
    """The digest of what `app.py` of the project would read for an environment."""
    digest = hashlib.sha256(f"{sys.version}\n{environment}\n".encode())
    for name in sorted(variables):
        if name.startswith(OVERRIDES) and name not in ("LLMOPS_ENV", "CDK_OUTDIR"):
            digest.update(f"{name}={variables[name]}\n".encode())
    roots = [project.resolve()]
    for found in sorted(distributions(), key=lambda each: (each.name or "", each.version)):
        digest.update(f"{found.name}=={found.version}\n".encode())
        root = _editable(found)
        if root and not any(root.is_relative_to(known) for known in roots):
            roots.append(root)
    for root in roots:
        for file in files(root):
            digest.update(f"{file.relative_to(root).as_posix()}\0".encode())
            digest.update(_content(file))
    return digest.hexdigest()


def files(root: Path) -> Iterator[Path]:
    """The files under `root` that count, sorted."""
    for entry in sorted(root.iterdir()):
        if entry.name.startswith(".") or entry.name in MADE:
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from files(entry)
        elif entry.is_file():
            yield entry


def _content(file: Path) -> bytes:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.digest()


def _editable(found: Distribution) -> Path | None:
    """The folder of a distribution in editable form, as PEP 610 records it."""
    text = found.read_text("direct_url.json")
    if text is None:
        return None
    record = json.loads(text)
    if not record.get("dir_info", {}).get("editable"):
        return None
    folder = Path(url2pathname(urlsplit(record["url"]).path))
    return folder.resolve() if folder.is_dir() else None
