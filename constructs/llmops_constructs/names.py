"""The one place that makes names."""

from __future__ import annotations


def resource_name(prefix: str, *parts: str) -> str:
    """`handbook-prod` and `5xx`, `share` give `handbook-prod-5xx-share`."""
    return "-".join((prefix, *parts))


def log_group_name(prefix: str, what: str) -> str:
    """`handbook-prod` and `gate` give `/llmops/handbook-prod/gate`."""
    return f"/llmops/{prefix}/{what}"
