"""The parts of the local cloud, put together."""

from __future__ import annotations

import os
import threading
from typing import Any

import llmops_localcloud.resources  # noqa: F401  adds CloudFormation types
from llmops_localcloud import ecr, lambda_api, rds
from llmops_localcloud.bootstrap import bootstrap
from llmops_localcloud.clock import VirtualClock
from llmops_localcloud.cloudformation import api as stacks_api
from llmops_localcloud.cloudformation.models import register_models
from llmops_localcloud.credentials import Surroundings
from llmops_localcloud.daemon import Arguments
from llmops_localcloud.events import Events
from llmops_localcloud.functions import LocalFunctions
from llmops_localcloud.images import ImageStore
from llmops_localcloud.postgres import Postgres
from llmops_localcloud.processes import Ports, ProcessRegistry
from llmops_localcloud.resources.client import use_endpoint
from llmops_localcloud.server import Application, serve
from llmops_localcloud.tasks import Tasks

STOP_SECONDS = 5.0


class Cloud:
    """The daemon's parts, from the first to the last. Raises OSError if the port is taken."""

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        self._ready = False
        root, account, region = arguments.root, arguments.account, arguments.region
        endpoint = f"http://127.0.0.1:{arguments.port}"
        self.clock = VirtualClock(arguments.speed)
        self.registry = ProcessRegistry(root)
        self.ports = Ports()
        self.images = ImageStore(root)
        around = Surroundings(endpoint, account, region, root / "cache")
        self.events = Events(self.clock, account, region)
        self.logs = _Logs(account, region)
        self.tasks = Tasks(
            self.clock,
            self.registry,
            self.ports,
            self.logs,
            around,
            lambda uri: ecr.snapshot(self.images, uri),
        )
        self.functions = LocalFunctions(root, self.clock, self.registry, self.logs, around)
        self.databases = rds.install(Postgres(root, self.registry), self.ports)
        self.stacks = stacks_api.install(self.clock)
        ecr.install(self.images)
        lambda_api.install(self.functions)
        register_models()
        use_endpoint(endpoint)
        pages = {
            "/_llmops/health": self.health,
            "/_llmops/unsupported": self.stacks.unsupported,
            "/_llmops/events": self.events.recent,
        }
        self._server = serve(Application(pages), self.clock, arguments.port)

    def start(self) -> None:
        """Answer; ready when the account is bootstrapped."""
        threading.Thread(target=self._server.serve_forever, name="server", daemon=True).start()
        bootstrap(self._arguments.account, self._arguments.region)
        self._ready = True

    def stop(self) -> None:
        """End everything, tasks first, so that they finish what they have begun."""
        self._ready = False
        self.tasks.stop_all(STOP_SECONDS)
        self.functions.stop_all()
        self.databases.stop_all()
        self.registry.end_all(1.0)
        self._server.shutdown()
        self._server.server_close()

    def health(self) -> dict[str, Any]:
        """The page `/_llmops/health`."""
        arguments = self._arguments
        return {
            "ready": self._ready,
            "pid": os.getpid(),
            "root": str(arguments.root),
            "account": arguments.account,
            "region": arguments.region,
            "speed": arguments.speed,
            "time": self.clock.now().isoformat(),
            "processes": [
                {"pid": record.pid, "role": record.role} for record in self.registry.live()
            ],
            "stacks": self.stacks.summary(),
        }


class _Logs:
    def __init__(self, account: str, region: str) -> None: ...

    def line(self, group: str, stream: str, text: str, real_epoch_seconds: float) -> None:
        print(group, stream, text)
