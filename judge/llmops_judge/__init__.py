"""From observations of two arms to a verdict: pure functions, no AWS, no clock, no I/O.

    judge = Judge(Policy.from_settings({"alpha": 0.01}), weight=0.10)
    state = judge.start()
    state = judge.observe(state, "canary", {"errors": 0, "quality": 1})      # one request, or
    state = judge.minute(state, Minute(baseline=Sample(...), canary=Sample(...)))   # counts
    verdict = judge.verdict(state)

The state is a small JSON-serialisable value: the same observations give the same verdict from
any point at which it was stored and read back.
"""

from llmops_judge.judge import Judge, State
from llmops_judge.observations import Arm, Minute, Sample, Tally
from llmops_judge.policy import Metric, Policy, PolicyError
from llmops_judge.verdict import ArmFigures, Evidence, MetricVerdict, Verdict

__all__ = [
    "Arm",
    "ArmFigures",
    "Evidence",
    "Judge",
    "Metric",
    "MetricVerdict",
    "Minute",
    "Policy",
    "PolicyError",
    "Sample",
    "State",
    "Tally",
    "Verdict",
]
