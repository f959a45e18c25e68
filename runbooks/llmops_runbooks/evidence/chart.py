"""One small chart as static SVG: lines labelled where they end, bounds, marks; no script.

Colours come from the page's style sheet by class, so one drawing serves light, dark and print.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from llmops_runbooks.evidence.scales import Scale, exact, linear, logarithmic

WIDTH, HEIGHT = 380, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 70, 12, 26
LABEL_GAP = 13
SMALLEST = 1e-3
"""The lowest value a logarithmic axis shows; less is drawn on its edge."""
LARGEST = 1e9

Points = Sequence[tuple[float, float | None]]


@dataclass(frozen=True)
class Line:
    """One series over minutes; None breaks the line. `style` is its class in the style sheet."""

    label: str
    style: str
    points: Points
    step: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart: lines over the same minutes, horizontal bounds, vertical marks.

    top: the value the axis reaches at least; low: where a linear axis begins.
    """

    title: str
    note: str
    lines: Sequence[Line]
    show: Callable[[float], str]
    bounds: Sequence[tuple[float, str]] = ()
    marks: Sequence[tuple[float, str]] = ()
    log: bool = False
    top: float = 0.0
    low: float = 0.0
    empty: str = "no data"
    tell: Callable[[float], str] | None = None
    """How a single point is told; default: as the axis shows its ticks."""


def svg(chart: Chart, minutes: tuple[float, float]) -> str:
    """The drawing; `minutes` is the stretch of the x axis."""
    x = exact(*minutes, LEFT, WIDTH - RIGHT)
    y = _vertical(chart)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(chart.title)}">',
        _grid(x, y, chart.show),
        *(_mark(x, at, label) for at, label in chart.marks),
        *(_bound(y, value, label) for value, label in chart.bounds),
        *(_line(line, x, y, chart.tell or chart.show) for line in chart.lines),
        _labels(chart.lines, x, y),
        "" if _values(chart) else _empty(chart.empty),
        "</svg>",
    ]
    return "".join(parts)


def _values(chart: Chart) -> list[float]:
    return [value for line in chart.lines for _, value in line.points if value is not None]


def _vertical(chart: Chart) -> Scale:
    values = [*_values(chart), *(value for value, _ in chart.bounds), chart.top]
    if chart.log:
        low = max(SMALLEST, min(value for value in [*values, 0.1] if value > 0))
        high = min(LARGEST, max([*values, 10.0]))
        return logarithmic(low, high, HEIGHT - BOTTOM, TOP)
    return linear(max(values), HEIGHT - BOTTOM, TOP, low=chart.low)


def _grid(x: Scale, y: Scale, show: Callable[[float], str]) -> str:
    right, base = WIDTH - RIGHT, HEIGHT - BOTTOM
    rows = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text class="tick" x="{LEFT - 6}" y="{y(tick) + 3.5:.1f}" text-anchor="end">'
        f"{escape(show(tick))}</text>"
        for tick in y.ticks
    )
    columns = "".join(
        f'<text class="tick" x="{x(tick):.1f}" y="{base + 16}" text-anchor="middle">'
        f"{tick:g}{' min' if tick == x.ticks[-1] else ''}</text>"
        for tick in x.ticks
    )
    axis = f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{base}" y2="{base}"/>'
    return f"{rows}{axis}{columns}"


def _mark(x: Scale, at: float, label: str) -> str:
    position = f"{x(at):.1f}"
    anchor = "start" if x(at) < WIDTH / 2 else "end"
    shift = 4 if anchor == "start" else -4
    return (
        f'<line class="mark" x1="{position}" x2="{position}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text class="tick" x="{x(at) + shift:.1f}" y="{TOP + 9}" text-anchor="{anchor}">'
        f"{escape(label)}</text>"
    )


def _bound(y: Scale, value: float, label: str) -> str:
    at = y(value)
    return (
        f'<line class="bound" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        f'<text class="bound-label" x="{WIDTH - RIGHT + 6}" y="{at + 3.5:.1f}">{escape(label)}'
        "</text>"
    )


def _line(line: Line, x: Scale, y: Scale, tell: Callable[[float], str]) -> str:
    drawn = "".join(
        f'<path class="line {line.style}" d="{_path(run, x, y, line.step)}"/>'
        for run in _runs(line.points)
    )
    known = [(at, value) for at, value in line.points if value is not None]
    dots = "".join(
        f'<circle class="hover" cx="{x(at):.1f}" cy="{y(value):.1f}" r="6">'
        f"<title>{escape(line.label)}: {escape(tell(value))} at {at:.1f} min</title></circle>"
        for at, value in known
    )
    if known and not line.step:
        at, value = known[-1]
        drawn += f'<circle class="dot {line.style}" cx="{x(at):.1f}" cy="{y(value):.1f}" r="2.6"/>'
    return drawn + dots


def _path(run: Sequence[tuple[float, float]], x: Scale, y: Scale, step: bool) -> str:
    first, *rest = ((x(at), y(value)) for at, value in run)
    path = f"M{first[0]:.1f} {first[1]:.1f}"
    for across, down in rest:
        path += f"H{across:.1f}V{down:.1f}" if step else f"L{across:.1f} {down:.1f}"
    return path


def _runs(points: Points) -> list[list[tuple[float, float]]]:
    """The stretches without a gap."""
    runs: list[list[tuple[float, float]]] = [[]]
    for at, value in points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append((at, value))
    return [run for run in runs if run]


def _labels(lines: Sequence[Line], x: Scale, y: Scale) -> str:
    """Each line's name at its end, pushed apart where they would touch."""
    ends = []
    for line in lines:
        known = [(at, value) for at, value in line.points if value is not None]
        if known and line.label:
            ends.append((y(known[-1][1]), x(known[-1][0]), line))
    ends.sort(key=lambda end: end[0])
    heights = _apart([wanted for wanted, _, _ in ends])
    return "".join(
        f'<text class="label {line.style}" x="{across + 7:.1f}" y="{height + 3.5:.1f}">'
        f"{escape(line.label)}</text>"
        for (_, across, line), height in zip(ends, heights, strict=True)
    )


def _apart(wanted: Sequence[float]) -> list[float]:
    """The wanted heights (sorted), pushed down until none touch, then up into the plot."""
    placed: list[float] = []
    for height in wanted:
        placed.append(max(height, placed[-1] + LABEL_GAP) if placed else height)
    limit = float(HEIGHT - BOTTOM - 4)
    for number in reversed(range(len(placed))):
        placed[number] = min(placed[number], limit)
        limit = placed[number] - LABEL_GAP
    return placed


def _empty(text: str) -> str:
    middle = (LEFT + WIDTH - RIGHT) / 2
    return (
        f'<text class="empty" x="{middle}" y="{HEIGHT / 2}" text-anchor="middle">{escape(text)}'
        "</text>"
    )
