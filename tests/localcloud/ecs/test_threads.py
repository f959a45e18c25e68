"""The engine among threads: no port under its lock, no call that disturbs another."""

from __future__ import annotations

import threading
import time
from typing import Any

from botocore.exceptions import ClientError

PORTS = ("tasks", "targets", "router", "functions", "alarms", "events")


class Guarded:
    """A port that refuses to be called by a thread that holds the engine's lock."""

    def __init__(self, port: Any, lock: Any, held: list[str]) -> None:
        self._port, self._lock, self._held = port, lock, held

    def __getattr__(self, name: str) -> Any:
        if self._lock._is_owned():
            self._held.append(name)
        return getattr(self._port, name)


def test_no_port_is_called_under_the_engines_lock(cloud: Any) -> None:
    held: list[str] = []
    for name in PORTS:
        guarded = Guarded(getattr(cloud.engine.world, name), cloud.engine.lock, held)
        setattr(cloud.engine.world, name, guarded)
    alarms = {"alarmNames": ["a"], "enable": True, "rollback": True}
    config = cloud.canary(alarms=alarms, lifecycleHooks=[cloud.function("TEST_TRAFFIC_SHIFT")])
    cloud.up(deploymentConfiguration=config)
    arn = cloud.release("2")
    cloud.ecs.stop_service_deployment(serviceDeploymentArn=arn)
    cloud.settle()
    cloud.ecs.update_service(
        cluster="c", service="web", loadBalancers=[cloud.load_balancer()], forceNewDeployment=True
    )
    cloud.ecs.delete_service(cluster="c", service="web", force=True)
    cloud.settle()
    assert cloud.service()["status"] == "INACTIVE"
    assert held == []


def test_many_callers_at_once_see_whole_answers_and_the_engine_goes_on(cloud: Any) -> None:
    cloud.up(deploymentConfiguration=cloud.canary(canary_bake=0, bake=0))
    cloud.engine.start(0.001)
    until = time.monotonic() + 2
    failures: list[BaseException] = []

    def call() -> None:
        try:
            while time.monotonic() < until:
                cloud.see(cloud.latest())
                cloud.ecs.list_tasks(cluster="c", serviceName="web")
                cloud.ecs.update_service(cluster="c", service="web", forceNewDeployment=True)
        except (ClientError, AssertionError) as failure:
            failures.append(failure)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert failures == []
    last = next(iter(cloud.engine.services.values())).deployments[-1]
    assert cloud.engine.wait_until(lambda: last.over, 10)
    assert cloud.status(last.arn) == "SUCCESSFUL"
