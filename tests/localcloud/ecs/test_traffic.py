"""Listener rules and target groups (behaviours 20 to 23)."""

from __future__ import annotations

from typing import Any

import pytest

from llmops_localcloud.ecs.memory import BLUE, GREEN, PRODUCTION, TEST
from llmops_localcloud.ecs.traffic import weights_for

NETWORKING = "Service deployment rolled back because of invalid networking configuration: "


def test_20_the_rule_is_rewritten_to_both_groups_and_their_roles_swap(cloud: Any) -> None:
    cloud.router.rules[PRODUCTION] = {BLUE: 1}
    cloud.create()
    cloud.settle()
    cloud.wait(minutes=3)
    assert cloud.router.rules[PRODUCTION] == {BLUE: 100, GREEN: 0}
    for release, expected in (("2", {BLUE: 0, GREEN: 100}), ("3", {BLUE: 100, GREEN: 0})):
        cloud.release(release)
        cloud.wait(minutes=5)
        assert cloud.router.rules[PRODUCTION] == expected
        cloud.wait(minutes=3)
        serving = max(expected, key=lambda group: expected[group])
        assert len(cloud.targets.groups[serving]) == 2
        idle = BLUE if serving == GREEN else GREEN
        assert cloud.targets.groups[idle] == {}


def test_20_a_revision_tells_the_target_group_it_was_given(cloud: Any) -> None:
    cloud.up()
    arn = cloud.release("2")
    revision = cloud.see(arn)["targetServiceRevision"]["arn"]
    answer = cloud.ecs.describe_service_revisions(serviceRevisionArns=[revision])
    assert answer["serviceRevisions"][0]["resolvedConfiguration"]["loadBalancers"] == [
        {"targetGroupArn": GREEN, "productionListenerRule": PRODUCTION}
    ]
    assert answer["serviceRevisions"][0]["loadBalancers"][0]["targetGroupArn"] == BLUE


@pytest.mark.parametrize("weights", [{BLUE: 50, GREEN: 50}, {BLUE: 0, GREEN: 0}])
def test_21_exactly_one_target_group_must_serve(cloud: Any, weights: dict[str, int]) -> None:
    cloud.up()
    cloud.router.rules[PRODUCTION] = weights
    arn = cloud.release("2")
    count = sum(weight > 0 for weight in weights.values())
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    assert cloud.see(arn)["statusReason"] == (
        f"{NETWORKING}{PRODUCTION} should have exactly one target group serving traffic but found "
        f"{count} target groups which are serving traffic"
    )
    assert cloud.router.rules[PRODUCTION] == weights
    assert cloud.releases_running() == ["1", "1"]


@pytest.mark.parametrize("group", [GREEN, "arn:aws:elasticloadbalancing:x:1:targetgroup/other/1"])
def test_21_it_must_be_the_group_of_the_serving_revision(cloud: Any, group: str) -> None:
    cloud.up()
    cloud.router.rules[PRODUCTION] = {group: 100}
    arn = cloud.release("2")
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    assert cloud.see(arn)["statusReason"] == (
        f"{NETWORKING}Production listener rule is forwarding traffic to unexpected target group "
        f"{group}"
    )


def test_21_a_rule_that_is_gone_is_told(cloud: Any) -> None:
    cloud.up()
    del cloud.router.rules[PRODUCTION]
    arn = cloud.release("2")
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    assert cloud.see(arn)["statusReason"] == (
        f"{NETWORKING}Target group {GREEN} is not associated with either productionListenerRule "
        "or testListenerRule."
    )


def test_22_the_test_rule_goes_to_the_target_at_the_test_shift(cloud: Any) -> None:
    cloud.up()
    config = cloud.canary(lifecycleHooks=[cloud.pause("POST_SCALE_UP", "POST_TEST_TRAFFIC_SHIFT")])
    arn = cloud.release("2", deploymentConfiguration=config)
    assert cloud.router.rules[TEST] == {BLUE: 100, GREEN: 0}
    cloud.go_on(arn)
    assert cloud.router.rules[TEST] == {BLUE: 0, GREEN: 100}
    assert cloud.router.rules[PRODUCTION] == {BLUE: 100, GREEN: 0}


@pytest.mark.parametrize(
    ("switch", "weights"),
    [("TARGET", {BLUE: 0, GREEN: 100}), ("SOURCE", {BLUE: 100, GREEN: 0})],
)
def test_22_where_the_test_rule_points_after_success_is_a_switch(
    make_cloud: Any, switch: str, weights: dict[str, int]
) -> None:
    cloud = make_cloud(test_rule_after_success=switch)
    cloud.up()
    arn = cloud.release("2")
    cloud.wait(minutes=5)
    cloud.wait(minutes=3)
    assert cloud.status(arn) == "SUCCESSFUL"
    assert cloud.router.rules[TEST] == weights


def test_22_a_service_without_a_test_rule_has_no_test_traffic(cloud: Any) -> None:
    balancer = cloud.load_balancer()
    del balancer["advancedConfiguration"]["testListenerRule"]
    cloud.up(loadBalancers=[balancer])
    arn = cloud.release("2")
    assert [rule for rule, _ in cloud.router.changes] == [PRODUCTION, PRODUCTION]
    assert "requestedTestTrafficWeight" not in cloud.see(arn)["targetServiceRevision"]


def test_23_both_revisions_keep_their_full_size_until_clean_up(cloud: Any) -> None:
    cloud.up()
    arn = cloud.release("2")
    for stage, wait in (("PRODUCTION_TRAFFIC_SHIFT", 5), ("BAKE_TIME", 3)):
        seen = cloud.see(arn)
        assert seen["lifecycleStage"] == stage
        for revision in (*seen["sourceServiceRevisions"], seen["targetServiceRevision"]):
            assert revision["requestedTaskCount"] == revision["runningTaskCount"] == 2
        assert cloud.releases_running() == ["1", "1", "2", "2"]
        cloud.wait(minutes=wait)
    assert cloud.see(arn)["sourceServiceRevisions"][0]["runningTaskCount"] == 0


@pytest.mark.parametrize(("lags", "shown"), [(True, [0, 10]), (False, [10, 10])])
def test_23_whether_the_weights_shown_lag_is_a_switch(
    make_cloud: Any, lags: bool, shown: list[int]
) -> None:
    cloud = make_cloud(weights_lag=lags)
    cloud.up()
    arn = cloud.release("2")
    readings = [cloud.see(arn)["targetServiceRevision"] for _ in range(2)]
    assert [each["requestedProductionTrafficWeight"] for each in readings] == shown


@pytest.mark.parametrize("tenths", [0, 1, 55, 100, 333, 999, 1000])
def test_weights_are_always_a_share_of_a_whole(tenths: int) -> None:
    weights = weights_for("target", "other", tenths / 10)
    assert sum(weights.values()) in {100, 1000}
    assert weights["target"] / sum(weights.values()) == tenths / 1000
    assert max(weights.values()) <= 999
