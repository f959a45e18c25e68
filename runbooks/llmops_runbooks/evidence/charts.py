"""The charts of one rollout, all over the same minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmops_runbooks.evidence import figures
from llmops_runbooks.evidence.chart import Chart, Line, svg
from llmops_runbooks.evidence.moments import seconds

Json = Mapping[str, Any]
ARMS = ("baseline", "canary")
METRIC_STYLES = ("first", "second", "third")
NAMES = {"errors": "errors", "quality": "poor answers"}


class Axis:
    """Minutes since the rollout began, from the first thing known to the last."""

    def __init__(self, evidence: Json) -> None:
        moments = [seconds(at) for at in _moments(evidence)]
        begun = evidence["rollout"]["started"]
        self.zero = seconds(begun) if begun else min(moments, default=0.0)
        self.span = (
            min(0.0, self._minutes(min(moments, default=self.zero))),
            max(1.0, self._minutes(max(moments, default=self.zero))),
        )

    def at(self, moment: str) -> float:
        """Minutes since the beginning."""
        return self._minutes(seconds(moment))

    def within(self, start: str) -> float:
        """The middle of the minute that begins at `start`."""
        return self.at(start) + 0.5

    def _minutes(self, epoch: float) -> float:
        return (epoch - self.zero) / 60


def _moments(evidence: Json) -> Iterator[str]:
    for arm in ARMS:
        yield from (point["start"] for point in evidence["series"][arm])
    yield from (point["at"] for point in evidence["weights"] if point["at"])
    yield from (call["at"] for call in evidence["verdicts"] if call["at"])
    yield from (evidence["rollout"][key] for key in ("finished",) if evidence["rollout"][key])


def draw(evidence: Json) -> Iterator[tuple[Chart, str]]:
    """Every chart with its SVG."""
    axis = Axis(evidence)
    marks = list(_marks(evidence, axis))
    drawn = [
        _weights(evidence, axis, marks),
        *(_arms(evidence, axis, measure) for measure in MEASURES),
        _evidence(evidence, axis, marks, "against"),
        _evidence(evidence, axis, marks, "for"),
    ]
    for chart in drawn:
        yield chart, svg(chart, axis.span)


def _marks(evidence: Json, axis: Axis) -> Iterator[tuple[float, str]]:
    decided = [call for call in evidence["verdicts"] if call["weights"]["canary"]][-1:]
    for call in decided:
        if call["hook_status"] != "IN_PROGRESS" and call["at"]:
            yield axis.at(call["at"]), "decided"


def _weights(evidence: Json, axis: Axis, marks: Sequence[tuple[float, str]]) -> Chart:
    steps: list[tuple[float, float | None]] = [
        (axis.at(point["at"]), point["canary"] / 100) for point in evidence["weights"]
    ]
    if steps:
        steps.append((axis.span[1], steps[-1][1]))
    shares = [(axis.within(point["at"]), point["canary"] / 100) for point in evidence["served"]]
    return Chart(
        title="Traffic to the canary",
        note="weight set, and share served",
        lines=[Line("weight", "canary", steps, step=True), Line("served", "served", shares)],
        show=_tick_percent,
        marks=marks,
        top=0.2,
    )


@dataclass(frozen=True)
class Measure:
    """A metric of both arms: what to read from a point, and how to show it."""

    title: str
    note: str
    read: Callable[[Json], float | None]
    show: Callable[[float], str]
    top: float = 0.0


def _arms(evidence: Json, axis: Axis, measure: Measure) -> Chart:
    lines = [
        Line(
            arm,
            arm,
            [
                (axis.within(point["start"]), measure.read(point))
                for point in evidence["series"][arm]
            ],
        )
        for arm in ARMS
    ]
    return Chart(
        title=measure.title, note=measure.note, lines=lines, show=measure.show, top=measure.top
    )


def _evidence(evidence: Json, axis: Axis, marks: Sequence[tuple[float, str]], side: str) -> Chart:
    judged = [call for call in evidence["verdicts"] if call["verdict"] and call["at"]]
    names = [metric["metric"] for call in judged[-1:] for metric in call["verdict"]["metrics"]]
    lines = [
        Line(NAMES.get(name, name), style, [*_path(judged, axis, name, side)])
        for name, style in zip(names, METRIC_STYLES, strict=False)
    ]
    bounds = {
        metric[side]["bound"] for call in judged[-1:] for metric in call["verdict"]["metrics"]
    }
    worse = side == "against"
    return Chart(
        title="Evidence that it is worse" if worse else "Evidence that it is harmless",
        note="rolls back at the bound" if worse else "promotes when every metric is past the bound",
        lines=lines,
        show=figures.power_of_ten,
        bounds=[(bound, f"bound {bound:g}") for bound in sorted(bounds)],
        marks=marks,
        log=True,
        empty="not judged",
        tell=figures.evidence,
    )


def _path(
    judged: Sequence[Json], axis: Axis, name: str, side: str
) -> Iterator[tuple[float, float | None]]:
    for call in judged:
        for metric in call["verdict"]["metrics"]:
            if metric["metric"] == name:
                yield axis.at(call["at"]), metric[side]["value"]


def _requests(point: Json) -> float | None:
    requests: float | None = point["requests"]
    return requests


def _latency(point: Json) -> float | None:
    tail: float | None = point["latency_p95"]
    mean: float | None = point["latency_avg"]
    return mean if tail is None else tail


def _errors(point: Json) -> float | None:
    return _share(point["errors"], point["requests"])


def _poor(point: Json) -> float | None:
    return _share(point["poor"], point["answers"])


def _quality(point: Json) -> float | None:
    quality: float | None = point["quality"]
    return quality


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _tick_percent(share: float) -> str:
    return f"{100 * share:.3g} %"


MEASURES = (
    Measure("Requests", "per minute", _requests, figures.count),
    Measure("Latency", "95th percentile, ms", _latency, figures.count),
    Measure("Errors", "share of requests", _errors, _tick_percent, top=0.02),
    Measure("Poor answers", "share of answers", _poor, _tick_percent, top=0.05),
    Measure("Quality", "mean, 0 to 1", _quality, "{:.2g}".format, top=1),
)
"""Defined last because it names the functions above."""
