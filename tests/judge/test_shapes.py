"""What the experts bet on: ranks, modes, outages, and the sessions of sticky routing."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from llmops_judge import CATALOGUE, bench, shapes
from llmops_judge.ranks import Ranks, score
from llmops_judge.scales import Scale, cell
from llmops_judge.sessions import LISTEN, Sessions
from llmops_judge.valley import worse_mode

ERRORS = CATALOGUE["errors"]


def past(scale: Scale, *modes: tuple[float, float, float], n: int = 2000) -> dict[int, float]:
    """Outcomes of (share, log middle, log spread) modes."""
    draw, counts = random.Random(5), dict[int, float]()
    for share, middle, spread in modes:
        for _ in range(round(share * n)):
            at = cell(scale, draw.lognormvariate(middle, spread))
            counts[at] = counts.get(at, 0) + 1
    return counts


@pytest.mark.parametrize(("share", "quantile"), [(0.5, 0), (0.8413, 1), (0.9772, 2), (0.0228, -2)])
def test_a_score_is_the_normal_laws_quantile(share: float, quantile: float) -> None:
    assert score(share) == pytest.approx(quantile, abs=2e-3)


@pytest.mark.parametrize("misses", [0.1, 0.3, 0.5])
def test_a_service_with_cache_hits_and_misses_has_two_modes(misses: float) -> None:
    ranks = Ranks(past("ratio", (1 - misses, 5.5, 0.35), (misses, 7.7, 0.45)), "lower")
    assert worse_mode(ranks) == pytest.approx(misses, abs=0.03)


@pytest.mark.parametrize("spread", [0.2, 0.7, 1.5])
def test_a_single_mode_has_no_valley(spread: float) -> None:
    assert worse_mode(Ranks(past("ratio", (1.0, 7.0, spread)), "lower")) is None
    assert worse_mode(Ranks({}, "lower")) is None


def test_an_outage_is_unlike_the_past_and_chance_is_not() -> None:
    ranks = Ranks({0: 1980, 1: 20}, "lower")
    assert ranks.unlike({0: 160, 1: 40})
    assert not ranks.unlike({0: 196, 1: 4})
    latency = Ranks(past("ratio", (1.0, 7.0, 0.7)), "lower")
    assert latency.unlike(past("ratio", (1.0, 8.1, 0.7), n=200))
    assert not latency.unlike(past("ratio", (1.0, 7.0, 0.7), n=200))


def test_in_an_outage_an_expert_of_errors_bets_on_the_release_and_not_on_the_outage() -> None:
    usual = {0: 990, 1: 10}
    during = shapes.shares(ERRORS, 0.1, {0: 800, 1: 200}, usual, ((3.0, 0.0),))
    good, bad = during(0)[0], during(1)[0]
    assert 1 < bad < 1.15
    assert 0.9 < good < 1
    before = shapes.shares(ERRORS, 0.1, usual, usual, ((3.0, 0.0),))
    assert before(1)[0] > 2.5


@pytest.mark.parametrize(
    "expert", [shapes.shift(0.4), shapes.step(0.1, 2.0), shapes.mode(2.0, 0.3)]
)
def test_a_ratio_grows_with_badness(expert: Any) -> None:
    quality = CATALOGUE["quality"]
    ratios = shapes.ordered(quality, {20: 500, 18: 700, 10: 3, 4: 200, 2: 0.05}, (expert,))
    found = [ratios(cell)[0] for cell in range(20, -1, -1)]
    assert all(less <= more + 1e-12 for less, more in pairwise(found))
    assert found[-1] > 1 > found[0]


def test_a_session_is_judged_once_by_the_mean_of_its_first_minutes() -> None:
    sessions, seen = Sessions(), []
    for at, session, arm, value in [
        (0.0, 7, 1, 10.0),
        (30.0, 8, 0, 5.0),
        (60.0, 7, 1, 20.0),
        (LISTEN + 1, 9, 0, 1.0),
        (LISTEN + 2, 7, 1, 99.0),
        (LISTEN + 31, 9, 0, math.nan),
    ]:
        seen += list(sessions.add(session, arm, at, value))
    assert seen == [(1, 15.0), (0, 5.0)]


@pytest.mark.parametrize("make", [bench.make, bench.make_minute])
@pytest.mark.parametrize("sticky", [False, True])
def test_the_adaptor_rolls_a_bad_canary_back_and_leaves_an_identical_one(
    make: Any, sticky: bool
) -> None:
    draw = random.Random(11)
    history = [draw.lognormvariate(7, 0.6) for _ in range(1000)]
    words = {}
    for factor in (1.0, 3.0):
        decider = make(SimpleNamespace(metric="latency", w=0.2, alpha=0.01, hist=history))
        for number in range(4000):
            arm = int(draw.random() < 0.2)
            value = draw.lognormvariate(7, 0.6) * (factor if arm else 1.0)
            session = number if sticky else -1
            one = SimpleNamespace(t=0.3 * number, latency=value, cluster=session)
            words[factor] = decider.observe(arm, one)
            if words[factor] != "continue":
                break
    assert words == {1.0: "continue", 3.0: "rollback"}


def test_the_adaptor_holds_when_the_router_does_not_keep_its_word() -> None:
    decider = bench.make(SimpleNamespace(metric="error", w=0.1, alpha=0.01, hist=[0.0] * 500))
    words = {
        decider.observe(number % 2, SimpleNamespace(t=float(number), error=0.0, cluster=-1))
        for number in range(400)
    }
    assert words == {"continue", "hold"}


def test_a_service_that_never_failed_is_expected_to_fail_by_a_few_points() -> None:
    flawless = {0: 6000}
    bad, good = (
        shapes.shares(ERRORS, 0.1, flawless, flawless, ((12.0, 0.06),))(c)[0] for c in (1, 0)
    )
    assert bad > 12
    assert 0.9 < good < 1
