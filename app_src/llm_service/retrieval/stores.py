"""Where computed vectors are kept, so that one task computes them and the others read them.

A store maps an address (what was embedded by which model, see `vectors.address`) to bytes; what is
there is never changed. A store that cannot be reached costs time, never an answer: reading it finds
nothing, writing it is logged.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

logger = logging.getLogger("llm_service")

WRITTEN = ("PreconditionFailed", "ConditionalRequestConflict")
"""What S3 says to a write with If-None-Match if there is an object, or somebody writes it now."""


class Store(Protocol):
    """Keeps bytes under an address."""

    async def get(self, address: str) -> bytes | None:
        """What is kept there; None if nothing is, or if the store cannot be reached."""
        ...

    async def put(self, address: str, content: bytes) -> None:
        """Keeps `content`, unless something is there already."""
        ...


class FolderStore:
    """Files in `folder`, each complete or not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def get(self, address: str) -> bytes | None:
        """See `Store`."""
        return await asyncio.to_thread(self._read, address)

    async def put(self, address: str, content: bytes) -> None:
        """See `Store`."""
        await asyncio.to_thread(self._write, address, content)

    def _read(self, address: str) -> bytes | None:
        try:
            return (self._folder / address).read_bytes()
        except OSError:
            return None

    def _write(self, address: str, content: bytes) -> None:
        if (self._folder / address).exists():
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, aside = tempfile.mkstemp(dir=self._folder)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(aside, self._folder / address)
        except OSError as error:
            logger.warning("the vectors were not stored: %s", error.strerror)


class S3Store:
    """Objects under `uri`, as in `s3://bucket/embeddings/`; the task needs GetObject and PutObject
    there, and ListBucket if S3 is to say that an object is missing rather than forbidden."""

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        self._bucket, self._prefix = parts.netloc, parts.path.lstrip("/")
        self._client: Any = None

    async def get(self, address: str) -> bytes | None:
        """See `Store`."""
        return await asyncio.to_thread(self._read, address)

    async def put(self, address: str, content: bytes) -> None:
        """See `Store`."""
        await asyncio.to_thread(self._write, address, content)

    def _read(self, address: str) -> bytes | None:
        with _told("the stored vectors cannot be read", "NoSuchKey", "404"):
            found = self._s3().get_object(Bucket=self._bucket, Key=self._prefix + address)
            return bytes(found["Body"].read())
        return None

    def _write(self, address: str, content: bytes) -> None:
        where = {"Bucket": self._bucket, "Key": self._prefix + address}
        with _told("the vectors were not stored", *WRITTEN):
            self._s3().put_object(**where, Body=content, IfNoneMatch="*")

    def _s3(self) -> Any:
        import botocore.session

        if self._client is None:
            self._client = botocore.session.get_session().create_client("s3")
        return self._client


@contextmanager
def _told(complaint: str, *expected: str) -> Iterator[None]:
    """Warns of what goes wrong with S3, unless its code is one of `expected`."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code not in expected:
            logger.warning("%s: %s", complaint, code)
    except BotoCoreError as error:
        logger.warning("%s: %s", complaint, type(error).__name__)
