"""`Artifacts` on S3."""

from __future__ import annotations

from llmops_runbooks.aws.clients import Clients, Refused

MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
EXISTS = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"})


class S3Artifacts:
    """One bucket."""

    def __init__(self, clients: Clients, bucket: str) -> None:
        self._clients = clients
        self._bucket = bucket

    def uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    def get(self, key: str) -> bytes | None:
        try:
            answer = self._clients.call("s3", "get_object", Bucket=self._bucket, Key=key)
        except Refused as error:
            if error.code in MISSING:
                return None
            raise
        content: bytes = answer["Body"].read()
        return content

    def put(self, key: str, content: bytes, content_type: str = "application/json") -> None:
        self._clients.call(
            "s3",
            "put_object",
            Bucket=self._bucket,
            Key=key,
            Body=content,
            ContentType=content_type,
        )

    def put_new(self, key: str, content: bytes, content_type: str = "application/json") -> bool:
        try:
            self._clients.call(
                "s3",
                "put_object",
                Bucket=self._bucket,
                Key=key,
                Body=content,
                ContentType=content_type,
                IfNoneMatch="*",
            )
        except Refused as error:
            if error.code in EXISTS:
                return False
            raise
        return True

    def keys(self, prefix: str) -> list[str]:
        query = {"Bucket": self._bucket, "Prefix": prefix}
        found: list[str] = []
        while True:
            answer = self._clients.call("s3", "list_objects_v2", **query)
            found += [each["Key"] for each in answer.get("Contents", ())]
            if not answer.get("IsTruncated"):
                return sorted(found)
            query["ContinuationToken"] = answer["NextContinuationToken"]
