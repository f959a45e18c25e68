"""The rollout's folder in the artifact bucket: the gate's record and the operator's word.

rollouts/<deployment id>/gate.json       written by the gate at every call
rollouts/<deployment id>/decision.json   written by `llmops promote` and `llmops rollback`
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from llmops_functions import awstime
from llmops_functions.call import Answer, Call
from llmops_functions.readings import Source
from llmops_functions.rollout import Rollout, Side

SCHEMA = 1
MISSING = ("NoSuchKey", "404")

Content = Mapping[str, Any]
"""A record or a part of it, as JSON."""


class WordError(Exception):
    """decision.json is there, but it is not a decision."""


class Record:
    """One rollout's folder."""

    def __init__(self, s3: Any, bucket: str, rollout_id: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._folder = f"rollouts/{rollout_id}"
        self.now: int | None = None
        """Epoch seconds of S3's last answer to a read, by its Date header."""

    @property
    def name(self) -> str:
        """Where the record is."""
        return f"s3://{self._bucket}/{self._folder}/gate.json"

    def word(self) -> dict[str, Any] | None:
        """The operator's decision, if there is one. Raises WordError if it cannot be understood."""
        word = self._get("decision.json")
        if word is not None and (
            not isinstance(word, dict) or word.get("decision") not in ("promote", "rollback")
        ):
            raise WordError(f"{self._folder}/decision.json must say promote or rollback.")
        return word

    def read(self) -> Content | None:
        """The gate's record so far."""
        record = self._get("gate.json")
        return record if isinstance(record, dict) else None

    def write(self, record: Content) -> None:
        """Replace the record."""
        self._s3.put_object(
            Bucket=self._bucket,
            Key=f"{self._folder}/gate.json",
            Body=json.dumps(record, indent=1).encode(),
            ContentType="application/json",
        )

    def _get(self, name: str) -> Any:
        try:
            response = self._s3.get_object(Bucket=self._bucket, Key=f"{self._folder}/{name}")
        except ClientError as error:
            self._notice(error.response)
            if error.response["Error"]["Code"] in MISSING:
                return None
            raise
        self._notice(response)
        return json.loads(response["Body"].read())

    def _notice(self, response: Mapping[str, Any]) -> None:
        headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        if "date" in headers:
            self.now = awstime.of_response(response)


def extended(
    record: Content | None,
    *,
    header: Content,
    entry: Content,
    intervals: Iterable[Content],
    conclusion: Content,
) -> Content:
    """The record with one more call; an interval that is in it already is replaced."""
    old = record or {"calls": [], "intervals": []}
    by_start = {interval["start"]: interval for interval in old["intervals"]}
    by_start |= {interval["start"]: interval for interval in intervals}
    return {
        "schema": SCHEMA,
        **header,
        "calls": [*old["calls"], entry],
        "intervals": [by_start[start] for start in sorted(by_start)],
        **conclusion,
    }


def after_failure(record: Content | None, call: Call, answer: Answer, now: int | None) -> Content:
    """The record with a call that could not judge; who is judged stays as it was known."""
    unknown = {"baseline": None, "canary": None, "policy": dict(call.policy), "decision": None}
    return extended(
        record,
        header={"rollout": call.rollout, **unknown, **(record or {})},
        entry=entry(call, now, answer),
        intervals=[],
        conclusion={"decided_by": answer.decided_by},
    )


def header(call: Call, rollout: Rollout, source: Source) -> Content:
    """Who is judged, by what policy."""
    return {
        "rollout": call.rollout,
        "service": source.service,
        "environment": source.environment,
        "baseline": _side(rollout.baseline),
        "canary": _side(rollout.canary),
        "policy": dict(call.policy),
    }


def entry(call: Call, now: int | None, answer: Answer) -> Content:
    """One call as the record keeps it."""
    share = 100 * call.canary_share
    return {
        "at": None if now is None else awstime.iso(now),
        "stage": call.stage,
        "weights": {"baseline": round(100 - share, 4), "canary": round(share, 4)},
        "hook_status": answer.status,
        "reason": answer.reason,
        "verdict": answer.verdict,
    }


def _side(side: Side | None) -> dict[str, str] | None:
    return None if side is None else {"release": side.release, "revision": side.revision}
