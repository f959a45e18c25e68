"""What an UpdateService does, and what the lists say after it (behaviours 4, 5, 25, 26)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from llmops_localcloud.ecs.memory import BLUE, GREEN


def listed(cloud: Any, **filters: Any) -> list[dict[str, Any]]:
    answer = cloud.ecs.list_service_deployments(cluster="c", service="web", **filters)
    found: list[dict[str, Any]] = answer["serviceDeployments"]
    return found


def test_04_a_new_task_definition_makes_one_revision_and_one_deployment(cloud: Any) -> None:
    first = cloud.up()
    arn = cloud.update(taskDefinition=cloud.register("2"))
    assert cloud.status(arn) == "PENDING"
    cloud.settle()
    assert cloud.status(arn) == "IN_PROGRESS"
    assert {each["serviceDeploymentArn"] for each in listed(cloud)} == {first, arn}
    source, target = (
        cloud.see(arn)["sourceServiceRevisions"][0]["arn"],
        cloud.see(arn)["targetServiceRevision"]["arn"],
    )
    answer = cloud.ecs.describe_service_revisions(serviceRevisionArns=[source, target])
    definitions = [each["taskDefinition"] for each in answer["serviceRevisions"]]
    assert [each.rsplit(":", 1)[-1] for each in definitions] == ["1", "2"]


def test_04_a_deployment_configuration_alone_starts_no_deployment(cloud: Any) -> None:
    first = cloud.up()
    assert cloud.update(deploymentConfiguration=cloud.canary(percent=50)) == first
    cloud.release("2")
    assert cloud.router.production()[-1] == {BLUE: 50, GREEN: 50}


def test_04_a_desired_count_alone_starts_no_deployment_but_scales(cloud: Any) -> None:
    first = cloud.up()
    assert cloud.update(desiredCount=3) == first
    cloud.settle()
    assert cloud.releases_running() == ["1", "1", "1"]
    cloud.update(desiredCount=1)
    cloud.settle()
    assert cloud.releases_running() == ["1"]


def test_04_the_same_task_definition_and_load_balancers_again_start_no_deployment(
    cloud: Any,
) -> None:
    first = cloud.up()
    same = {"taskDefinition": "web:1", "loadBalancers": [cloud.load_balancer()]}
    definition = cloud.service()["taskDefinition"]
    assert cloud.update(**{**same, "taskDefinition": definition}) == first
    assert cloud.update(forceNewDeployment=True) != first


def test_05_a_family_is_its_latest_active_revision_at_the_time_of_the_call(cloud: Any) -> None:
    cloud.up()
    second, third = cloud.register("2"), cloud.register("3")
    cloud.ecs.deregister_task_definition(taskDefinition=third)
    cloud.update(taskDefinition="web")
    assert cloud.service()["taskDefinition"] == second


def test_05_an_inactive_task_definition_is_refused(cloud: Any) -> None:
    first = cloud.up()
    gone = cloud.register("2")
    cloud.ecs.deregister_task_definition(taskDefinition=gone)
    with pytest.raises(ClientError, match="TaskDefinition is inactive"):
        cloud.update(taskDefinition=gone)
    assert cloud.latest() == first


@pytest.mark.parametrize("status", ["STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"])
def test_25_a_newer_deployment_overtakes_the_one_under_way(make_cloud: Any, status: str) -> None:
    cloud = make_cloud(superseded_status=status)
    cloud.up()
    old = cloud.release("2")
    new = cloud.release("3")
    assert cloud.status(old) == status
    assert "a newer service deployment replaced it" in cloud.see(old)["statusReason"]
    cloud.wait(minutes=5)
    cloud.wait(minutes=3)
    assert cloud.status(new) == "SUCCESSFUL"
    assert cloud.releases_running() == ["3", "3"]


def test_25_a_deployment_overtaken_in_its_clean_up_has_succeeded(cloud: Any) -> None:
    cloud.up()
    cloud.targets.holds_draining = True
    old = cloud.release("2")
    cloud.wait(minutes=5)
    cloud.wait(minutes=3)
    assert cloud.see(old)["lifecycleStage"] == "CLEAN_UP"
    new = cloud.release("3")
    assert cloud.status(old) == "SUCCESSFUL"
    cloud.targets.finish_draining()
    cloud.settle()
    assert cloud.router.production()[-1] == {BLUE: 10, GREEN: 90}
    assert cloud.status(new) == "IN_PROGRESS"


def test_25_rolling_back_the_newer_one_undoes_the_overtaken_one_too(cloud: Any) -> None:
    cloud.up()
    cloud.release("2")
    assert cloud.router.production()[-1] == {BLUE: 90, GREEN: 10}
    arn = cloud.update(taskDefinition=cloud.register("3"))
    cloud.ecs.stop_service_deployment(serviceDeploymentArn=arn)
    cloud.settle()
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    assert cloud.router.production()[-1] == {BLUE: 100, GREEN: 0}
    assert cloud.releases_running() == ["1", "1"]


def test_25_a_rolling_deployment_takes_the_traffic_back_from_the_overtaken_one(cloud: Any) -> None:
    cloud.up()
    cloud.release("2")
    arn = cloud.release("3", deploymentConfiguration={"strategy": "ROLLING", "lifecycleHooks": []})
    assert cloud.status(arn) == "SUCCESSFUL"
    assert cloud.router.production()[-1] == {BLUE: 100, GREEN: 0}
    assert cloud.releases_running() == ["3", "3"]


def test_25_a_first_deployment_that_is_overtaken_gives_way(cloud: Any) -> None:
    config = cloud.canary(lifecycleHooks=[cloud.pause("POST_SCALE_UP")])
    old = cloud.create(deploymentConfiguration=config)
    cloud.settle()
    new = cloud.update(
        taskDefinition=cloud.register("2"), deploymentConfiguration={"lifecycleHooks": []}
    )
    cloud.settle()
    cloud.wait(minutes=3)
    assert cloud.status(old) == "STOPPED"
    assert cloud.status(new) == "SUCCESSFUL"
    assert cloud.releases_running() == ["2", "2"]


def test_26_describe_takes_at_most_20_arns_and_names_the_missing(cloud: Any) -> None:
    arn = cloud.up()
    missing = arn[:-1] + ("a" if arn[-1] != "a" else "b")
    answer = cloud.ecs.describe_service_deployments(serviceDeploymentArns=[arn, missing])
    assert [each["serviceDeploymentArn"] for each in answer["serviceDeployments"]] == [arn]
    assert answer["failures"] == [{"arn": missing, "reason": "MISSING"}]
    with pytest.raises(ClientError, match="from 1 to 20"):
        cloud.ecs.describe_service_deployments(serviceDeploymentArns=[arn] * 21)
    answer = cloud.ecs.describe_service_revisions(serviceRevisionArns=[missing])
    assert answer["failures"] == [{"arn": missing, "reason": "MISSING"}]


def test_26_list_is_filtered_by_status_and_time_newest_first(cloud: Any) -> None:
    first = cloud.up()
    before = cloud.clock.now()
    cloud.clock.move(minutes=1)
    second = cloud.release("2")
    assert [each["serviceDeploymentArn"] for each in listed(cloud)] == [second, first]
    assert [each["status"] for each in listed(cloud, status=["SUCCESSFUL"])] == ["SUCCESSFUL"]
    recent = listed(cloud, createdAt={"after": before})
    assert [each["serviceDeploymentArn"] for each in recent] == [second]
    older = listed(cloud, createdAt={"before": before + timedelta(seconds=1)})
    assert [each["serviceDeploymentArn"] for each in older] == [first]


def test_26_list_pages_20_at_a_time_unless_asked_for_up_to_100(cloud: Any) -> None:
    cloud.create(deploymentConfiguration={"strategy": "ROLLING"})
    for _ in range(20):
        cloud.update(forceNewDeployment=True)
    answer = cloud.ecs.list_service_deployments(cluster="c", service="web")
    assert len(answer["serviceDeployments"]) == 20
    rest = cloud.ecs.list_service_deployments(
        cluster="c", service="web", nextToken=answer["nextToken"]
    )
    assert len(rest["serviceDeployments"]) == 1
    assert "nextToken" not in rest
    with pytest.raises(ClientError, match="from 1 to 100"):
        listed(cloud, maxResults=101)


@pytest.mark.parametrize(("eventually", "known_at_once"), [(True, 1), (False, 2)])
def test_26_whether_the_first_list_misses_a_new_deployment_is_a_switch(
    make_cloud: Any, eventually: bool, known_at_once: int
) -> None:
    cloud = make_cloud(eventually_consistent_lists=eventually)
    cloud.up()
    listed(cloud)
    cloud.update(taskDefinition=cloud.register("2"))
    assert len(listed(cloud)) == known_at_once
    assert len(listed(cloud)) == 2


@pytest.mark.parametrize(("resets", "percent", "bake"), [(False, 25.0, 7), (True, 5.0, 15)])
def test_whether_a_partial_configuration_resets_what_it_omits_is_a_switch(
    make_cloud: Any, resets: bool, percent: float, bake: int
) -> None:
    cloud = make_cloud(reset_omitted_configuration=resets)
    cloud.up(deploymentConfiguration=cloud.canary(percent=25, bake=7))
    cloud.update(deploymentConfiguration={"strategy": "CANARY"})
    config = cloud.service()["deploymentConfiguration"]
    assert config["canaryConfiguration"]["canaryPercent"] == percent
    assert config["bakeTimeInMinutes"] == bake
