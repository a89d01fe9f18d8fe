"""Recorded requests: what came when, from JSON Lines or CSV.

Each has ``time`` (seconds from any beginning, or an ISO time), ``client``, ``model``,
``input_tokens`` and ``output_tokens``; ``max_tokens`` and ``class`` may be there.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from forebay.actors.config.problems import ConfigError, Problem
from forebay.actors.config.settings import Settings
from forebay.actors.scheduling.flows import TrafficClass
from forebay.actors.simulation.load import is_served
from forebay.protocol.jsontext import InvalidJson, loads_object

_NEEDED: Final = ("time", "client", "model", "input_tokens", "output_tokens")
_MOST_TOLD: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One request of a trace."""

    at: float
    """Seconds after the first one."""
    client: str
    traffic_class: TrafficClass | None
    """None: as the client's key has it."""
    model: str
    input_tokens: int
    output_tokens: int
    max_tokens: int | None


def read_trace(path: str | os.PathLike[str], settings: Settings) -> tuple[Recorded, ...]:
    """All requests of the file, in the order of time. ``.csv`` has a line of names first; anything
    else is read as JSON Lines.

    Raises:
        ConfigError: with the lines that are wrong, the first few of them.
    """
    source = os.fspath(path)
    requests: list[Recorded] = []
    problems: list[Problem] = []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = _csv_rows(file) if source.endswith(".csv") else _json_rows(file)
            for line, row in rows:
                try:
                    requests.append(_recorded(row, settings))
                except ValueError as fault:
                    problems.append(Problem(path="", message=str(fault), line=line))
                    if len(problems) == _MOST_TOLD:
                        break
    except FileNotFoundError:
        problems.append(Problem(path="", message="does not exist"))
    except OSError as fault:
        problems.append(Problem(path="", message=f"can't be read: {fault.strerror}"))
    except (UnicodeDecodeError, csv.Error):
        problems.append(Problem(path="", message="is not text in lines"))
    if not requests and not problems:
        problems.append(Problem(path="", message="holds no requests"))
    if problems:
        raise ConfigError(problems, source=source)
    requests.sort(key=lambda request: request.at)
    first = requests[0].at
    return tuple(
        Recorded(
            at=request.at - first,
            client=request.client,
            traffic_class=request.traffic_class,
            model=request.model,
            input_tokens=request.input_tokens,
            output_tokens=request.output_tokens,
            max_tokens=request.max_tokens,
        )
        for request in requests
    )


def _csv_rows(file: Iterator[str]) -> Iterator[tuple[int, Mapping[str, object]]]:
    reader = csv.DictReader(file)
    for row in reader:
        yield reader.line_num, {name: value for name, value in row.items() if value}


def _json_rows(file: Iterator[str]) -> Iterator[tuple[int, Mapping[str, object]]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                yield number, loads_object(line.encode())
            except InvalidJson as fault:
                raise ConfigError(
                    [Problem(path="", message=f"is not a JSON object: {fault}", line=number)],
                    source=getattr(file, "name", "trace"),
                ) from None


def _recorded(row: Mapping[str, object], settings: Settings) -> Recorded:
    missing = [name for name in _NEEDED if row.get(name) is None]
    if missing:
        raise ValueError(f"has no {', '.join(missing)}; needed are {', '.join(_NEEDED)}")
    model = str(row["model"])
    if not is_served(model, settings):
        raise ValueError(f"model: the configuration has no model '{model}'")
    told_class = row.get("class")
    if told_class is not None and str(told_class) not in list(TrafficClass):
        raise ValueError(f"class: must be one of {', '.join(TrafficClass)}")
    most = row.get("max_tokens")
    return Recorded(
        at=_time(row["time"]),
        client=str(row["client"]),
        traffic_class=None if told_class is None else TrafficClass(str(told_class)),
        model=model,
        input_tokens=_tokens("input_tokens", row["input_tokens"]),
        output_tokens=_tokens("output_tokens", row["output_tokens"]),
        max_tokens=None if most is None else max(1, _tokens("max_tokens", most)),
    )


def _time(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        raise ValueError("time: must be seconds, or a time as in 2026-03-01T12:00:00Z") from None


def _tokens(name: str, value: object) -> int:
    try:
        tokens = int(float(str(value)))
    except (ValueError, OverflowError):
        tokens = -1
    if tokens < 0 or isinstance(value, bool):
        raise ValueError(f"{name}: must be a number of tokens")
    return tokens
