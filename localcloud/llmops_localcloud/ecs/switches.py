"""The choices each switch of `ports.Switches` has."""

from __future__ import annotations

from collections.abc import Mapping

from llmops_localcloud.ports import Switches

CHOICES: Mapping[str, tuple[object, ...]] = {
    "pre_production_stage_shown": (
        "PRODUCTION_TRAFFIC_SHIFT",
        "POST_TEST_TRAFFIC_SHIFT",
        "PRE_PRODUCTION_TRAFFIC_SHIFT",
    ),
    "bake_before_second_pause": (True, False),
    "hook_failure_fails_rollback": (True, False),
    "alarm_without_rollback": ("STOPPED", "IGNORED"),
    "test_rule_after_success": ("TARGET", "SOURCE"),
    "superseded_status": ("STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"),
    "first_rollback": ("ROLLBACK_FAILED", "ROLLBACK_SUCCESSFUL"),
    "eventually_consistent_lists": (True, False),
    "weights_lag": (True, False),
    "reset_omitted_configuration": (True, False),
}


def check(switches: Switches) -> None:
    """Raises ValueError for a value that is not a choice, naming the choices."""
    for name, choices in CHOICES.items():
        value = getattr(switches, name)
        if value not in choices:
            told = ", ".join(map(str, choices))
            raise ValueError(f"switch {name} is {value!r}: choose one of {told}")
