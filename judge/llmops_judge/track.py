"""One metric's part of the state, as objects that change: the fast path of the judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_judge import against, harmless, wealth
from llmops_judge.observations import Counts, Stored, plus, size, to_cells, to_runs
from llmops_judge.policy import Metric
from llmops_judge.ranks import Ranks

MEMORY = 3000.0
"""Outcomes that bets are laid on: older ones fade, and a longer history counts as this many."""
REMAINS = 50.0
"""Outcomes that the past counts as once both arms together are unlike it."""

Both = tuple[dict[int, float], dict[int, float]]
"""The counts of the baseline and of the canary."""


def start(metric: Metric, history: Counts) -> dict[str, Any]:
    """The state of a metric before the first outcome."""
    past = faded(history)
    asleep, staked = against.start(metric, past)
    return {
        "seen": _named(({}, {})),
        "since": None,
        "past": to_runs(past),
        "against": {"asleep": asleep, "staked": staked, "now": 0.0, "peak": 0.0},
        "for": {
            "margin": harmless.start(),
            "tail": None if metric.tail_margin is None else harmless.start(),
            "threshold": harmless.threshold(metric, past),
            "ends": _listed(harmless.ends(metric, past)),
            "now": 0.0,
        },
    }


def faded(past: Counts, memory: float = MEMORY) -> dict[int, float]:
    """The past with no more than `memory` outcomes; what is left of a cell's last is dropped."""
    fade = min(1.0, memory / (size(past) or 1.0))
    kept = {cell: _short(fade * past[cell]) for cell in sorted(past)}
    return {cell: count for cell, count in kept.items() if count >= 0.05}


class Track:
    """The evidence of one metric, brought forward by counts."""

    def __init__(
        self, metric: Metric, weight: float, own: Mapping[str, Any], history: Counts
    ) -> None:
        self.metric = metric
        self.weight = weight
        self.history = history
        self.since: Both = _pair(own["since"]) if own["since"] else ({}, {})
        self.settled = _minus(_pair(own["seen"]), self.since)
        self.past = to_cells(own["past"])
        worse, fine = own["against"], own["for"]
        self.asleep: float = worse["asleep"]
        self.staked: list[float] = worse["staked"]
        self.peak: float = worse["peak"]
        self.margin: list[float] = fine["margin"]
        self.tail: list[float] | None = fine["tail"]
        self.threshold: int | None = fine["threshold"]
        self.ends: harmless.Ends | None = fine["ends"] and (fine["ends"][0], fine["ends"][1])
        self.harmless: float = fine["now"]
        self.bets = against.Bets(metric, weight, self.past, history)

    def own(self) -> dict[str, Any]:
        """The metric's part of the state."""
        return {
            "seen": _named((self.seen(0), self.seen(1))),
            "since": _named(self.since) if any(self.since) else None,
            "past": to_runs(self.past),
            "against": {
                "asleep": self.asleep,
                "staked": list(self.staked),
                "now": round(self.now(), 4) + 0.0,
                "peak": self.peak,
            },
            "for": {
                "margin": list(self.margin),
                "tail": None if self.tail is None else list(self.tail),
                "threshold": self.threshold,
                "ends": _listed(self.ends),
                "now": self.harmless,
            },
        }

    def add(self, arm: int, cell: int, count: float = 1) -> None:
        """Count outcomes; arm 1 is the canary."""
        counts = self.since[arm]
        counts[cell] = counts.get(cell, 0) + count

    def seen(self, arm: int) -> dict[int, float]:
        """All outcomes of an arm so far."""
        return plus(self.settled[arm], self.since[arm])

    def outcomes(self) -> tuple[float, float]:
        """How many outcomes the baseline and the canary had."""
        baseline, canary = (
            size(settled) + size(since)
            for settled, since in zip(self.settled, self.since, strict=True)
        )
        return baseline, canary

    def now(self) -> float:
        """Logarithm of the evidence that the canary is worse."""
        return wealth.total([self.asleep, *self.bets.after(self.staked, self.since)])

    def settle(self) -> None:
        """Take the outcomes since the last time into the wealth and the past; lay new bets."""
        new = plus(*self.since)
        count = size(new)
        if not count:
            return
        self.peak = max(self.peak, round(self.now(), 4))
        staked = self.bets.after(self.staked, self.since)
        before = size(self.settled[0]) + size(self.settled[1])
        asleep, staked = against.wake(self.metric, self.asleep, staked, before, count)
        self.asleep, self.staked = wealth.short(asleep), wealth.stored(staked)
        self._prove()
        kept = REMAINS if Ranks(self.past, self.metric.direction).unlike(new) else MEMORY
        self.past = faded(plus(faded(self.past, kept), new))
        if self.threshold is None:
            self.threshold = harmless.threshold(self.metric, self.past)
        if self.ends is None:
            self.ends = harmless.ends(self.metric, self.past)
        self.settled = self.seen(0), self.seen(1)
        self.since = ({}, {})
        self.bets = against.Bets(self.metric, self.weight, self.past, self.history)

    def proofs(self) -> list[tuple[list[float], harmless.Claim | None]]:
        """The log wealth of the margin's proof and of the tail's, and the claim each is against."""
        margin = harmless.margin_claim(self.metric, self.past, self.ends)
        if self.tail is None:
            return [(self.margin, margin)]
        tail = harmless.tail_claim(self.metric, self.past, self.threshold)
        return [(self.margin, margin), (self.tail, tail)]

    def _prove(self) -> None:
        margin, *tail = (self._disproved(logs, claim) for logs, claim in self.proofs())
        self.margin, self.tail = margin, tail[0] if tail else None
        self.harmless = wealth.short(min(wealth.total(logs) for logs in (margin, *tail)))

    def _disproved(self, logs: list[float], claim: harmless.Claim | None) -> list[float]:
        return wealth.stored(harmless.after(logs, claim, self.weight, self.since))


def _pair(table: Mapping[str, Stored]) -> Both:
    return to_cells(table["baseline"]), to_cells(table["canary"])


def _short(count: float) -> float:
    """Three digits: the past needs no more, and the state is small."""
    short = float(f"{count:.3g}")
    return int(short) if short == int(short) else short


def _listed(ends: harmless.Ends | None) -> list[int] | None:
    return None if ends is None else list(ends)


def _minus(whole: Both, part: Both) -> Both:
    return _rest(whole[0], part[0]), _rest(whole[1], part[1])


def _rest(whole: Counts, part: Counts) -> dict[int, float]:
    return {cell: n - part.get(cell, 0) for cell, n in whole.items() if n > part.get(cell, 0)}


def _named(pair: Both) -> dict[str, Stored]:
    return {"baseline": to_runs(pair[0]), "canary": to_runs(pair[1])}
