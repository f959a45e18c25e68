"""The documents to answer from: JSON lines of {"id", "title", "text"}, in a file or on S3."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CONTENT_ADDRESS = re.compile(r"([0-9a-f]{64})\.jsonl$")


class CorpusError(Exception):
    """The corpus cannot be read, or is not what its address says."""


@dataclass(frozen=True, slots=True)
class Document:
    """One page of the handbook; `id` is unique in a corpus."""

    id: str
    title: str
    text: str


def load(uri: str) -> list[Document]:
    """The documents at `uri`, a path or `s3://bucket/key`.

    A key that is a content address (`<sha256>.jsonl`) is checked against the bytes read, so a
    task never answers from a corpus other than its release's. Raises CorpusError.
    """
    content = _from_s3(uri) if uri.startswith("s3://") else _from_file(Path(uri))
    address = CONTENT_ADDRESS.search(uri)
    if address and hashlib.sha256(content).hexdigest() != address[1]:
        raise CorpusError(f"{uri} is not the corpus its name says: its SHA-256 differs.")
    return parse(content, uri)


def version(uri: str) -> str:
    """Changes when what is at `uri` changes: a file's time and size, an object's ETag. Cheap.

    Raises CorpusError.
    """
    if uri.startswith("s3://"):
        return str(_asked_s3(uri, "head_object")["ETag"])
    try:
        found = Path(uri).stat()
    except OSError as error:
        raise CorpusError(f"The corpus {uri} cannot be read: {error.strerror}.") from error
    return f"{found.st_mtime_ns}-{found.st_size}"


def parse(content: bytes, origin: str) -> list[Document]:
    """The documents in `content`; `origin` names it in errors. Raises CorpusError."""
    documents = [
        _document(line, f"{origin}, line {number}")
        for number, line in enumerate(content.splitlines(), start=1)
        if line.strip()
    ]
    if not documents:
        raise CorpusError(f"{origin} holds no document: write one JSON object per line.")
    if len({document.id for document in documents}) < len(documents):
        raise CorpusError(f"{origin} has two documents with the same id: make the ids unique.")
    return documents


def _document(line: bytes, where: str) -> Document:
    try:
        row = json.loads(line)
        return Document(*[_text(row, name) for name in ("id", "title", "text")])
    except (ValueError, TypeError, KeyError) as error:
        raise CorpusError(f'{where} is not {{"id", "title", "text"}}: {error!r}.') from error


def _text(row: Any, name: str) -> str:
    """The text under `name`. Raises ValueError for what no answer or no database could carry."""
    value = row[name]
    if not isinstance(value, str | int):
        raise TypeError(f"{name} is no text")
    text = str(value)
    if not text.isascii() and text != text.encode(errors="replace").decode():
        raise ValueError(f"{name} holds half of a surrogate pair")
    if name == "id" and "\0" in text:
        raise ValueError("id holds a NUL")
    return text


def _from_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CorpusError(f"The corpus {path} cannot be read: {error.strerror}.") from error


def _from_s3(uri: str) -> bytes:
    return bytes(_asked_s3(uri, "get_object")["Body"].read())


def _asked_s3(uri: str, operation: str) -> dict[str, Any]:
    import botocore.session  # 0.3 s that a task with a corpus of its own need not spend
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, key = urlsplit(uri).netloc, urlsplit(uri).path.lstrip("/")
    try:
        client = botocore.session.get_session().create_client("s3")
        return dict(getattr(client, operation)(Bucket=bucket, Key=key))
    except (BotoCoreError, ClientError) as error:
        raise CorpusError(f"The corpus {uri} cannot be read: {error}") from error
