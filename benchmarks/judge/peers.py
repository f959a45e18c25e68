"""The judge against other tools, on a canary benchmark that compares decision functions.

    python benchmarks/judge/peers.py PATH/TO/bench.py --reps 100 --nulls 300 --write

The benchmark holds the peers, the traces and the limit (Wald's test that is told the true laws); it
needs numpy and scipy. It is run twice, with `llmops_judge.bench:make` (every request) and
`llmops_judge.bench:make_minute` (closed minutes); its JSON becomes the tables of docs/judge.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pages import replace, table

PEERS = {
    "cw_tuned": "CloudWatch alarm, tuned",
    "argo_tuned": "Argo, tuned",
    "kayenta_5m": "Kayenta",
}
SEQUENTIAL = ("msprt", "netflix_count", "netflix_cdf", "betting_cs")
LIMIT = "sprt_label"
HALF = 50.0
"""Per cent missed from which there is no median."""
JUDGE = Path(__file__).parents[2] / "judge"

Results = dict[str, dict[str, dict[str, float]]]
"""Scenario -> method -> its figures."""


def measured(bench: Path, plugin: str, methods: tuple[str, ...], asked: Any) -> Results:
    """The benchmark's JSON."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "table.json"
        command = [sys.executable, str(bench), "--plugin", f"llmops_judge.bench:{plugin}"]
        command += ["--methods", ",".join(methods), "--procs", str(asked.procs)]
        command += ["--reps-alt", str(asked.reps), "--reps-null", str(asked.nulls)]
        command += ["--reps-heavy", str(asked.reps), "--calib", "400", "--json", str(out)]
        command += ["--scenarios", asked.scenarios]
        environment = {**os.environ, "PYTHONPATH": str(JUDGE), "OMP_NUM_THREADS": "1"}
        subprocess.run(command, check=True, env=environment, cwd=folder, stdout=sys.stderr)
        found: Results = json.loads(out.read_text())
        return found


def merged(bench: Path, asked: Any) -> Results:
    """Both runs' figures; the judge's by request are `plugin`, by minute `minute`."""
    single = measured(bench, "make", (*PEERS, *SEQUENTIAL, LIMIT), asked)
    minute = measured(bench, "make_minute", (LIMIT,), asked)
    return {name: {**methods, "minute": minute[name]["plugin"]} for name, methods in single.items()}


def is_null(methods: dict[str, dict[str, float]]) -> bool:
    """Whether the scenario's arms are identical, or have no limit because sessions are sticky."""
    return LIMIT not in methods


def regressions(results: Results) -> str:
    """Median requests until the rollback, and how they compare with the limit."""
    rows, ratios, by_minute = [], [], []
    for name, methods in results.items():
        if is_null(methods):
            continue
        judge, minute, limit = methods["plugin"], methods["minute"], methods[LIMIT]
        ratio, other = _ratio(judge, limit), _ratio(minute, judge)
        ratios += [] if ratio is None else [ratio]
        by_minute += [] if other is None else [other]
        best = min(
            (methods[each] for each in SEQUENTIAL if each in methods),
            key=lambda figures: figures["median"],
        )
        peers = [_requests(methods.get(peer)) for peer in PEERS]
        cells = [*peers, *map(_requests, (best, judge, minute, limit)), _times(ratio)]
        rows.append([name, *cells])
    head = ["regression", *PEERS.values(), "best other sequential", "the judge", "by minute"]
    text = table([*head, "limit", "judge / limit"], rows)
    return (
        f"{text}\n\nThe judge takes {statistics.median(ratios):.2f} times the limit's requests in "
        f"the median over these regressions and {max(ratios):.2f} times in the worst; by minute "
        f"{statistics.median(by_minute):.2f} times its own requests in the median. A dash: more "
        "than half of the bad canaries were missed; in brackets: how many were."
    )


def false_alarms(results: Results) -> str:
    """Identical arms rolled back, in per cent."""
    names = (*PEERS, "msprt", "plugin", "minute")
    rows = [
        [name, *(_percent(methods.get(method)) for method in names)]
        for name, methods in results.items()
        if is_null(methods) and not name.startswith("sticky")
    ]
    return table(["identical arms", *PEERS.values(), "mSPRT", "the judge", "by minute"], rows)


def _ratio(one: dict[str, float], other: dict[str, float]) -> float | None:
    if max(one["missed"], other["missed"]) >= HALF:
        return None
    return one["median"] / other["median"]


def _requests(figures: dict[str, float] | None) -> str:
    if figures is None:
        return ""
    missed = f" ({figures['missed']:.0f} %)" if figures["missed"] >= 0.5 else ""
    return ("-" if figures["missed"] >= HALF else f"{figures['median']:,.0f}") + missed


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _percent(figures: dict[str, float] | None) -> str:
    return "" if figures is None else f"{figures['alarm']:.1f} %"


def main() -> None:
    """Print the tables, and write them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bench", type=Path, help="the benchmark")
    parser.add_argument("--reps", type=int, default=100, help="runs of each regression")
    parser.add_argument("--nulls", type=int, default=300, help="runs of identical arms")
    parser.add_argument("--procs", type=int, default=1)
    parser.add_argument("--scenarios", default="all")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/judge.md")
    asked = parser.parse_args()
    results = merged(asked.bench.resolve(), asked)
    text = "\n\n".join(
        (
            f"`python benchmarks/judge/peers.py`: one metric at a time, 10 % weight, 200 requests "
            f"a minute, 20,000 at most, alpha 1 %; {asked.reps} runs of each regression, "
            f"{asked.nulls} of identical arms. Median requests of both arms until the rollback; "
            "the limit is Wald's test that is told the true laws.",
            regressions(results),
            f"Identical arms rolled back, of 1 % allowed (with {asked.nulls} runs a true 1 % "
            "shows as up to 2.3 %):",
            false_alarms(results),
        )
    )
    print(text)
    if asked.write:
        replace("peers", text)


if __name__ == "__main__":
    main()
