"""A service deployment as a state machine: no clock, no port, no thread.

`deploy` is the story of one deployment, told to a `Crew`. Each thing asked of the crew returns a
wait: a function that says whether it is done, and raises `RollBack` when it cannot be. The script
yields these waits; whoever drives it calls the wait until it is true, then resumes the script.
Throwing `RollBack` into the script at any yield before CLEAN_UP takes it to the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Protocol

from llmops_localcloud.ecs.stages import Stage, Status, Step

Wait = Callable[[], bool]
Script = Generator[Wait, None, None]


class RollBack(Exception):
    """Go back to the source revision; the text is the deployment's `statusReason`."""


class Crew(Protocol):
    """What a deployment can ask for. Every wait may raise RollBack."""

    @property
    def first(self) -> bool:
        """Whether there is no revision to go back to."""

    @property
    def reconciles(self) -> bool:
        """Whether more than one revision was active when the deployment was made."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The production shifts of the strategy."""

    @property
    def bake_minutes(self) -> int: ...

    @property
    def bake_before_second_pause(self) -> bool: ...

    def move(self, status: Status) -> None: ...

    def enter(self, stage: Stage) -> None: ...

    def begin(self) -> Wait:
        """Done when the deployment may leave PENDING."""

    def reconcile(self) -> Wait:
        """If an earlier deployment left anything half done: all traffic to the stable revision,
        then the tasks of all others but the target stopped."""

    def check_routing(self) -> Wait:
        """Exactly one target group, the stable revision's, serves production traffic."""

    def scale_up(self) -> Wait:
        """The target revision at full size and healthy."""

    def shift_test(self, percent: float) -> Wait:
        """Test traffic: so much to the target revision, the rest to the stable one."""

    def shift(self, percent: float) -> Wait:
        """Production traffic: so much to the target revision, the rest to the stable one."""

    def hooks(self, stage: Stage, *, rolling_back: bool = False) -> Wait:
        """All hooks of the stage have passed."""

    def bake(self, minutes: int) -> Wait: ...

    def point_of_no_return(self) -> None:
        """The target is the service's active revision from here on."""

    def stop_sources(self) -> Wait:
        """Every revision but the target drained and stopped."""

    def begin_rollback(self, reason: str) -> None: ...

    def shifted(self, stage: Stage) -> bool:
        """Whether the traffic shift of that stage was begun."""

    def stop_target(self) -> Wait:
        """The target drained and stopped."""

    def finish(self, *, failure: str | None) -> None:
        """The way back is over: with what failed on it, or None."""


def deploy(crew: Crew, *, rolling: bool) -> Script:
    """The whole story; its first wait ends PENDING."""
    try:
        yield crew.begin()
        crew.move(Status.IN_PROGRESS)
        yield from _replace(crew) if rolling else _shift(crew)
    except RollBack as cause:
        yield from _way_back(crew, str(cause))
        return
    crew.point_of_no_return()
    if not rolling:
        crew.enter(Stage.CLEAN_UP)
    yield crew.stop_sources()
    crew.move(Status.SUCCESSFUL)


def _replace(crew: Crew) -> Script:
    """ROLLING: the new tasks beside the old ones, in the same target group."""
    yield crew.reconcile()
    yield crew.scale_up()


def _shift(crew: Crew) -> Script:
    if crew.reconciles:
        crew.enter(Stage.RECONCILE_SERVICE)
    yield crew.reconcile()
    if crew.reconciles:
        yield crew.hooks(Stage.RECONCILE_SERVICE)
    crew.enter(Stage.PRE_SCALE_UP)
    yield crew.check_routing()
    yield crew.hooks(Stage.PRE_SCALE_UP)
    crew.enter(Stage.SCALE_UP)
    yield crew.scale_up()
    crew.enter(Stage.POST_SCALE_UP)
    yield crew.hooks(Stage.POST_SCALE_UP)
    crew.enter(Stage.TEST_TRAFFIC_SHIFT)
    yield crew.shift_test(100)
    yield crew.hooks(Stage.TEST_TRAFFIC_SHIFT)
    crew.enter(Stage.POST_TEST_TRAFFIC_SHIFT)
    yield crew.hooks(Stage.POST_TEST_TRAFFIC_SHIFT)
    yield from _production_steps(crew)
    crew.enter(Stage.POST_PRODUCTION_TRAFFIC_SHIFT)
    yield crew.hooks(Stage.POST_PRODUCTION_TRAFFIC_SHIFT)
    crew.enter(Stage.BAKE_TIME)
    yield crew.bake(crew.bake_minutes)


def _production_steps(crew: Crew) -> Script:
    owed = 0
    for step in crew.steps:
        crew.enter(Stage.PRE_PRODUCTION_TRAFFIC_SHIFT)
        yield crew.hooks(Stage.PRE_PRODUCTION_TRAFFIC_SHIFT)
        yield crew.bake(owed)
        crew.enter(Stage.PRODUCTION_TRAFFIC_SHIFT)
        yield crew.shift(step.percent)
        yield crew.hooks(Stage.PRODUCTION_TRAFFIC_SHIFT)
        owed = 0 if crew.bake_before_second_pause else step.bake_minutes
        yield crew.bake(step.bake_minutes - owed)


def _way_back(crew: Crew, reason: str) -> Script:
    """Weights first, because that is what users feel; then hooks; then the target's tasks.

    If the weights cannot be moved back the target still serves, so its tasks stay.
    """
    crew.begin_rollback(reason)
    shifts = {
        Stage.PRODUCTION_TRAFFIC_SHIFT: crew.shift,
        Stage.TEST_TRAFFIC_SHIFT: crew.shift_test,
    }
    begun = [stage for stage in shifts if crew.shifted(stage) and not crew.first]
    stuck: list[str] = []
    failed: list[str] = []
    if not begun:
        yield from _attempt(crew.reconcile(), stuck)
    for stage in begun:
        yield from _attempt(shifts[stage](0), stuck)
    for stage in begun:
        yield from _attempt(crew.hooks(stage, rolling_back=True), failed)
    if not stuck:
        yield from _attempt(crew.stop_target(), failed)
    crew.finish(failure=next(iter(stuck + failed), None))


def _attempt(wait: Wait, failures: list[str]) -> Script:
    """Waits, but writes down a failure instead of giving up: the rest must still be undone."""
    try:
        yield wait
    except RollBack as failed:
        failures.append(str(failed))
