"""Extending moto from outside: one way to put a subclass of a response class in its place."""

from __future__ import annotations

import importlib
from typing import Any


def replace_response(service: str, original: type[Any], replacement: type[Any]) -> None:
    """Make a moto service (its package name, e.g. 'ecr') answer with a subclass of its response
    class. Every URL the original's `dispatch` served goes to the replacement's; to be called
    before the server takes its first request."""
    urls = importlib.import_module(f"moto.{service}.urls")
    for path, handler in list(urls.url_paths.items()):
        if getattr(handler, "__self__", None) is original:
            urls.url_paths[path] = getattr(replacement, handler.__name__)
