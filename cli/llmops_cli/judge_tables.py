"""What `llmops judge` shows: the reports of its runbooks as tables in plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_judge.simulate import Share, Summary
    from llmops_runbooks import judge_lint, judge_replay, judge_simulate


def lint(found: judge_lint.Report) -> list[str]:
    """The policy in effect and the warnings."""
    table = found.table
    most = table["maximum_requests"]
    limits = f"{table['maximum_minutes']:g} minutes" + (f", {most:,} requests" if most else "")
    heads = ("metric", "better", "may be worse by", "mode", "min.", "no data", "limit", "proved by")
    rows = [heads] + [
        (
            row.metric,
            row.better,
            row.margin,
            row.mode,
            str(row.minimum or "auto"),
            row.no_data,
            row.limit,
            "-" if row.needs is None else f"~{row.needs:,}",
        )
        for row in found.rows
    ]
    return [
        f"policy of {found.source}",
        f"  rolls back at most {_percent(table['alpha'])} of harmless canaries; promotes at most "
        f"{_percent(table['beta'])} of those worse by a margin",
        f"  at least {table['minimum_requests']} requests per arm and "
        f"{table['minimum_minutes']:g} minutes; at most {limits}; then: {table['inconclusive']}",
        f"  arms must be alike in: {', '.join(table['contamination']) or 'nothing'}",
        "",
        *table_lines(rows),
        "",
        f"proved by: requests of both arms, if the canary is like the baseline, of a service with "
        f"{found.assumed}",
        *_warnings(found),
    ]


def _warnings(found: judge_lint.Report) -> Iterator[str]:
    if not found.warnings:
        yield "no warnings"
    for warning in found.warnings:
        yield f"warning: {warning}"


def simulate(found: judge_simulate.Report) -> list[str]:
    """False rollbacks, each regression, the margins, and what other canary shares change."""
    plan, same = found.plan, found.identical
    return [
        f"{plan.traffic.per_minute:,.4g} requests a minute ({plan.source}), "
        f"{100 * plan.weight:g} % of them on the canary; in brackets the 95 % Monte-Carlo interval",
        "",
        f"identical arms     rolled back {_share(same.rolled_back)}, allowed "
        f"{_percent(plan.policy.alpha)}",
        f"                   promoted {_share(same.promoted)}, half of them within {_needs(same)}",
        f"                   inconclusive {_share(same.inconclusive)}",
        "",
        *table_lines([_HEADS, *(_regression(*each) for each in found.regressions)]),
        "within: the policy's margins put up with it, so it may be promoted",
        *(f"not seen: {each.name}, no metric it shows in gates" for each in found.unseen),
        "",
        *table_lines([("worse by the margin", "promoted", "allowed"), *_margins(found)]),
        "",
        *table_lines(_shares(found)),
        *([f"without history, left out: {', '.join(found.left_out)}"] if found.left_out else []),
    ]


_HEADS = ("regression", "rolled back", "half within", "nine in ten", "promoted", "")


def _regression(each: Summary, within: bool) -> tuple[str, ...]:
    slow = "-" if each.slow_requests is None else f"{each.slow_requests:,} requests"
    return (
        each.change.name,
        _share(each.rolled_back),
        _needs(each),
        slow,
        _percent(each.promoted.value),
        "within" if within else "",
    )


def _margins(found: judge_simulate.Report) -> Iterator[tuple[str, ...]]:
    allowed = _percent(found.plan.policy.beta)
    for each in found.margins:
        yield each.change.margin, _share(each.promoted), allowed


def _shares(found: judge_simulate.Report) -> list[tuple[str, ...]]:
    name = found.shares[0][1].change.words
    rows: list[tuple[str, ...]] = [
        ("canary share", "to promote", f"to see {name}", "served by it meanwhile", "not seen")
    ]
    for same, worse in found.shares:
        served = "-" if worse.canary is None else f"{worse.canary:,} requests"
        missed = _percent(1 - worse.rolled_back.value)
        rows.append((f"{100 * same.weight:g} %", _needs(same), _needs(worse), served, missed))
    return rows


def replay(found: judge_replay.Report) -> list[str]:
    """A line per verdict, and what came out otherwise."""
    lines = [f"rollout {found.rollout} of {found.canary}, {len(found.calls)} verdicts"]
    for call in found.calls:
        if found.other_policy:
            lines.append(f"  {call.at}  {call.recorded} -> {call.decision}: {call.reason}")
        else:
            mark = "same" if call.same else "different"
            lines.append(f"  {call.at}  {call.decision:<12} {mark}")
    different = next((call for call in found.calls if not call.same), None)
    if found.other_policy:
        last = found.calls[-1]
        lines.append(f"under {found.other_policy} it ends with {last.decision}: {last.reason}")
    elif different:
        lines.append(f"first difference, at {different.at}: {different.difference}")
        lines.append("either the record was changed, or another version of the judge made it")
    else:
        lines.append("every verdict is reproduced")
    return lines


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows with their columns aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _needs(each: Summary) -> str:
    if each.requests is None or each.minutes is None:
        return "-"
    return f"{each.requests:,} requests, {_time(each.minutes)}"


def _time(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{rest} min"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _share(share: Share) -> str:
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f} to {100 * share.high:.1f})"
