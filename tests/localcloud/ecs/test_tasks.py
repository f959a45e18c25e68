"""Tasks of a service: kept at the desired count, registered, drained before they stop."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from llmops_localcloud.ecs.memory import BLUE, GREEN
from llmops_localcloud.ports import TargetHealth


def arns(cloud: Any, status: str = "RUNNING") -> list[str]:
    answer = cloud.ecs.list_tasks(cluster="c", serviceName="web", desiredStatus=status)
    return list(answer["taskArns"])


def described(cloud: Any, *tasks: str) -> list[dict[str, Any]]:
    return list(cloud.ecs.describe_tasks(cluster="c", tasks=list(tasks))["tasks"])


def test_a_task_that_dies_is_deregistered_and_replaced(cloud: Any) -> None:
    cloud.up()
    dead = arns(cloud)[0]
    address = cloud.tasks.view(dead).address
    cloud.tasks.end(dead, 137, "killed")
    cloud.settle()
    assert len(arns(cloud)) == 2
    assert dead not in arns(cloud)
    assert address not in cloud.targets.groups[BLUE]
    (told,) = described(cloud, dead)
    assert told["lastStatus"] == "STOPPED"
    assert told["stopCode"] == "EssentialContainerExited"
    assert told["stoppedReason"] == "killed"
    assert told["containers"][0]["exitCode"] == 137


def test_a_task_that_dies_in_the_middle_of_a_canary_is_replaced_in_its_own_revision(
    cloud: Any,
) -> None:
    cloud.up()
    arn = cloud.release("2")
    victim = next(
        each
        for each in cloud.tasks.running()
        if cloud.tasks.specs[each].task_definition["revision"] == 2
    )
    cloud.tasks.end(victim, 137)
    cloud.settle()
    assert cloud.releases_running() == ["1", "1", "2", "2"]
    assert len(cloud.targets.groups[GREEN]) == 2
    assert cloud.status(arn) == "IN_PROGRESS"


def test_tasks_that_die_at_once_are_started_again_ever_more_slowly(cloud: Any) -> None:
    cloud.tasks.refuse = lambda spec: True
    cloud.create(desiredCount=1)
    cloud.settle()
    counts = []
    for _ in range(6):
        cloud.wait(seconds=10)
        counts.append(len(cloud.tasks.specs))
    assert counts == [2, 3, 3, 4, 4, 4]
    assert cloud.service()["deployments"][0]["failedTasks"] == 4


def test_a_task_is_drained_before_it_is_stopped(cloud: Any) -> None:
    cloud.up()
    cloud.targets.holds_draining = True
    cloud.update(desiredCount=1)
    cloud.settle()
    assert sorted(cloud.targets.groups[BLUE].values()) == ["draining", "healthy"]
    assert len(cloud.tasks.running()) == 2
    assert [each["lastStatus"] for each in described(cloud, *arns(cloud, "STOPPED"))] == [
        "DEACTIVATING"
    ]
    cloud.targets.finish_draining()
    cloud.settle()
    assert len(cloud.tasks.running()) == 1


def test_a_revision_is_up_only_when_its_target_group_says_healthy(cloud: Any) -> None:
    cloud.up()
    cloud.targets.first_health = TargetHealth.INITIAL
    arn = cloud.release("2")
    assert cloud.see(arn)["lifecycleStage"] == "SCALE_UP"
    cloud.targets.set_all(GREEN, TargetHealth.HEALTHY)
    cloud.settle()
    assert cloud.see(arn)["lifecycleStage"] == "PRODUCTION_TRAFFIC_SHIFT"


def test_a_task_whose_health_check_fails_is_replaced(cloud: Any) -> None:
    cloud.up()
    sick = arns(cloud)[0]
    cloud.targets.groups[BLUE][cloud.tasks.view(sick).address] = TargetHealth.UNHEALTHY
    cloud.settle()
    assert sick not in arns(cloud)
    assert len(arns(cloud)) == 2
    assert "failed ELB health checks" in described(cloud, sick)[0]["stoppedReason"]


@pytest.mark.parametrize("speed", [1.0, 60.0])
def test_the_grace_of_a_starting_task_is_counted_in_real_seconds(
    make_cloud: Any, speed: float
) -> None:
    cloud = make_cloud(speed=speed)
    cloud.targets.first_health = TargetHealth.UNHEALTHY
    cloud.create(healthCheckGracePeriodSeconds=60)
    cloud.settle()
    cloud.wait(seconds=59 * speed)
    assert len(cloud.tasks.specs) == 2
    cloud.clock.move(seconds=speed)
    cloud.engine.tick()
    cloud.engine.tick()
    assert len(cloud.tasks.specs) == 4


def test_stop_task_drains_and_the_service_starts_another(cloud: Any) -> None:
    cloud.up()
    task = arns(cloud)[0]
    answer = cloud.ecs.stop_task(cluster="c", task=task, reason="trying")
    assert answer["task"]["desiredStatus"] == "STOPPED"
    cloud.settle()
    assert task not in arns(cloud)
    assert len(arns(cloud)) == 2
    assert described(cloud, task)[0]["stopCode"] == "UserInitiated"
    with pytest.raises(ClientError, match="The referenced task was not found"):
        cloud.ecs.stop_task(cluster="c", task="none")


def test_a_task_is_described_with_where_it_listens(cloud: Any) -> None:
    cloud.up()
    (told,) = described(cloud, arns(cloud)[0])
    address = cloud.tasks.view(told["taskArn"]).address
    binding = told["containers"][0]["networkBindings"][0]
    assert (binding["bindIP"], binding["hostPort"]) == address
    assert binding["containerPort"] == 8080
    missing = cloud.ecs.describe_tasks(cluster="c", tasks=["none"])["failures"]
    assert missing == [{"arn": "none", "reason": "MISSING"}]


def test_deleting_a_service_stops_all_its_tasks(cloud: Any) -> None:
    cloud.up()
    cloud.release("2")
    with pytest.raises(ClientError, match="scaled above 0"):
        cloud.ecs.delete_service(cluster="c", service="web")
    answer = cloud.ecs.delete_service(cluster="c", service="web", force=True)
    assert answer["service"]["status"] == "DRAINING"
    cloud.settle()
    assert cloud.service()["status"] == "INACTIVE"
    assert cloud.tasks.running() == []
    assert cloud.ecs.list_services(cluster="c")["serviceArns"] == []
    cloud.router.rules[cloud.load_balancer()["advancedConfiguration"]["productionListenerRule"]] = {
        BLUE: 100
    }
    assert cloud.up()


def test_the_waiter_for_stable_services_ends_after_a_deployment(cloud: Any) -> None:
    cloud.up()
    cloud.ecs.get_waiter("services_stable").wait(
        cluster="c", services=["web"], WaiterConfig={"Delay": 0, "MaxAttempts": 1}
    )
    cloud.release("2")
    assert len(cloud.service()["deployments"]) == 2


def test_rolling_replaces_tasks_in_the_same_target_group(cloud: Any) -> None:
    """ROLLING is emulated simply: all new tasks beside the old, then the old ones go."""
    plain = cloud.load_balancer()
    del plain["advancedConfiguration"]
    cloud.up(loadBalancers=[plain], deploymentConfiguration={"strategy": "ROLLING"})
    cloud.targets.first_health = TargetHealth.INITIAL
    arn = cloud.release("2")
    assert cloud.releases_running() == ["1", "1", "2", "2"]
    cloud.targets.set_all(BLUE, TargetHealth.HEALTHY)
    cloud.settle()
    assert cloud.status(arn) == "SUCCESSFUL"
    assert cloud.releases_running() == ["2", "2"]
    assert cloud.router.changes == []


def test_rolling_rolls_back_by_stopping_the_new_tasks(cloud: Any) -> None:
    plain = cloud.load_balancer()
    del plain["advancedConfiguration"]
    cloud.up(loadBalancers=[plain], deploymentConfiguration={"strategy": "ROLLING"})
    cloud.targets.first_health = TargetHealth.INITIAL
    arn = cloud.release("2")
    cloud.ecs.stop_service_deployment(serviceDeploymentArn=arn)
    cloud.settle()
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    assert cloud.releases_running() == ["1", "1"]


def test_a_rolling_service_with_two_groups_can_become_a_canary(cloud: Any) -> None:
    """The documented migration: advancedConfiguration first, then the strategy."""
    cloud.up(deploymentConfiguration={"strategy": "ROLLING"})
    arn = cloud.release("2", deploymentConfiguration=cloud.canary())
    assert cloud.router.production()[-1] == {BLUE: 90, GREEN: 10}
    cloud.wait(minutes=5)
    cloud.wait(minutes=3)
    assert cloud.status(arn) == "SUCCESSFUL"


def test_rolling_refuses_hooks(cloud: Any) -> None:
    config = {"strategy": "ROLLING", "lifecycleHooks": [cloud.pause("PRE_SCALE_UP")]}
    with pytest.raises(ClientError, match="not for ROLLING"):
        cloud.create(deploymentConfiguration=config)


def test_a_cluster_counts_its_services_and_tasks(cloud: Any) -> None:
    cloud.up()
    (cluster,) = cloud.client("ecs").describe_clusters(clusters=["c"])["clusters"]
    assert cluster["activeServicesCount"] == 1
    assert cluster["runningTasksCount"] == 2
    with pytest.raises(ClientError, match="Cluster not found"):
        cloud.ecs.list_tasks(cluster="none")


def test_the_engine_ticks_by_itself_until_it_is_closed(cloud: Any) -> None:
    cloud.create(deploymentConfiguration=cloud.canary(bake=0))
    cloud.engine.start(0.005)
    service = next(iter(cloud.engine.services.values()))
    assert cloud.engine.wait_until(lambda: service.deployments[-1].over, 10)
    cloud.engine.close()
    assert cloud.status(service.deployments[-1].arn) == "SUCCESSFUL"
