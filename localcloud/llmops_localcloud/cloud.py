"""The parts of the local cloud, put together."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import llmops_localcloud.resources  # noqa: F401  adds CloudFormation types
from llmops_localcloud import bucket_policies, cloudwatch, ecr, elbv2, lambda_api, rds, rotation
from llmops_localcloud.bootstrap import bootstrap
from llmops_localcloud.clock import VirtualClock
from llmops_localcloud.cloudformation import api as stacks_api
from llmops_localcloud.cloudformation.models import register_models
from llmops_localcloud.credentials import Surroundings
from llmops_localcloud.daemon import Arguments
from llmops_localcloud.ecs import responses as ecs
from llmops_localcloud.events import Events
from llmops_localcloud.functions import LocalFunctions
from llmops_localcloud.images import ImageStore
from llmops_localcloud.ports import Switches, World
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
        self.cloudwatch = cloudwatch.install(clock=self.clock, account=account, region=region)
        self.tasks = Tasks(
            self.clock,
            self.registry,
            self.ports,
            logs=self.cloudwatch.logs,
            surroundings=around,
            pull=lambda uri: ecr.snapshot(self.images, uri),
        )
        self.functions = LocalFunctions(
            root, self.clock, self.registry, self.cloudwatch.logs, around
        )
        self.databases = rds.install(Postgres(root, self.registry), self.ports)
        self.stacks = stacks_api.install(self.clock)
        bucket_policies.install()
        ecr.install(self.images)
        lambda_api.install(self.functions)
        rotation.install(self.functions, self.clock)
        self.plane = elbv2.install(clock=self.clock, put=self.cloudwatch.put)
        self.engine = ecs.install(self._world(), account, region)
        register_models()
        use_endpoint(endpoint)
        application = Application(
            {
                "/_llmops/health": self.health,
                "/_llmops/unsupported": self.stacks.unsupported,
                "/_llmops/events": self.events.recent,
            },
            {"/_llmops/blobs/": self.images.blob},
        )
        self._server = serve(application, self.clock, arguments.port)

    def start(self) -> None:
        """Answer; ready when the account is bootstrapped."""
        threading.Thread(target=self._server.serve_forever, name="server", daemon=True).start()
        bootstrap(self._arguments.account, self._arguments.region)
        self._ready = True

    def stop(self) -> None:
        """End everything, tasks first, so that they finish what they have begun."""
        self._ready = False
        self.engine.close()
        self.tasks.stop_all(STOP_SECONDS)
        self.plane.stop()
        self.cloudwatch.stop()
        self.functions.stop_all()
        self.databases.stop_all()
        self.registry.end_all(1.0)
        self._server.shutdown()
        self._server.server_close()

    def health(self) -> dict[str, Any]:
        """The page `/_llmops/health`."""
        arguments = self._arguments
        # The load balancer gets a new process when the old one dies.
        self.registry.record(self.plane.pid, "load balancer")
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

    def _world(self) -> World:
        return World(
            clock=self.clock,
            tasks=self.tasks,
            targets=self.plane,
            router=self.plane,
            functions=self.functions,
            alarms=self.cloudwatch.alarms,
            events=self.events,
            switches=switches(self._arguments.switches),
        )


def switches(given: Mapping[str, str]) -> Switches:
    """The switches from their texts. Raises ValueError naming a switch there is not."""
    known = {field.name: field.default for field in fields(Switches)}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(
            f"The local cloud has no switch {', '.join(unknown)}; it has {', '.join(known)}."
        )
    values: dict[str, Any] = {
        name: _truth(name, text) if isinstance(known[name], bool) else text
        for name, text in given.items()
    }
    return Switches(**values)


def _truth(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"The switch {name} is {text!r}; it should be true or false.")
    return text.lower() == "true"
