"""What `llmops eval` shows: results and comparisons as tables in plain text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from llmops_cli.judge_tables import table_lines
from llmops_cli.render import plain
from llmops_runbooks import figures

if TYPE_CHECKING:
    from llmops_runbooks.eval_compare import Comparison, Difference, Flip
    from llmops_runbooks.eval_golden import Graded
    from llmops_runbooks.eval_schema import (
        Agreement,
        Baseline,
        Calibration,
        Category,
        Figure,
        Judge,
        Result,
        Times,
    )

SHOWN_FLIPS = 10
"""Questions shown of each kind; all of them are in the JSON."""
PERCENT = frozenset(
    {"correct", "exact", "contained", "declined", "supported", "hit_at_1", "hit_at_3", "hit_at_5"}
    | {"refusal_rate", "refusal_precision", "refusal_recall"}
)
NAMES = {
    "f1": "F1",
    "hit_at_1": "hit@1",
    "hit_at_3": "hit@3",
    "hit_at_5": "hit@5",
    "latency_ms": "latency",
    "first_token_ms": "first token",
    "cost_micro_usd": "cost",
}
WITHOUT_A_MODEL = {"correct": "containment", "f1": "F1 from 0.5 on"}


def result(found: Result) -> list[str]:
    """One run: the figures with their intervals, the times, the judge."""
    rows: list[tuple[str, ...]] = [("metric", "", "95 % interval", "questions")]
    rows += [_figure(name, figure) for name, figure in found.figures.items()]
    releases = ", ".join(sorted(found.releases)) or "no release told"
    return [
        f"{found.name}: {found.asked} questions, {found.failed} failed, {found.retried} sent "
        f"again, {found.seconds:.1f} s ({plain(found.target)}; {releases})",
        "",
        *table_lines(rows),
        *_times(found),
        *_judge(found),
        *(f"note: {plain(note)}" for note in found.notes),
    ]


def comparison(found: Comparison) -> list[str]:
    """Two runs: the differences, the flips, the decision."""
    heads = ("metric", f"A {found.a}", f"B {found.b}", "difference", "95 % interval", "flips", "n")
    rows = [heads, *(_difference(each) for each in found.differences)]
    return [
        *table_lines(rows),
        *_flips("better", found.better),
        *_flips("worse", found.worse),
        *_unpaired(found),
        *(f"warning: {warning}" for warning in found.warnings),
        f"B against A: {found.decision}: {found.reason}",
    ]


def _figure(name: str, figure: Figure) -> tuple[str, ...]:
    around = f"{_value(name, figure.low)} to {_value(name, figure.high)}"
    return _title(name), _value(name, figure.value), around, f"{figure.n:,}"


def _difference(each: Difference) -> tuple[str, ...]:
    name = each.metric
    sign = "+" if each.difference > 0 else "-" if each.difference < 0 else ""
    flips = "" if each.gained is None else f"+{each.gained} -{each.lost} (p {each.p:.2g})"
    return (
        _title(name),
        _value(name, each.a),
        _value(name, each.b),
        f"{sign}{_value(name, abs(each.difference))}",
        f"{_signed(name, each.low)} to {_signed(name, each.high)}",
        flips,
        f"{each.n:,}",
    )


def _times(found: Result) -> Iterator[str]:
    for name, times in (("latency", found.latency_ms), ("first token", found.first_token_ms)):
        if times:
            yield f"{name}: {_percentiles(times)}"


def _percentiles(times: Times) -> str:
    shown = {"p50": times.p50, "p95": times.p95, "p99": times.p99}
    return ", ".join(f"{name} {figures.milliseconds(value)}" for name, value in shown.items())


def calibration(
    name: str, graded: Sequence[Graded], found: Mapping[str, Baseline], judge: Judge | None
) -> list[str]:
    """The agreement of a judge, or, without one, of the scores that ask no model."""
    right = sum(each.human >= 0.5 for each in graded)
    head = f"{plain(name)}: {len(graded)} answers, {right} of them right by people"
    return [head, *(_judged(judge) if judge else _baselines(found))]


def _judge(found: Result) -> Iterator[str]:
    if found.judge is not None:
        yield from _judged(found.judge)


def _judged(judge: Judge) -> Iterator[str]:
    yield (
        f"judge {plain(judge.model)} ({judge.prompt or 'no score'}): {judge.failed} without a "
        f"score, {judge.prompt_tokens:,} tokens read, {judge.completion_tokens:,} written"
    )
    if judge.calibration:
        yield from _calibrated(judge.calibration)
    else:
        yield "judge not calibrated: nobody knows how far it agrees with people (--calibration)"


def _calibrated(found: Calibration) -> Iterator[str]:
    accuracy = f"agrees on {_agreement(found.accuracy)}, " if found.accuracy else ""
    yield (
        f"calibration on {found.n} answers of {plain(found.name)} ({found.failed} without a "
        f"score): {accuracy}Cohen's kappa {_agreement(found.kappa)}, "
        f"Spearman {_agreement(found.spearman)}, "
        f"the judge scores {found.difference or 0:+.2f} against people"
    )
    yield from _baselines(found.baselines)
    if found.categories:
        head = ("kind of answer", "answers", "right by people", "by the judge", "agreed")
        rows = [_category(name, each) for name, each in found.categories.items()]
        yield from ("", *table_lines([head, *rows]))


def _category(name: str, each: Category) -> tuple[str, ...]:
    return plain(name), f"{each.n}", f"{each.people}", f"{each.judge}", f"{each.agreed}"


def _baselines(found: Mapping[str, Baseline]) -> Iterator[str]:
    for name, each in found.items():
        gain = each.gain
        beside = f"; the judge agrees on {_gain(gain)} more" if gain else ""
        yield (
            f"without a model, by {WITHOUT_A_MODEL.get(name, name)}: agrees on "
            f"{_agreement(each.accuracy)}, Cohen's kappa {_agreement(each.kappa)}{beside}"
        )


def _gain(found: Agreement) -> str:
    return f"{found.value or 0:+.2f} ({found.low or 0:+.2f} to {found.high or 0:+.2f})"


def _agreement(found: Agreement) -> str:
    if found.value is None:
        return "not defined"
    if found.low is None or found.high is None:
        return f"{found.value:.2f}"
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def _flips(word: str, flips: Sequence[Flip]) -> Iterator[str]:
    if not flips:
        return
    yield f"{word}: {len(flips)} questions"
    for flip in flips[:SHOWN_FLIPS]:
        yield f"  {plain(flip.id)}  {plain(flip.question)[:80]}  ({flip.a:g} -> {flip.b:g})"
    if len(flips) > SHOWN_FLIPS:
        yield f"  and {len(flips) - SHOWN_FLIPS} more (--json)"


def _unpaired(found: Comparison) -> Iterator[str]:
    for name, ids in ((f"A ({found.a})", found.only_a), (f"B ({found.b})", found.only_b)):
        if ids:
            yield f"only in {plain(name)}, not compared: {len(ids)} questions"


def _title(name: str) -> str:
    return NAMES.get(name) or figures.title(plain(name))


def _value(name: str, value: float) -> str:
    if name in PERCENT:
        return figures.percent(value)
    if name.endswith("_ms"):
        return figures.milliseconds(value)
    return figures.dollars(value) if name == "cost_micro_usd" else f"{value:.3g}"


def _signed(name: str, value: float) -> str:
    return f"{'-' if value < 0 else '+'}{_value(name, abs(value))}"
