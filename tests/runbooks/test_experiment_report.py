"""An experiment's report: one unit is one outcome, intervals hold at every look."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from experiment_lines import HOUR, START, experiment, feature_file, line, traffic

from llmops_judge.differences import Difference
from llmops_judge.observations import History
from llmops_runbooks import experiment_lines, experiment_report
from llmops_runbooks.errors import ExitCode, UsageError
from llmops_runbooks.experiment_definition import Definition, find, live
from llmops_runbooks.experiment_report import Report, report
from llmops_runbooks.experiment_sources import from_cloudwatch, from_lines
from llmops_runbooks.memory import MemoryCloud

HALVES = experiment(0.5, 0.5)
PUBLISHED = {"Quality": "quality", "Errors": "errors"}


def defined(of: Any = HALVES) -> Definition:
    return find(feature_file(of), None, "It")


def quality(better: float) -> Callable[[random.Random, str], dict[str, float]]:
    """A user's answers are good or bad throughout; b's more often good."""
    return lambda rng, variant: {
        "Quality": float(rng.random() < 0.7 + better * (variant == "b")),
        "Latency": 800 * rng.lognormvariate(0, 0.3),
        "Cost": 120.0,
    }


def reported(of: Any, lines: Any, alpha: float = 0.05, window: float = 1.0) -> Report:
    seen = from_lines(lines, defined(of), window_hours=window, source="a file")
    return report(defined(of), seen, alpha=alpha)


def test_a_better_variant_wins_and_the_exit_code_says_so() -> None:
    found = reported(HALVES, traffic(HALVES, 1500, quality(0.15)))
    assert (found.outcome, found.winner, found.exit_code) == ("winner", "b", ExitCode.DONE)
    (compared,) = [each for each in found.compared if each.metric == "quality"]
    assert 0 < compared.low < compared.difference < compared.high < 0.3
    assert compared.better == "b"
    assert found.arms[0].exposures > 2 * found.arms[0].units > 1000


def test_alike_variants_are_undecided_and_it_is_forecast_how_long() -> None:
    found = reported(HALVES, traffic(HALVES, 400, quality(0.0)))
    assert (found.outcome, found.winner) == ("undecided", None)
    assert found.exit_code == ExitCode.UNDECIDED
    assert found.needs_exposures is not None and found.needs_exposures > 1000


def test_variants_that_are_alike_for_certain_end_the_experiment() -> None:
    same = traffic(experiment(0.5, 0.5, metric="errors"), 3000, lambda *_: {})
    found = reported(experiment(0.5, 0.5, metric="errors"), same)
    assert (found.outcome, found.exit_code) == ("alike", ExitCode.DONE)


def test_dependent_requests_of_users_do_not_make_winners() -> None:
    """A user's requests are one outcome: taken one by one, alike variants often have a 'winner'."""
    wrong = naive = 0
    for seed in range(20):
        lines = list(traffic(HALVES, 250, quality(0.0), seed=seed, asks=5))
        looks = [lines[: len(lines) * part // 3] for part in range(1, 4)]
        outcomes = {reported(HALVES, look, alpha=0.1).outcome for look in looks}
        wrong += "winner" in outcomes
        naive += any(not by_request(look).covers(0, 0.1) for look in looks)
    assert wrong <= 2
    assert naive >= 5


def by_request(lines: Sequence[str]) -> Difference:
    """What would be known if each request were a draw of its own."""
    known = Difference(0.5)
    for found in map(json.loads, lines):
        if "Quality" in found:
            known = known.after([(int(found["variant"] == "b"), found["Quality"], 1.0)])
    return known


def test_less_is_better_where_the_metric_says_so() -> None:
    cheaper = experiment(0.5, 0.5, metric="cost")
    found = reported(
        cheaper,
        traffic(
            cheaper,
            1500,
            lambda rng, variant: {"Cost": (70 if variant == "b" else 120) * rng.random()},
        ),
    )
    assert found.winner == "b"
    (compared,) = [each for each in found.compared if each.metric == "cost"]
    assert -60 < compared.low < compared.high < 0


def test_with_three_variants_the_winner_is_better_than_each_other() -> None:
    thirds = experiment(0.4, 0.3, 0.3)

    def outcome(rng: random.Random, variant: str) -> dict[str, float]:
        return {"Quality": float(rng.random() < {"a": 0.5, "b": 0.5, "c": 0.9}[variant])}

    found = reported(thirds, traffic(thirds, 2500, outcome))
    assert found.winner == "c"
    assert len([each for each in found.compared if each.metric == "quality"]) == 3


def test_a_split_that_the_weights_do_not_make_allows_no_claim() -> None:
    found = reported(experiment(0.7, 0.3), traffic(HALVES, 500, quality(0.3)))
    assert (found.outcome, found.winner, found.compared) == ("no claim", None, [])
    assert "were the weights changed since?" in found.why
    assert found.exit_code == ExitCode.UNDECIDED


def test_everybody_in_one_variant_shows_nothing() -> None:
    one = experiment(1.0, 0.0)
    assert "nothing to compare" in reported(one, traffic(one, 50, quality(0))).why


# The lines


def read(*lines: str, of: Any = HALVES, hours: float = 1.0) -> experiment_lines.Log:
    return experiment_lines.read(lines, defined(of), PUBLISHED, window=hours * HOUR)


LAST = line(START + 9 * HOUR, "a", "last", Exposures=1)


def test_a_unit_is_the_average_of_its_requests_in_its_window() -> None:
    log = read(
        line(START, "a", "u", Exposures=1, Quality=1.0),
        line(START + 60, "a", "u", Exposures=1, Quality=0.5),
        line(START + 2 * HOUR, "a", "u", Exposures=1, Quality=0.0),
        LAST,
    )
    (unit,) = log.units
    assert (unit.requests, unit.means()) == (2, {"quality": 0.75})


def test_a_unit_whose_window_is_not_over_does_not_count_yet() -> None:
    log = read(line(START, "a", "u", Exposures=1), line(START + 60, "b", "v", Exposures=1))
    assert (log.units, log.open_units) == ([], 2)


def test_a_score_or_a_thumb_that_names_no_unit_is_told_and_left_out() -> None:
    log = read(
        line(START, "a", "u", Exposures=1),
        line(START + 5, "a", "u", Quality=0.8),
        line(START + 5, "a", "", Quality=0.1),
        LAST,
    )
    assert log.units[0].means() == {"quality": 0.8}
    assert log.unknown == 1


def test_a_unit_that_moved_counts_for_its_first_variant_and_is_told() -> None:
    log = read(
        line(START, "a", "u", Exposures=1, Quality=1.0),
        line(START + 9, "b", "u", Exposures=1, Quality=0.0),
        LAST,
    )
    assert (log.units[0].variant, log.units[0].means(), log.moved) == ("a", {"quality": 1.0}, 1)


def test_what_was_before_the_start_and_what_is_no_line_of_it_is_passed_over() -> None:
    started = datetime.fromtimestamp(START, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    of = experiment(0.5, 0.5, started=started)
    log = read(
        line(START - 9, "a", "old", Exposures=1),
        "INFO ready",
        '{"experiment": "longer"}',
        '{"_aws": {"Timestamp": 1}, "experiment": "other"}',
        '{"experiment"',
        line(START + 9, "gone", "w", Exposures=1),
        line(START + 9, "b", "v", Exposures=1),
        LAST,
        of=of,
    )
    assert [unit.variant for unit in log.units] == ["b"]


def test_a_file_without_the_experiment_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="a file has no line of the experiment longer"):
        reported(HALVES, ["{}"])


# CloudWatch


def observed(memory: MemoryCloud, unit: str) -> Report:
    now = memory.clock.now()
    started = (now - timedelta(days=3)).strftime("%Y-%m-%dT%H:00:00Z")
    of = defined(experiment(0.5, 0.5, unit=unit, started=started))
    for variant, good in (("a", 700), ("b", 850)):
        cells = {"quality": {20: float(good), 1: 1000.0 - good}}
        memory.histories.by_variant["longer", variant] = {
            now - timedelta(hours=20): History(1000, cells),
            now - timedelta(hours=50): History(1000, cells),
        }
    return report(of, from_cloudwatch(memory.cloud, of), alpha=0.05)


def test_cloudwatch_knows_requests_and_claims_nothing_of_users(memory: MemoryCloud) -> None:
    found = observed(memory, "user")
    assert (found.outcome, found.compared, found.exit_code) == ("no claim", [], 3)
    assert "requests of one user depend on each other" in found.why
    assert [arm.exposures for arm in found.arms] == [2000, 2000]
    assert [arm.units for arm in found.arms] == [0, 0]
    assert found.arms[1].values["quality"] == pytest.approx(0.83, abs=0.02)


def test_where_each_request_is_drawn_cloudwatch_is_enough(memory: MemoryCloud) -> None:
    found = observed(memory, "request")
    assert (found.outcome, found.winner) == ("winner", "b")
    assert [arm.units for arm in found.arms] == [2000, 2000]


# What the experiment is


def test_an_experiment_is_found_by_name_or_alone() -> None:
    files = feature_file(HALVES)
    found = find(files, "longer", "It")
    assert (found.feature, found.unit, found.weights) == ("answer", "user", {"a": 0.5, "b": 0.5})
    assert find(files, None, "It") == found
    with pytest.raises(UsageError, match=r"It has no experiment warmer \(known: longer\)"):
        find(files, "warmer", "It")
    other = feature_file(experiment(0.5, 0.5, name="warmer"))["features/answer.json"]
    with pytest.raises(UsageError, match="several experiments: name one of longer, warmer"):
        find({**files, "features/other.json": other}, None, "It")
    with pytest.raises(UsageError, match=r"It has no experiment \(known: none\)"):
        find({}, None, "It")


def test_the_experiment_of_the_live_release_is_in_its_bundle(memory: MemoryCloud) -> None:
    (key,) = memory.artifacts.keys("bundles/")
    memory.artifacts.objects[key] = json.dumps(feature_file(HALVES)).encode()
    assert live(memory.cloud, None).name == "longer"
    del memory.artifacts.objects[key]
    with pytest.raises(UsageError, match="is not in the artifact bucket"):
        live(memory.cloud, None)


# The published schema


def test_the_schema_is_current_and_the_report_keeps_it() -> None:
    text = experiment_report.SCHEMA.read_text(encoding="utf-8")
    assert text == experiment_report.schema(), "python -m llmops_runbooks.experiment_report"
    schema = json.loads(text)
    found = reported(HALVES, traffic(HALVES, 200, quality(0.1)))
    jsonschema.validate(found.to_json(), schema)
    parts = [schema, *schema["$defs"].values()]
    assert all(each.get("description") for part in parts for each in part["properties"].values())
