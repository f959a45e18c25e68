"""The artifact bucket, as far as the gate may use it: JSON in, JSON out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from llmops_functions import awstime

MISSING = ("NoSuchKey", "404")


class Bucket:
    """A bucket; `now` is the epoch second of S3's last answer to a read, by its Date header."""

    def __init__(self, s3: Any, name: str) -> None:
        self._s3 = s3
        self.name = name
        self.now: int | None = None

    def get(self, key: str) -> bytes | None:
        """The object, or None if there is none."""
        try:
            response = self._s3.get_object(Bucket=self.name, Key=key)
        except ClientError as error:
            self._notice(error.response)
            if error.response["Error"]["Code"] in MISSING:
                return None
            raise
        self._notice(response)
        content: bytes = response["Body"].read()
        return content

    def table(self, key: str) -> dict[str, Any] | None:
        """The JSON object under a key; None if there is none. Raises ValueError for other text."""
        content = self.get(key)
        if content is None:
            return None
        found = json.loads(content)
        if not isinstance(found, dict):
            raise ValueError(f"s3://{self.name}/{key} is no JSON object.")
        return found

    def put(self, key: str, table: Mapping[str, Any]) -> None:
        """Write a JSON object, over an older one."""
        self._s3.put_object(
            Bucket=self.name,
            Key=key,
            Body=json.dumps(table, separators=(",", ":")).encode(),
            ContentType="application/json",
        )

    def _notice(self, response: Mapping[str, Any]) -> None:
        headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        if "date" in headers:
            self.now = awstime.of_response(response)
