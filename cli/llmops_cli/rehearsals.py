"""The last lines of a rehearsal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from llmops_runbooks.rehearse import Report
from llmops_runbooks.rehearse_all import AllReport, Ending
from llmops_runbooks.traffic import Summary


def lines_of_two(report: Report) -> list[str]:
    """The end of a rehearsal of a bad release and a good one."""
    rows = [
        *_sent(report.requests, report.requests_lost),
        ("bad answers", f"{report.bad_answers:,} (HTTP 500 or wrong, of the bad release)"),
        ("first to last bad answer", _seconds(report.seconds_from_first_to_last_bad_answer)),
    ]
    told = ["", *(f"{name:<26}{value}" for name, value in rows), ""]
    told += _rollouts(report)
    told += ["", *(f"{rollout.release}: {rollout.reason}" for rollout in report.rollouts)]
    return [*told, *_end(report)]


def lines_of_kinds(report: AllReport) -> list[str]:
    """The end of a rehearsal of kinds."""
    rows = [*_sent(report.requests, report.requests_lost)]
    told = ["", *(f"{name:<26}{value}" for name, value in rows), ""]
    heads = ("kind", "wanted", "outcome", "decided by", "found out by", "requests", "canary",
             "minutes", "bad answers")  # fmt: skip
    cells = [
        _cells(ending, bad) for ending, bad in zip(report.endings, report.bad_answers, strict=True)
    ]
    told += _table([heads, *cells])
    told += ["", *(f"{each.kind.name}: {each.rollout.evidence}" for each in report.endings)]
    return [*told, *_end(report)]


def _cells(ending: Ending, bad_answers: int) -> tuple[str, ...]:
    rollout = ending.rollout
    return (
        ending.kind.name,
        ending.kind.expected.replace("_", " "),
        rollout.outcome.replace("_", " "),
        rollout.decided_by or "-",
        ending.metric or "-",
        _count(ending.requests),
        _count(rollout.canary_requests_at_decision),
        "-" if ending.minutes is None else f"{ending.minutes:g}",
        f"{bad_answers:,}",
    )


def _rollouts(report: Report) -> list[str]:
    heads = ("release", "outcome", "verdict", "decided by", "canary requests", "decided", "silent")
    rows = [heads]
    for rollout, silence in zip(report.rollouts, report.seconds_to_no_canary_traffic, strict=True):
        decided = rollout.seconds_from_start_to_decision
        rows.append(
            (
                rollout.release,
                rollout.outcome,
                rollout.verdict or "-",
                rollout.decided_by or "-",
                _count(rollout.canary_requests_at_decision),
                "-" if decided is None else f"after {decided:.1f} s",
                "-" if silence is None else f"after {silence:.1f} s",
            )
        )
    return _table(rows)


def _sent(requests: Summary, lost: int) -> list[tuple[str, str]]:
    return [
        ("requests sent", f"{requests.sent:,}"),
        ("requests lost", f"{lost:,}"),
        ("sent again", f"{requests.retried:,}"),
    ]


def _end(report: Report | AllReport) -> list[str]:
    told = ["", f"evidence: {report.evidence}"]
    told += [f"failed: {failure}" for failure in report.failures]
    took = timedelta(seconds=round(report.wall_seconds))
    return [*told, f"{'passed' if report.passed else 'FAILED'} in {took.seconds} s"]


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["   ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _seconds(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f} s"
