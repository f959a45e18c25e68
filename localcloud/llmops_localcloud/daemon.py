"""The local cloud's process: `python -m llmops_localcloud.daemon '{"root": ..., "port": ...}'`.

Started by `launch.up`, ended by SIGTERM or SIGINT. It answers on 127.0.0.1 only.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from pydantic import BaseModel


class Arguments(BaseModel):
    """What `launch` hands over."""

    root: Path
    port: int
    speed: float
    account: str
    region: str
    switches: dict[str, str] = {}


def main(text: str) -> int:
    """Serve until a signal ends it; the exit code."""
    arguments = Arguments.model_validate_json(text)
    _settle_environment(arguments)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    # moto reads its settings when it is imported.
    from llmops_localcloud.cloud import Cloud

    try:
        cloud = Cloud(arguments)
    except (OSError, ValueError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    try:
        cloud.start()
        ended.wait()
    finally:
        cloud.stop()
    return 0


def _settle_environment(arguments: Arguments) -> None:
    """The settings of moto and boto3 in this process; nothing of the user's own AWS leaks in."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MOTO_"))]:
        del os.environ[name]
    settings: dict[str, Any] = {
        "MOTO_ACCOUNT_ID": arguments.account,
        "AWS_DEFAULT_REGION": arguments.region,
        "AWS_REGION": arguments.region,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
    os.environ.update(settings)


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stdout.flush()
    sys.stderr.flush()
    # Requests under way hold threads; all that has to end has ended.
    os._exit(code)
