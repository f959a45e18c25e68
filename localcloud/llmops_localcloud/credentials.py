"""What a process of the cloud needs to call the cloud: endpoint, region and dummy credentials."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Surroundings:
    """The environment that tasks and functions get from the cloud itself."""

    endpoint: str
    account: str
    region: str
    cache: Path

    def variables(self) -> dict[str, str]:
        """The variables, by the names botocore and Python read. Nothing else is inherited from
        the daemon's environment but what a program needs to start."""
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return {
            **inherited,
            "PATH": f"{Path(sys.executable).parent}:{inherited.get('PATH', os.defpath)}",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPYCACHEPREFIX": str(self.cache / "pycache"),
        }
