"""The data plane as the rest of the daemon holds it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moto.elbv2.exceptions import ELBClientError
from moto.elbv2.models import elbv2_backends

from llmops_localcloud.loadbalancer.control import HealthView, LoadBalancerProcess
from llmops_localcloud.loadbalancer.desired import Address, Desired
from llmops_localcloud.ports import Clock, TargetHealth

from . import metrics, translate
from .backend import DESCRIPTIONS, LocalELBv2Backend


class DataPlane:
    """Implements `ports.Targets` and `ports.Router` over one load balancer process."""

    def __init__(self, *, clock: Clock, put: metrics.Put, seed: int | None = None) -> None:
        self.lock = threading.RLock()
        self._report = metrics.Reporter(clock, put)
        self._process = LoadBalancerProcess(speed=clock.speed, seed=seed, report=self._report)

    @property
    def pid(self) -> int:
        """The load balancer process's id."""
        return self._process.pid

    def stop(self) -> None:
        """End the load balancer process."""
        self._process.stop()

    # ports.Targets

    def register(self, target_group_arn: str, address: tuple[str, int]) -> None:
        """Raises LookupError if there is no such target group."""
        backend = _backend(target_group_arn)
        with _missing_is_lookup_error():
            backend.register_targets(target_group_arn, [_target(address)])

    def deregister(self, target_group_arn: str, address: tuple[str, int]) -> None:
        """Raises LookupError if there is no such target group."""
        backend = _backend(target_group_arn)
        with _missing_is_lookup_error():
            backend.deregister_targets(target_group_arn, [_target(address)])

    def health(self, target_group_arn: str) -> Mapping[tuple[str, int], TargetHealth]:
        """Empty for a group that does not exist."""
        return {a: view.state for a, view in self.views(target_group_arn).items()}

    def views(self, target_group_arn: str) -> dict[Address, HealthView]:
        """Health with AWS's reasons; a target just registered is `initial` at once."""
        known = dict(self._process.health.get(target_group_arn, {}))
        for address in _backend(target_group_arn).registered.get(target_group_arn, {}):
            initial = TargetHealth.INITIAL
            known.setdefault(address, HealthView(initial, *DESCRIPTIONS[initial]))
        return known

    # ports.Router

    def weights(self, rule_arn: str) -> Mapping[str, int]:
        """Weight by target group ARN. Raises LookupError if there is no such rule."""
        with self.lock:
            return translate.rule_weights(_rule(rule_arn))

    def set_weights(self, rule_arn: str, weights: Mapping[str, int]) -> None:
        """Raises LookupError for an unknown rule or group, ValueError for a weight not in 0-999."""
        with self.lock:
            rule, backend = _rule(rule_arn), _backend(rule_arn)
            for arn, weight in weights.items():
                if arn not in backend.target_groups:
                    raise LookupError(f"There is no target group {arn}.")
                if not 0 <= weight <= 999:
                    raise ValueError(f"Weight {weight} of {arn} is not in 0 to 999.")
            backend.forward(rule, weights)

    # Towards the process

    def sync(self) -> None:
        """Return when the process does what moto's state says.

        Raises LoadBalancerError if a listener's port cannot be opened; nothing has changed then.
        """
        with self.lock:
            backends = list(_all_backends())
            self._process.configure(
                Desired(
                    tuple(
                        listener
                        for backend in backends
                        for balancer in backend.load_balancers.values()
                        for listener in translate.listeners(balancer)
                    ),
                    tuple(group for backend in backends for group in _groups(backend)),
                )
            )


def _groups(backend: LocalELBv2Backend) -> Iterator[Any]:
    """Desired target groups; moto's list of each one's balancers is brought up to date, too."""
    users: dict[str, dict[str, None]] = {}
    for balancer in backend.load_balancers.values():
        for listener in balancer.listeners.values():
            for rule in listener.rules.values():
                for arn in translate.rule_weights(rule):
                    users.setdefault(arn, {})[balancer.arn] = None
    for arn, group in backend.target_groups.items():
        group.load_balancer_arns = list(users.get(arn, {}))
        yield translate.target_group(group, backend.registered.get(arn, {}), users.get(arn, {}))


def _all_backends() -> Iterator[LocalELBv2Backend]:
    for account in list(elbv2_backends.values()):
        for backend in list(account.values()):
            if isinstance(backend, LocalELBv2Backend):
                yield backend


def _backend(arn: str) -> LocalELBv2Backend:
    """The backend of the account and region that an ARN names."""
    parts = arn.split(":")
    if len(parts) < 6:
        raise LookupError(f"{arn!r} is not the ARN of a load balancing resource.")
    backend = elbv2_backends[parts[4]][parts[3]]
    assert isinstance(backend, LocalELBv2Backend)
    return backend


def _rule(arn: str) -> Any:
    with _missing_is_lookup_error():
        return _backend(arn).describe_rules(None, [arn])[0]


def _target(address: tuple[str, int]) -> dict[str, Any]:
    return {"Id": address[0], "Port": address[1]}


class _missing_is_lookup_error:
    """Turns AWS's ...NotFound errors into LookupError, as the ports promise."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, ELBClientError) and "NotFound" in str(error.code):
            raise LookupError(str(error.message)) from error


def install(*, clock: Clock, put: Callable[..., None], seed: int | None = None) -> DataPlane:
    """Start the load balancer and put our backend in the place of moto's.

    Call it once, before the server answers; `put` takes metrics (see `metrics.Put`), `seed` makes
    the draw by weights repeatable. The caller stops the returned data plane.
    """
    from . import resources

    plane = DataPlane(clock=clock, put=put, seed=seed)
    bound = type("BoundELBv2Backend", (LocalELBv2Backend,), {"plane": plane})
    elbv2_backends.clear()
    elbv2_backends.backend = bound
    resources.register()
    return plane
