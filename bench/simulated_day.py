"""How long a day takes to simulate: 864,000 requests, ten a second, on one core.

One day has busy hours in which more comes than the limits allow, and hundreds wait. In the
other there is always room. Everything counts: reading the configuration, drawing the requests, the
gateway's own scheduling of each, and the numbers at the end.

Run it with ``python bench/simulated_day.py``; ``--quick`` simulates an hour of each day and tells
what a day would take.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from harness.figures import Figure, Report, argument_parser, at_most, publish

from forebay.actors.config import parse_settings
from forebay.actors.simulation.reading import parse_load
from forebay.actors.simulation.run import simulate
from forebay.actors.simulation.summary import Summary, summary_of
from forebay.protocol.jsontext import JsonObject

DAY = 86_400.0
_PHASES = ((0.375, 8.2), (0.25, 12.0), (0.375, 10.5))
"""Parts of the day, and their requests per second: ten on average."""


def _config(rpm: float) -> JsonObject:
    limits: JsonObject = {"rpm": rpm, "tpm": 10**9, "concurrency": 200}
    url = "http://127.0.0.1:1/v1"
    return {
        "providers": {"up": {"kind": "openai_compatible", "base_url": url, "limits": limits}},
        "models": {"fast": {"targets": ["up/m"]}},
    }


def _load(seconds: float) -> JsonObject:
    return {
        "duration": seconds,
        "traffic": {
            "chat": {
                "users": 50,
                "models": "fast",
                "phases": [{"lasts": part * seconds, "rate": rate} for part, rate in _PHASES],
                "input_tokens": {"lognormal": {"median": 600, "p95": 3000}},
                "output_tokens": {"lognormal": {"median": 150, "p95": 600}},
            }
        },
    }


def measured(rpm: float, seconds: float) -> tuple[Summary, float]:
    """A run, and the seconds of CPU that it took."""
    began = time.process_time()
    settings = parse_settings(_config(rpm))
    run = simulate(settings, parse_load(_load(seconds), settings, source="bench"))
    summary = summary_of(run.record, run.upstreams)
    return summary, time.process_time() - began


def reports(*, quick: bool) -> Iterator[Report]:
    seconds = 3600.0 if quick else DAY
    for title, rpm in (("with room for all", 900.0), ("with a queue in the busy hours", 660.0)):
        summary, cpu = measured(rpm, seconds)
        yield Report(
            f"A day of ten requests a second, {title}",
            (
                at_most("CPU, a whole day", cpu * DAY / seconds, 120, "s"),
                Figure("for each request", cpu / summary.requests * 1e6, "us"),
                Figure("requests", summary.requests),
                Figure("median wait", summary.classes[0].waits.p50, "s"),
                Figure("longest queue", summary.longest_queue),
                Figure("longest wait", summary.classes[0].waits.longest, "s"),
            ),
        )


def main() -> int:
    options = argument_parser(__doc__).parse_args()
    return publish(reports(quick=options.quick), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
