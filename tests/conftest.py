"""What holds for every test: generated examples repeat, and a run has a runtime folder of its own.

The PostgreSQL wheel keeps its lock in the user's runtime folder and, where there is none, in the
temporary folder that all users of a machine share.
"""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest
from hypothesis import settings

RUNTIME = "XDG_RUNTIME_DIR"
OF_POSTGRESQL = "python_PostgresServer"
"""The wheel uses its folder in the runtime folder only if it is there."""


def pytest_configure(config: pytest.Config) -> None:
    settings.register_profile("repeatable", derandomize=True)
    settings.load_profile("repeatable")
    folder = tempfile.mkdtemp(prefix="llmops-runtime-")
    os.mkdir(os.path.join(folder, OF_POSTGRESQL))
    before = os.environ.get(RUNTIME)
    os.environ[RUNTIME] = folder

    def restore() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        if before is None:
            os.environ.pop(RUNTIME, None)
        else:
            os.environ[RUNTIME] = before

    config.add_cleanup(restore)
