"""Deployment alarms and the circuit breaker (behaviour 19)."""

from __future__ import annotations

from typing import Any

import pytest

from llmops_localcloud.ecs.memory import BLUE, GREEN, PRODUCTION


def watched(cloud: Any, *, rollback: bool = True, enable: bool = True) -> dict[str, Any]:
    alarms = {"alarmNames": ["errors", "latency"], "enable": enable, "rollback": rollback}
    return dict(cloud.canary(alarms=alarms))


def test_19_an_alarm_that_fires_rolls_back(cloud: Any) -> None:
    cloud.up()
    arn = cloud.release("2", deploymentConfiguration=watched(cloud))
    assert cloud.see(arn)["alarms"]["status"] == "MONITORING"
    cloud.alarms.now = {"errors": "ALARM", "latency": "OK"}
    cloud.settle()
    seen = cloud.see(arn)
    assert seen["status"] == "ROLLBACK_SUCCESSFUL"
    assert seen["alarms"] == {
        "status": "TRIGGERED",
        "alarmNames": ["errors", "latency"],
        "triggeredAlarmNames": ["errors"],
    }
    assert "errors" in seen["statusReason"]
    assert cloud.router.rules[PRODUCTION] == {BLUE: 100, GREEN: 0}


def test_19_alarms_are_ignored_if_one_fires_at_the_start(cloud: Any) -> None:
    cloud.up()
    cloud.alarms.now = {"errors": "ALARM"}
    arn = cloud.release("2", deploymentConfiguration=watched(cloud))
    cloud.alarms.now = {"errors": "OK"}
    cloud.settle()
    cloud.alarms.now = {"latency": "ALARM"}
    cloud.settle()
    cloud.wait(minutes=5)
    cloud.wait(minutes=3)
    assert cloud.status(arn) == "SUCCESSFUL"
    assert cloud.see(arn)["alarms"]["status"] == "DISABLED"


def test_19_an_alarm_during_the_bake_rolls_back_and_after_it_does_not(cloud: Any) -> None:
    cloud.up()
    arn = cloud.release("2", deploymentConfiguration=watched(cloud))
    cloud.wait(minutes=5)
    cloud.alarms.now = {"errors": "ALARM"}
    cloud.settle()
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    cloud.alarms.now = {}
    arn = cloud.release("3")
    cloud.wait(minutes=5)
    cloud.wait(minutes=3)
    cloud.alarms.now = {"errors": "ALARM"}
    cloud.settle()
    assert cloud.status(arn) == "SUCCESSFUL"
    assert cloud.see(arn)["alarms"]["status"] == "MONITORING_COMPLETE"


def test_19_disabled_alarms_are_not_watched(cloud: Any) -> None:
    cloud.up()
    arn = cloud.release("2", deploymentConfiguration=watched(cloud, enable=False))
    cloud.alarms.now = {"errors": "ALARM"}
    cloud.settle()
    assert cloud.status(arn) == "IN_PROGRESS"


def test_19_without_rollback_a_firing_alarm_stops_the_deployment(cloud: Any) -> None:
    """Weights and tasks stay; the next deployment reconciles the service first."""
    cloud.up()
    arn = cloud.release("2", deploymentConfiguration=watched(cloud, rollback=False))
    cloud.alarms.now = {"errors": "ALARM"}
    cloud.settle()
    assert cloud.status(arn) == "STOPPED"
    assert cloud.see(arn)["stoppedAt"] == cloud.clock.now()
    assert cloud.router.rules[PRODUCTION] == {BLUE: 90, GREEN: 10}
    cloud.alarms.now = {}
    arn = cloud.release("3", deploymentConfiguration=cloud.canary())
    assert cloud.releases_running() == ["1", "1", "3", "3"]
    assert cloud.router.production()[-1] == {BLUE: 90, GREEN: 10}


def test_19_without_rollback_a_firing_alarm_may_be_ignored_by_a_switch(make_cloud: Any) -> None:
    cloud = make_cloud(alarm_without_rollback="IGNORED")
    cloud.up()
    arn = cloud.release("2", deploymentConfiguration=watched(cloud, rollback=False))
    cloud.alarms.now = {"errors": "ALARM"}
    cloud.settle()
    assert cloud.status(arn) == "IN_PROGRESS"
    assert cloud.see(arn)["alarms"]["status"] == "TRIGGERED"


@pytest.mark.parametrize(
    ("rollback", "status"), [(True, "ROLLBACK_SUCCESSFUL"), (False, "STOPPED")]
)
def test_the_circuit_breaker_ends_a_deployment_whose_tasks_keep_dying(
    cloud: Any, rollback: bool, status: str
) -> None:
    cloud.up()
    cloud.tasks.refuse = lambda spec: spec.task_definition["revision"] == 2
    breaker = {"enable": True, "rollback": rollback}
    arn = cloud.release("2", deploymentConfiguration=cloud.canary(deploymentCircuitBreaker=breaker))
    while not cloud.see(arn).get("finishedAt"):
        cloud.wait(minutes=1)
    seen = cloud.see(arn)
    assert seen["status"] == status
    assert seen["deploymentCircuitBreaker"]["status"] == "TRIGGERED"
    assert seen["deploymentCircuitBreaker"]["threshold"] == 3
    assert cloud.router.rules[PRODUCTION] == {BLUE: 100, GREEN: 0}
