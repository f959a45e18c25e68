"""What must hold before traffic may move: a function per rule, one sentence per refusal."""

from __future__ import annotations

from llmops_runbooks.errors import UsageError
from llmops_runbooks.ports import Cloud
from llmops_runbooks.serving import release_of_revision, service_of, under_way


def no_rollout_under_way(cloud: Cloud) -> str:
    """ECS would supersede a running rollout with an unknown end (reference 6.25): refuse."""
    found = under_way(cloud)
    if found is None:
        return "no rollout under way"
    release = release_of_revision(cloud, found.target.arn)
    raise UsageError(
        f"A rollout of {release} is under way ({found.id}, {found.status}, "
        f"canary {found.target.weight:g} %).",
        hint="llmops status --watch follows it; llmops rollback ends it.",
    )


def alarms_quiet(cloud: Cloud) -> str:
    """ECS ignores for the whole rollout alarms that fire at its start (reference 0.8): refuse."""
    names = cloud.coordinates.alarms
    states = cloud.alarms.states(names)
    firing = sorted(name for name, state in states.items() if state == "ALARM")
    missing = sorted(set(names) - set(states))
    if firing:
        raise UsageError(
            f"The alarm {firing[0]} is firing ({len(firing)} of {len(names)}); ECS would ignore "
            "it for the whole rollout.",
            hint="Wait until it is OK, or undo what made it fire: llmops rollback.",
        )
    if missing:
        raise UsageError(
            f"The alarm {missing[0]} does not exist, and ECS is to watch it.",
            hint=f"llmops deploy --env {cloud.coordinates.environment}",
        )
    return f"{len(names)} alarms quiet"


def one_target_group_serves(cloud: Cloud) -> str:
    """ECS fails a deployment that starts with both or neither target group serving."""
    where = cloud.coordinates
    weights = cloud.routing.weights(where.production_rule_arn)
    live = [group for group, weight in weights.items() if weight > 0]
    if len(live) != 1:
        raise UsageError(
            f"The production rule forwards to {len(live)} target groups, and exactly one must "
            f"serve before a rollout ({where.production_rule_arn}).",
            hint=f"Put the rule's weights right, or llmops deploy --env {where.environment}.",
        )
    return f"{_colour(live[0], cloud)} serves 100 %"


def service_is_there(cloud: Cloud) -> None:
    """Raises UsageError if the coordinates name a service that ECS does not have."""
    service_of(cloud)


def _colour(group: str, cloud: Cloud) -> str:
    names = {
        cloud.coordinates.blue_target_group_arn: "blue",
        cloud.coordinates.green_target_group_arn: "green",
    }
    return names.get(group, group.split("/")[-2] if "/" in group else group)
