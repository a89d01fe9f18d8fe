"""Charts of a run over time, drawn on whatever can draw lines and text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10
from typing import Final, Protocol

from forebay.actors.simulation.record import Series
from forebay.actors.simulation.summary import quantile

WIDTH: Final = 960
"""Of every chart. Lengths are pixels."""
PANEL: Final = 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 46, 28
_TEXT: Final = 12
_INK: Final = "#1f2933"
_FAINT: Final = "#d5dbe1"
_COLOURS: Final = ("#1668b8", "#d2691e", "#2e8b57", "#8a4fbe", "#b22248", "#6b7280")
_TICKS: Final = 4
_TIMES: Final = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (0.001, "ms"))
_MOST_LINES: Final = len(_COLOURS)

Point = tuple[float, float]


class Canvas(Protocol):
    """What charts are drawn on; the origin is the upper left corner."""

    def line(self, points: Sequence[Point], colour: str, width: float) -> None: ...

    def text(self, at: Point, text: str, colour: str, *, anchor: str) -> None:
        """``anchor``: ``start``, ``middle`` or ``end`` of the text stands at ``at``, above its
        baseline."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart."""

    title: str
    unit: str
    lines: tuple[tuple[str, tuple[float, ...]], ...]
    """Each with its name; a value for each span."""
    span: float
    """Seconds."""


def panels_of(series: Series) -> tuple[Panel, ...]:
    """Waits, queue and limits of one run."""
    ordered = [sorted(waits) for waits in series.waits]
    waits = tuple(
        (name, tuple(quantile(each, share) for each in ordered))
        for name, share in (("p50", 0.5), ("p95", 0.95), ("longest", 1.0))
    )
    used = sorted(series.used.items(), key=lambda item: -max(item[1]))[:_MOST_LINES]
    limits = tuple((name, tuple(100 * share for share in shares)) for name, shares in used)
    return (
        Panel("Waits of requests that started", "s", waits, series.span),
        Panel("Requests waiting", "", (("waiting", tuple(series.queue)),), series.span),
        Panel("Limits used", "%", limits, series.span),
    )


def height_of(panels: Sequence[Panel]) -> int:
    return PANEL * len(panels)


def draw(panels: Sequence[Panel], canvas: Canvas) -> None:
    """All of ``panels``, one below the other."""
    for number, panel in enumerate(panels):
        _draw_panel(panel, canvas, PANEL * number)


def _draw_panel(panel: Panel, canvas: Canvas, top: float) -> None:
    values = [value for _, line in panel.lines for value in line]
    highest, step = _scale(max(values, default=0.0))
    bottom, left, right = top + PANEL - _BOTTOM, float(_LEFT), float(WIDTH - _RIGHT)
    height = PANEL - _TOP - _BOTTOM

    def y_of(value: float) -> float:
        return bottom - height * value / highest

    unit = f" ({panel.unit})" if panel.unit else ""
    canvas.text((left, top + 18), panel.title + unit, _INK, anchor="start")
    tick = 0.0
    while tick <= highest * 1.001:
        canvas.line([(left, y_of(tick)), (right, y_of(tick))], _FAINT, 1)
        canvas.text((left - 8, y_of(tick) + 4), _number(tick), _INK, anchor="end")
        tick += step
    seconds = panel.span * max((len(line) for _, line in panel.lines), default=1)
    for at, label in _times(seconds):
        x = left + (right - left) * at / seconds
        canvas.line([(x, bottom), (x, bottom + 4)], _INK, 1)
        canvas.text((x, bottom + 18), label, _INK, anchor="middle")
    legend = left
    for colour, (name, line) in zip(_COLOURS, panel.lines, strict=False):
        width = (right - left) / len(line)
        points = [(left + width * (i + 0.5), y_of(value)) for i, value in enumerate(line)]
        canvas.line(points, colour, 1.5)
        if len(panel.lines) > 1:
            canvas.line([(legend, top + 32), (legend + 14, top + 32)], colour, 3)
            canvas.text((legend + 18, top + 36), name, _INK, anchor="start")
            legend += 36 + 0.62 * _TEXT * len(name)


def _scale(most: float) -> tuple[float, float]:
    """The end of the axis, and its steps: 1, 2 or 5 times a power of ten."""
    if most <= 0:
        return 1.0, 0.5
    rough = most / _TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return step * max(1, -(-most * 0.999 // step)), step


def _times(seconds: float) -> Iterator[tuple[float, str]]:
    unit, name = next((unit for unit in _TIMES if seconds >= 2 * unit[0]), _TIMES[-1])
    _, step = _scale(seconds / unit)
    at = 0.0
    while at <= seconds / unit * 1.001:
        yield at * unit, f"{_number(at)} {name}"
        at += step


def _number(value: float) -> str:
    return f"{value:.6g}"


class SvgCanvas:
    """Draws inline SVG."""

    def __init__(self, height: int) -> None:
        self._height = height
        self._parts: list[str] = []

    def line(self, points: Sequence[Point], colour: str, width: float) -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
        )

    def text(self, at: Point, text: str, colour: str, *, anchor: str) -> None:
        x, y = at
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )

    def svg(self) -> str:
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self._height}" '
            f'width="{WIDTH}" height="{self._height}" font-family="sans-serif" '
            f'font-size="{_TEXT}">' + "\n".join(self._parts) + "</svg>"
        )
