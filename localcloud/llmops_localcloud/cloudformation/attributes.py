"""Attributes for Fn::GetAtt that moto's models lack, by type and name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Attribute = Callable[[Any, str, str], Any]
"""Takes the model, the account and the region."""

EXTRA: dict[tuple[str, str], Attribute] = {}
"""Filled by each part of the local cloud for the types it knows."""
