"""Images: blobs by digest, and one unpacked, read-only snapshot per image digest."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"


class ImageError(Exception):
    """The image cannot be run; the text is what ECS says of it."""


@dataclass(frozen=True)
class Snapshot:
    """An unpacked image: its root folder and its configuration (OCI `config` object)."""

    root: Path
    config: dict[str, Any]


class ImageStore:
    """Blobs and snapshots below one folder. Safe from any thread."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs"
        self._images = root / "images"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._images.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()

    def put_blob(self, content: bytes) -> str:
        """Keep a blob; its digest, `sha256:...`."""
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        file = self._file(digest)
        if not file.exists():
            draft = file.with_suffix(f".{threading.get_ident()}")
            draft.write_bytes(content)
            draft.replace(file)
        return digest

    def has_blob(self, digest: str) -> bool:
        """Whether the blob is here."""
        return self._file(digest).exists()

    def blob(self, digest: str) -> bytes:
        """The blob's bytes, verified. Raises ImageError."""
        try:
            content = self._file(digest).read_bytes()
        except FileNotFoundError as error:
            raise ImageError(f"CannotPullContainerError: blob {digest} not found") from error
        if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
            raise ImageError(f"CannotPullContainerError: blob {digest} is damaged")
        return content

    def snapshot(self, digest: str, manifest: str) -> Snapshot:
        """The image of a manifest, unpacked once. Raises ImageError."""
        folder = self._images / digest.replace(":", "-")
        with self._lock:
            if not folder.is_dir():
                self._unpack(json.loads(manifest), folder)
        config = json.loads((folder / "config.json").read_text())
        return Snapshot(folder / "rootfs", config.get("config", {}))

    def _unpack(self, manifest: dict[str, Any], folder: Path) -> None:
        draft = folder.with_name(f"{folder.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        root = draft / "rootfs"
        root.mkdir(parents=True)
        config = self.blob(manifest["config"]["digest"])
        (draft / "config.json").write_bytes(config)
        for layer in manifest.get("layers", []):
            self.blob(layer["digest"])
            try:
                with tarfile.open(self._file(layer["digest"])) as archive:
                    _lay(archive, root)
            except (tarfile.TarError, OSError) as error:
                raise ImageError(
                    f"CannotPullContainerError: layer {layer['digest']}: {error}"
                ) from error
        _make_read_only(root)
        draft.rename(folder)

    def _file(self, digest: str) -> Path:
        return self._blobs / digest.replace(":", "-")


def _lay(archive: tarfile.TarFile, root: Path) -> None:
    """Lay one layer over the root, whiteouts included. Raises TarError for a path outside it."""
    for member in archive:
        name = Path(member.name)
        if name.name == OPAQUE:
            shutil.rmtree(root / name.parent, ignore_errors=True)
        elif name.name.startswith(WHITEOUT):
            gone = root / name.parent / name.name.removeprefix(WHITEOUT)
            shutil.rmtree(gone) if gone.is_dir() else gone.unlink(missing_ok=True)
        else:
            _inside(member, root)
            archive.extract(member, root)


def _inside(member: tarfile.TarInfo, root: Path) -> None:
    """Raises TarError for a member that would land, or point, outside the root or is a device.

    What `tarfile.data_filter` checks; that came with Python 3.11.4 and this runs on 3.11.0 too.
    """
    if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        raise tarfile.TarError(f"{member.name} is neither a file, a folder nor a link")
    top = root.resolve()
    places = [root / member.name]
    if member.issym():
        places.append((root / member.name).parent / member.linkname)
    if member.islnk():
        places.append(root / member.linkname)
    for place in places:
        if not place.resolve().is_relative_to(top):
            raise tarfile.TarError(f"{member.name} leads outside the image")


def _make_read_only(root: Path) -> None:
    for folder, _, files in os.walk(root, topdown=False):
        for file in files:
            path = Path(folder) / file
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o222)
        if folder != str(root):
            Path(folder).chmod(Path(folder).stat().st_mode & ~0o222)
