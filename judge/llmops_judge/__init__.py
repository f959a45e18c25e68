"""From observations of two arms to a verdict: pure functions, no AWS, no clock, no I/O.

    judge = Judge(Policy.from_settings({"alpha": 0.01}), weight=0.10)
    state = judge.start(History(requests=2000, counts={"errors": {0: 1990, 1: 10}}))
    state = judge.observe(state, "canary", {"errors": 0, "latency": 812.0})     # one request, or
    state = judge.minute(state, Minute(baseline=Sample(...), canary=Sample(...)))   # counts
    verdict = judge.verdict(state, elapsed_minutes=12.0)

The state is a small JSON-serialisable value: the same observations give the same verdict from
any point at which it was stored and read back.
"""

from llmops_judge.judge import Judge, State
from llmops_judge.observations import Arm, Counts, History, Minute, Sample
from llmops_judge.policy import CATALOGUE, Golden, Metric, Policy, PolicyError
from llmops_judge.running import Running
from llmops_judge.verdict import ArmFigures, Evidence, Guard, MetricVerdict, Verdict

__all__ = [
    "CATALOGUE",
    "Arm",
    "ArmFigures",
    "Counts",
    "Evidence",
    "Golden",
    "Guard",
    "History",
    "Judge",
    "Metric",
    "MetricVerdict",
    "Minute",
    "Policy",
    "PolicyError",
    "Running",
    "Sample",
    "State",
    "Verdict",
]
