"""Rollouts that the judge itself judged, once for all tests."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from told_rollouts import good_one, misrouted_one, slow_one, wrong_one

MAKERS = {"bad": slow_one, "good": good_one, "held": misrouted_one, "wrong": wrong_one}


@cache
def _told(name: str) -> dict[str, Any]:
    return MAKERS[name]().told()


def told(name: str) -> dict[str, Any]:
    """The evidence of one of the stories, to be changed at will."""
    return deepcopy(_told(name))


@pytest.fixture
def bad() -> dict[str, Any]:
    """Slow; rolled back by the gate."""
    return told("bad")


@pytest.fixture
def good() -> dict[str, Any]:
    """As good as the baseline; promoted by the gate."""
    return told("good")


@pytest.fixture
def held() -> dict[str, Any]:
    """Gets half of its traffic; inconclusive, held for a person."""
    return told("held")


@pytest.fixture
def wrong() -> dict[str, Any]:
    """Fails the golden set; no user ever saw it."""
    return told("wrong")
