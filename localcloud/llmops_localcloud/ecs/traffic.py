"""Listener rule weights: who serves now, what a share is in weights, and moving them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from llmops_localcloud.ecs.desk import Desk, Ticket
from llmops_localcloud.ecs.hooks import because
from llmops_localcloud.ecs.machine import RollBack, Wait
from llmops_localcloud.ecs.model import Deployment, Revision

_NETWORKING = "of invalid networking configuration:"


def weights_for(target: str, other: str, percent: float) -> dict[str, int]:
    """Rule weights that give `target` so many percent.

    Whole percents sum to 100; shares with a decimal are told in tenths, which sum to 1000 and
    still keep each weight under the 999 a rule may have.
    """
    scale = 1 if float(percent).is_integer() else 10
    share = round(percent * scale)
    return {target: share, other: 100 * scale - share}


class Routing:
    """The listener rules of one deployment with a load balancer."""

    def __init__(self, desk: Desk, deployment: Deployment, load_balancer: Mapping[str, object]):
        advanced = load_balancer["advancedConfiguration"]
        assert isinstance(advanced, Mapping)
        self._desk, self._deployment = desk, deployment
        self.production_rule = str(advanced["productionListenerRule"])
        self.test_rule: str | None = advanced.get("testListenerRule")
        self._groups = (
            str(load_balancer["targetGroupArn"]),
            str(advanced["alternateTargetGroupArn"]),
        )

    def group_for_target(self, stable: Revision | None) -> str:
        """The group the new revision takes: the one the stable revision does not have."""
        first, second = self._groups
        return second if stable and stable.target_group == first else first

    def check(self) -> Wait:
        """The start condition (behaviour 21), then the rule rewritten to both groups (20)."""
        reading = self._desk.ask(lambda world: world.router.weights(self.production_rule))
        moving: list[Ticket] = []

        def ready() -> bool:
            if not reading.done:
                return False
            if not moving:
                self._refuse_bad(reading)
                moving.append(self._set(self.production_rule, 0))
            return self._finished(moving[0], self.production_rule)

        return ready

    def shift_production(self, percent: float) -> Wait:
        return self._shift(self.production_rule, percent, self._note_production)

    def shift_test(self, percent: float) -> Wait:
        if self.test_rule is None:
            return lambda: True
        return self._shift(self.test_rule, percent, self._note_test)

    def point_test_at_source(self) -> None:
        """What the switch `test_rule_after_success=SOURCE` says happens at the end."""
        if self.test_rule is not None and self._deployment.stable is not None:
            self._set(self.test_rule, 0)
            self._note_test(0)

    def all_to(self, revision: Revision) -> Wait:
        """Every rule to one revision's group, as reconciling a service begins."""
        group = revision.target_group
        other = next(each for each in self._groups if each != group)
        rules = [rule for rule in (self.production_rule, self.test_rule) if rule]
        moves = [(rule, self._put(rule, {str(group): 100, other: 0})) for rule in rules]
        return lambda: all(self._finished(ticket, rule) for rule, ticket in moves)

    def _shift(self, rule: str, percent: float, note: Callable[[float], None]) -> Wait:
        ticket = self._set(rule, percent)

        def shifted() -> bool:
            if not self._finished(ticket, rule):
                return False
            note(percent)
            return True

        return shifted

    def _set(self, rule: str, percent: float) -> Ticket:
        target = str(self._deployment.target.target_group)
        other = next(group for group in self._groups if group != target)
        share = percent if self._deployment.stable else 100
        return self._put(rule, weights_for(target, other, share))

    def _put(self, rule: str, weights: Mapping[str, int]) -> Ticket:
        return self._desk.ask(lambda world: world.router.set_weights(rule, weights))

    def _finished(self, ticket: Ticket, rule: str) -> bool:
        if ticket.error is not None:
            told = f"ECS was unable to change the weights of {rule}: {ticket.error}"
            raise RollBack(because(f"{_NETWORKING} {told}"))
        return ticket.done

    def _note_production(self, percent: float) -> None:
        self._deployment.traffic.production = self._shares(percent)

    def _note_test(self, percent: float) -> None:
        self._deployment.traffic.test = self._shares(percent)

    def _shares(self, percent: float) -> dict[str, float]:
        stable = self._deployment.stable
        rest = {stable.arn: round(100.0 - percent, 1)} if stable else {}
        return {self._deployment.target.arn: float(percent), **rest}

    def _refuse_bad(self, reading: Ticket) -> None:
        target = str(self._deployment.target.target_group)
        if reading.error is not None:
            raise self._bad(self._unassociated(target))
        weights: Mapping[str, int] = reading.result
        serving = sorted(group for group, weight in weights.items() if weight > 0)
        if len(serving) != 1:
            raise self._bad(
                f"{self.production_rule} should have exactly one target group serving traffic "
                f"but found {len(serving)} target groups which are serving traffic"
            )
        if target not in weights and self.test_rule is None:
            raise self._bad(self._unassociated(target))
        stable = self._deployment.stable
        expected = {str(stable.target_group)} if stable else set(self._groups)
        if serving[0] not in expected:
            raise self._bad(
                f"Production listener rule is forwarding traffic to unexpected "
                f"target group {serving[0]}"
            )

    @staticmethod
    def _unassociated(group: str) -> str:
        return (
            f"Target group {group} is not associated with either productionListenerRule "
            "or testListenerRule."
        )

    @staticmethod
    def _bad(what: str) -> RollBack:
        return RollBack(because(f"{_NETWORKING} {what}"))
