"""Metrics inside log lines: CloudWatch's embedded metric format (specification version 0)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Datum:
    """Values of one metric under one dimension set; `real_epoch_seconds` is the document's time."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    values: tuple[float, ...]
    unit: str
    real_epoch_seconds: float


def extract(line: str) -> list[Datum]:
    """The metrics of a line; none if it is not an EMF document.

    A metric or dimension that the document names but does not hold is left out, as CloudWatch does
    with what it cannot use.
    """
    if '"_aws"' not in line:
        return []
    try:
        document = json.loads(line)
    except ValueError:
        return []
    if not isinstance(document, dict) or not isinstance(document.get("_aws"), dict):
        return []
    return list(_data(document))


def _data(document: Mapping[str, Any]) -> Iterator[Datum]:
    meta = document["_aws"]
    stamp = meta.get("Timestamp")
    if not isinstance(stamp, int | float):
        return
    for directive in meta.get("CloudWatchMetrics") or ():
        sets = [
            {name: str(document[name]) for name in names}
            for names in directive.get("Dimensions") or [[]]
            if all(name in document for name in names)
        ]
        for metric in directive.get("Metrics") or ():
            values = _values(document.get(metric.get("Name")))
            for dimensions in sets if values else ():
                yield Datum(
                    directive.get("Namespace") or "aws-embedded-metrics",
                    metric["Name"],
                    dimensions,
                    values,
                    metric.get("Unit") or "None",
                    stamp / 1000,
                )


def _values(found: Any) -> tuple[float, ...]:
    given = found if isinstance(found, list) else [found]
    return tuple(
        float(v) for v in given[:100] if isinstance(v, int | float) and not isinstance(v, bool)
    )
