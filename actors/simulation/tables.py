"""Summaries as plain text in columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from forebay.actors.simulation.summary import Line, Summary

_MOST_LINES: Final = 25
"""More clients are shown by the traffic that they belong to."""
_NUMBERS_FROM: Final = 2
"""The column from which on there are numbers."""


def table(summary: Summary) -> str:
    """One run."""
    parts = [_headline(summary), _waits(summary), _limits(summary), _providers(summary)]
    return "\n\n".join(part for part in (*parts, _fairness(summary)) if part)


def _headline(summary: Summary) -> str:
    said = [
        f"{seconds_text(summary.duration)} simulated: {summary.requests} requests, "
        f"{summary.served} served, {summary.refused} refused (429), {summary.failed} failed, "
        f"{summary.unfinished} unfinished.",
        f"{summary.tokens} tokens served. At most {summary.longest_queue} requests waited at once, "
        f"{summary.left_waiting} at the end.",
    ]
    return "\n".join(said)


def _waits(summary: Summary) -> str:
    clients: Sequence[Line] = summary.clients
    what = "client"
    if len(clients) > _MOST_LINES:
        clients, what = summary.traffic, "traffic"
    names = [what, "class", "requests", "served", "429", "failed"]
    header = [*names, "wait p50", "p95", "p99", "max", "tokens"]
    lines = [*clients, *summary.classes] if len(clients) > 1 else clients
    rows = []
    for line in lines:
        waits = line.waits
        name = line.name if line.clients == 1 else f"{line.name} ({line.clients} clients)"
        rows.append(
            [
                name,
                line.traffic_class.value,
                str(line.requests),
                str(line.served),
                str(line.refused),
                str(line.failed),
                *(
                    seconds_text(seconds)
                    for seconds in (waits.p50, waits.p95, waits.p99, waits.longest)
                ),
                str(line.tokens),
            ]
        )
    return columns(header, rows)


def _limits(summary: Summary) -> str:
    rows = [
        [
            provider.name,
            limit.name,
            number_text(limit.limit),
            percent_text(limit.used),
            percent_text(limit.used_while_waiting),
        ]
        for provider in summary.providers
        for limit in provider.limits
    ]
    if not rows:
        return ""
    return columns(["provider", "limit", "allows", "used", "while jobs waited"], rows)


def _providers(summary: Summary) -> str:
    rows = []
    for provider in summary.providers:
        share = provider.refused / provider.calls if provider.calls else 0.0
        counts = (provider.calls, provider.refused, provider.failed, provider.tokens)
        calls, refused, failed, tokens = map(str, counts)
        rows.append([provider.name, "", calls, refused, percent_text(share), failed, tokens])
    return columns(["provider", "", "calls", "429s met", "of calls", "failed", "tokens"], rows)


def _fairness(summary: Summary) -> str:
    return "\n".join(
        f"Jain's index of tokens by weight, of {traffic_class} clients that always had requests "
        f"waiting: {value:.4f}"
        for traffic_class, value in summary.jain.items()
        if value is not None
    )


def comparison(before: Summary, after: Summary) -> str:
    """Two runs side by side."""
    first, second = dict(_facts(before)), dict(_facts(after))
    rows = [
        [name, "", first.get(name, "-"), second.get(name, "-")]
        for name in dict.fromkeys((*first, *second))
    ]
    return columns(["", "", "as it is", "what if"], rows)


def _facts(summary: Summary) -> Iterable[tuple[str, str]]:
    yield "requests", str(summary.requests)
    yield "served", str(summary.served)
    yield "refused (429)", str(summary.refused)
    yield "failed", str(summary.failed)
    yield "tokens served", str(summary.tokens)
    yield "longest queue", str(summary.longest_queue)
    yield "waiting at the end", str(summary.left_waiting)
    lines = (*summary.classes, *(summary.traffic if len(summary.traffic) > 1 else ()))
    for line in lines:
        who = f"{line.name}, {line.traffic_class}"
        yield f"{who}: wait p50", seconds_text(line.waits.p50)
        yield f"{who}: wait p95", seconds_text(line.waits.p95)
        yield f"{who}: wait p99", seconds_text(line.waits.p99)
        yield f"{who}: longest wait", seconds_text(line.waits.longest)
        yield f"{who}: refused (429)", str(line.refused)
    for provider in summary.providers:
        for limit in provider.limits:
            name = f"{provider.name} {limit.name}"
            yield f"{name} allows", number_text(limit.limit)
            yield f"{name} used", percent_text(limit.used)
            yield f"{name} used while jobs waited", percent_text(limit.used_while_waiting)
        yield f"{provider.name}: 429s met", str(provider.refused)
    for traffic_class, value in summary.jain.items():
        if value is not None:
            yield f"Jain's index, {traffic_class}", f"{value:.4f}"


def columns(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers_from: int = _NUMBERS_FROM
) -> str:
    """Aligned: names to the left, numbers to the right.

    Args:
        numbers_from: the column from which on there are numbers.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for row in (header, *rows):
        cells = [
            cell.ljust(width) if index < numbers_from else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cell for cell, width in zip(cells, widths, strict=True) if width))
    return "\n".join(line.rstrip() for line in lines)


def seconds_text(seconds: float) -> str:
    """``0 s``, ``350 ms``, ``12.3 s``, ``2 h``."""
    if seconds >= 7200 and seconds % 3600 == 0:
        return f"{seconds / 3600:.0f} h"
    if seconds >= 100:
        return f"{seconds:.0f} s"
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.0f} ms" if seconds else "0 s"


def number_text(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"


def percent_text(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.1f} %"
