"""What happened, per slice of time, until it is handed to the daemon.

Metric and dimension names are those of the namespace AWS/ApplicationELB. `RequestCount` counts
requests for which a target was chosen; requests answered by the load balancer itself count under
`HTTPCode_ELB_*` or `HTTP_*_Count` (as AWS documents). Times are real seconds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

OWN_5XX = {500, 502, 503, 504}


@dataclass
class Slice:
    """Counts by (load balancer, target group or "", metric), and response times by the pair."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    times: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))


class Counts:
    """Collects into slices of `width` real seconds."""

    def __init__(self, width: float) -> None:
        self.width = width
        self._slices: dict[int, Slice] = {}

    def _slice(self, now: float) -> Slice:
        index = int(now / self.width)
        found = self._slices.get(index)
        if found is None:
            found = self._slices[index] = Slice()
        return found

    def chosen(self, balancer: str, group: str, now: float) -> None:
        """A target was chosen for a request."""
        self._slice(now).counts[balancer, group, "RequestCount"] += 1

    def answered(self, balancer: str, group: str, status: int, seconds: float, now: float) -> None:
        """A target answered with this status; its headers took that long."""
        here = self._slice(now)
        here.counts[balancer, group, f"HTTPCode_Target_{status // 100}XX_Count"] += 1
        here.times[balancer, group].append(seconds)

    def refused(self, balancer: str, group: str, now: float) -> None:
        """A connection to a target could not be made."""
        self._slice(now).counts[balancer, group, "TargetConnectionErrorCount"] += 1

    def own(self, balancer: str, status: int, now: float) -> None:
        """The load balancer answered by itself because something is wrong."""
        counts = self._slice(now).counts
        counts[balancer, "", f"HTTPCode_ELB_{status // 100}XX_Count"] += 1
        if status in OWN_5XX:
            counts[balancer, "", f"HTTPCode_ELB_{status}_Count"] += 1

    def action(self, balancer: str, metric: str, now: float) -> None:
        """A fixed response or a redirect was given."""
        self._slice(now).counts[balancer, "", metric] += 1

    def take(self) -> list[dict[str, Any]]:
        """Everything collected since the last call, oldest slice first, as JSON-able data."""
        slices, self._slices = self._slices, {}
        return [
            {
                "at": index * self.width,
                "counts": [[*key, n] for key, n in here.counts.items()],
                "times": [[*key, [round(t, 6) for t in ts]] for key, ts in here.times.items()],
            }
            for index, here in sorted(slices.items())
        ]
