"""Where a bundle is read from: the package, a folder, a file `<digest>.json`, or the same on S3."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from llm_service.bundle.bundle import Bundle, digest, parse
from llm_service.bundle.errors import BundleError, BundleUnreachable

PACKAGED = Path(__file__).parent
CONTENT_ADDRESS = re.compile(r"(?:^|/)([0-9a-f]{64})\.json$")
PARTS = {"features": "*.json", "prompts": "*/*.md"}
PAUSE = 2.0
"""Seconds between two attempts to read S3: a task's credentials may come later than the task."""


def load(
    uri: str | None, *, attempts: int = 1, sleep: Callable[[float], None] = time.sleep
) -> Bundle:
    """The bundle at `uri`: a folder, a JSON file of path -> text, s3://bucket/key of such a file,
    or None for the one in the package.

    A file whose name is a digest is checked against it. Raises BundleError; S3 is asked
    `attempts` times before that.
    """
    for left in reversed(range(attempts)):
        try:
            return parse(read(uri))
        except BundleUnreachable:
            if not left:
                raise
            sleep(PAUSE)
    raise AssertionError("attempts is at least 1")


def read(uri: str | None) -> dict[str, str]:
    """The files at `uri`, path -> text, unchecked but for their digest. Raises BundleError."""
    if not uri:
        return of_folder(PACKAGED)
    if uri.startswith("s3://"):
        return of_json(_from_s3(uri), uri)
    path = Path(uri)
    return of_folder(path) if path.is_dir() else of_json(_from_file(path), uri)


def of_folder(folder: Path) -> dict[str, str]:
    """The files in `folder` that belong to a bundle. Raises BundleError if there is none."""
    files = {
        path.relative_to(folder).as_posix(): _text(path)
        for part, pattern in PARTS.items()
        for path in sorted((folder / part).glob(pattern))
    }
    if not files:
        raise BundleError(f"There is no bundle in {folder}: it needs features/ and prompts/.")
    return files


def of_json(content: bytes, origin: str) -> dict[str, str]:
    """The files in the stored bundle `content`. Raises BundleError."""
    try:
        files = json.loads(content)
    except ValueError as error:
        raise BundleError(f"The bundle {origin} is no JSON: {error}.") from error
    if not _is_text(files):
        raise BundleError(f"The bundle {origin} is no JSON object of path to text: publish it.")
    address = CONTENT_ADDRESS.search(origin)
    if address and digest(files) != address[1]:
        raise BundleError(f"{origin} is not the bundle its name says: its SHA-256 differs.")
    return dict(files)


def _is_text(files: object) -> bool:
    return isinstance(files, Mapping) and all(isinstance(text, str) for text in files.values())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BundleError(f"{path} of the bundle cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} of the bundle is not UTF-8: save it as UTF-8.") from error


def _from_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"The bundle {path} cannot be read: {error.strerror}.") from error


def _from_s3(uri: str) -> bytes:
    import botocore.session
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, key = urlsplit(uri).netloc, urlsplit(uri).path.lstrip("/")
    try:
        client = botocore.session.get_session().create_client("s3")
        return bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    except (BotoCoreError, ClientError) as error:
        raise BundleUnreachable(f"The bundle {uri} cannot be read: {error}") from error
