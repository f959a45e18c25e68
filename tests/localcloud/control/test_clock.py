from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from llmops_localcloud.clock import VirtualClock


class Machine:
    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_clock_starts_at_the_machine_s_time() -> None:
    machine = Machine()
    assert VirtualClock(60, real=machine).now() == datetime.fromtimestamp(machine.seconds, tz=UTC)


def test_at_speed_60_a_second_is_a_minute() -> None:
    machine = Machine()
    clock = VirtualClock(60, real=machine)
    before = clock.now()
    machine.seconds += 1
    assert clock.now() - before == timedelta(minutes=1)


def test_a_virtual_minute_takes_a_real_second_at_speed_60() -> None:
    assert VirtualClock(60).real_seconds(60) == 1


def test_a_real_instant_has_the_virtual_time_the_clock_showed_then() -> None:
    machine = Machine()
    clock = VirtualClock(60, real=machine)
    machine.seconds += 1
    shown, then = clock.now(), machine.seconds
    machine.seconds += 5
    assert clock.at(then) == shown


@pytest.mark.parametrize("speed", [0, -1])
def test_a_clock_that_does_not_run_forward_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        VirtualClock(speed)
