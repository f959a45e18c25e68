"""Where commands keep what they write on this machine: `.llmops/` beside llmops.toml.

`LLMOPS_STATE` names another folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from llmops_runbooks import settings

VARIABLE = "LLMOPS_STATE"


def folder() -> Path:
    """The folder, not necessarily there yet. Raises SettingsError outside a project."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen).resolve() if chosen else settings.find().parent / ".llmops"
