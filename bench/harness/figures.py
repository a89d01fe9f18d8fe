"""Figures next to their targets: as a table for people, as JSON for programs."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from forebay.protocol.jsontext import JsonObject


class Bound(StrEnum):
    """Which side of its target a figure should be on."""

    AT_LEAST = ">="
    AT_MOST = "<="


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure."""

    name: str
    value: float
    unit: str = ""
    """Without one it is a count or a ratio."""
    bound: Bound | None = None
    """None: told for what it is worth."""
    target: float | None = None

    @property
    def met(self) -> bool | None:
        """None: there is no target."""
        if self.target is None:
            return None
        return self.value >= self.target if self.bound is Bound.AT_LEAST else self.of_target <= 1

    @property
    def of_target(self) -> float:
        """The figure over its target; against a target of 0 any excess is infinite."""
        assert self.target is not None
        if self.target == 0:
            return 0.0 if self.value <= 0 else float("inf")
        return self.value / self.target


def at_least(name: str, value: float, target: float, unit: str = "") -> Figure:
    return Figure(name, value, unit, Bound.AT_LEAST, target)


def at_most(name: str, value: float, target: float, unit: str = "") -> Figure:
    return Figure(name, value, unit, Bound.AT_MOST, target)


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one measurement."""

    title: str
    figures: tuple[Figure, ...]

    @property
    def met(self) -> bool:
        """Whether no target was missed."""
        return all(figure.met is not False for figure in self.figures)

    def table(self) -> str:
        """For people."""
        lines = [
            self.title,
            f"  {'':46}{'measured':>12} {'':5}{'target':>12}{'of target':>11}",
        ]
        for figure in self.figures:
            line = f"  {figure.name:46}{_short(figure.value):>12} {figure.unit:5}"
            if figure.bound is not None and figure.target is not None:
                line += f"{figure.bound.value + ' ' + _short(figure.target):>12}"
                line += f"{_short(figure.of_target):>11}"
                line += "" if figure.met else "   missed"
            lines.append(line.rstrip())
        return "\n".join(lines)


def _short(value: float) -> str:
    if not math.isfinite(value):
        return "-" if math.isnan(value) else str(value)
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"


def quantile(values: Sequence[float], share: float) -> float:
    """The value below or at which ``share`` of the values lie; nan of none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """With what all measurements take."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")
    parser.add_argument("--quick", action="store_true", help="shorter or smaller, and less exact")
    return parser


def publish(reports: Iterable[Report], *, as_json: bool) -> int:
    """Print, tables each when it is there; the exit status: 1 if a target was missed."""
    done: list[Report] = []
    for report in reports:
        done.append(report)
        if not as_json:
            print(report.table(), end="\n\n", flush=True)
    if as_json:
        print(json.dumps(_as_json(done), indent=2))
    return 0 if all(report.met for report in done) else 1


def _as_json(reports: Sequence[Report]) -> JsonObject:
    return {
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
        },
        "reports": [
            {
                "title": report.title,
                "met": report.met,
                "figures": [_figure_as_json(figure) for figure in report.figures],
            }
            for report in reports
        ],
    }


def _figure_as_json(figure: Figure) -> JsonObject:
    """JSON has no infinity and no nan: null."""
    return {
        "name": figure.name,
        "value": figure.value if math.isfinite(figure.value) else None,
        "unit": figure.unit,
        "bound": None if figure.bound is None else figure.bound.value,
        "target": figure.target,
        "met": figure.met,
    }
