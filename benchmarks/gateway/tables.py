"""The page that the measurements become: every figure, and the ratios that were the goal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "service" / "benchmarks.md"
COLUMNS = {
    "c64_rps": ("requests/s, 64 connections", "{:,.0f}"),
    "cpu_us": ("CPU µs/request", "{:,.0f}"),
    "c1_p50": ("p50 ms, 1 connection", "{:.2f}"),
    "c10_p99": ("p99 ms, 10", "{:.1f}"),
    "big_rps": ("requests/s, 25 KB", "{:,.0f}"),
    "ttft_1": ("first event ms, 1 stream", "{:.1f}"),
    "us_event_64": ("CPU µs/event, 64 streams", "{:,.0f}"),
    "gap99_256": ("gap p99 ms, 256 streams", "{:.1f}"),
    "start": ("start s", "{:.2f}"),
    "rss_idle": ("MB idle", "{:,.0f}"),
    "rss_load": ("MB loaded", "{:,.0f}"),
    "bad": ("not 2xx", "{:.0f}"),
}
Rows = Mapping[str, Mapping[str, float]]


def page(rows: Rows, rounds: int) -> str:
    """The whole page in Markdown."""
    order = sorted(rows, key=lambda name: -rows[name]["c64_rps"])
    heads = [head for head, _ in COLUMNS.values()]
    lines = [
        "# The service beside its peers",
        "",
        "Made by `python benchmarks/gateway/measure.py --write`; its head says how. One machine, "
        f"one run, medians of {rounds} interleaved rounds; one worker on one core, load and fake "
        "provider on the other. Compare within the page only: a machine shared with others swings.",
        "",
        f"| gateway | {' | '.join(heads)} |",
        f"|---|{'---|' * len(heads)}",
        *(f"| {name} | {' | '.join(_cells(rows[name]))} |" for name in order),
        "",
        "`service` runs its full path: tokens by hash with limits, typed validation, an "
        "experiment, redaction, retries, breakers and a provider to fail over to, cost, budgets, "
        "metrics of every request. The peers run with as little as they can.",
        "",
        "| goal | gate | target | measured |  |",
        "|---|---|---|---|---|",
        *_goals(rows),
        "",
    ]
    return "\n".join(lines)


def write(text: str) -> None:
    """Writes the page into the documentation."""
    PAGE.write_text(text, encoding="utf-8")


def _cells(row: Mapping[str, float]) -> list[str]:
    return [_cell(row.get(key), form) for key, (_, form) in COLUMNS.items()]


def _cell(value: float | None, form: str) -> str:
    """Empty for what was not measured; a gateway whose streams gave no event has none to show."""
    if value is None:
        return ""
    return "no stream" if math.isnan(value) else form.format(value)


def _goals(rows: Rows) -> list[str]:
    """A line per goal whose peers were measured."""
    found = []
    for text, gate, target, least, value in GOALS:
        try:
            measured = value(rows)
        except (KeyError, ZeroDivisionError):
            continue
        better = (lambda a, b: a >= b) if least else (lambda a, b: a <= b)
        word = (
            "target" if better(measured, target) else "gate" if better(measured, gate) else "missed"
        )
        sign = "≥" if least else "≤"
        found.append(f"| {text} | {sign} {gate:g} | {sign} {target:g} | {measured:.3g} | {word} |")
    return found


def _ratio(key: str, peer: str) -> Callable[[Rows], float]:
    return lambda rows: rows["service"][key] / rows[peer][key]


def _added(key: str, peer: str) -> Callable[[Rows], float]:
    """What the service adds over the direct way, as a share of what `peer` adds."""
    return lambda rows: (
        (rows["service"][key] - rows["direct"][key]) / (rows[peer][key] - rows["direct"][key])
    )


Goal = tuple[str, float, float, bool, Callable[[Rows], float]]
GOALS: list[Goal] = [
    ("requests/s over LiteLLM's", 25, 80, True, _ratio("c64_rps", "litellm")),
    ("requests/s over Portkey's", 3, 10, True, _ratio("c64_rps", "portkey")),
    ("requests/s over vllm-router's", 0.25, 0.8, True, _ratio("c64_rps", "vllm-router")),
    ("CPU per request over nginx's", 15, 4, False, _ratio("cpu_us", "nginx")),
    ("CPU per request over the upstream's own", 50, 12, False, _ratio("cpu_us", "direct")),
    ("added p50, one connection, over LiteLLM's", 0.05, 0.025, False,
     _added("c1_p50", "litellm")),
    ("added p50 over vllm-router's", 4, 2, False, _added("c1_p50", "vllm-router")),
    ("p99 at ten connections over LiteLLM's", 0.1, 0.02, False, _ratio("c10_p99", "litellm")),
    ("requests/s at 25 KB over those at 1 KB", 0.4, 0.6, True,
     lambda rows: rows["service"]["big_rps"] / rows["service"]["c64_rps"]),
    ("added time to the first event, ms", 3, 1, False,
     lambda rows: rows["service"]["ttft_1"] - rows["direct"]["ttft_1"]),
    ("CPU per event over LiteLLM's", 0.1, 0.05, False, _ratio("us_event_64", "litellm")),
    ("gap p99 of 256 streams, ms (20 is ideal)", 40, 25, False,
     lambda rows: rows["service"]["gap99_256"]),
    ("truncated of 256 streams", 0, 0, False, lambda rows: rows["service"]["truncated_256"]),
    ("requests/s from the cache over its own misses", 1.5, 2, True,
     lambda rows: rows["service"]["cache_rps"] / rows["service"]["c64_rps"]),
    ("start to the first answer, s", 1.0, 0.5, False, lambda rows: rows["service"]["start"]),
    ("start over LiteLLM's", 1 / 8, 1 / 8, False, _ratio("start", "litellm")),
    ("memory under load over LiteLLM's", 0.25, 0.25, False, _ratio("rss_load", "litellm")),
    ("memory under load, MB", 120, 60, False, lambda rows: rows["service"]["rss_load"]),
]  # fmt: skip
