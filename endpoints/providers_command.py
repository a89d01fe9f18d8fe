"""The command that shows which providers there are, and what is wrong with each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import trio

from forebay.actors.gateway.survey import Survey, open_survey
from forebay.actors.providers.provider import Provider
from forebay.actors.scheduling.gates import Gate
from forebay.actors.scheduling.learned import LearnedLimit
from forebay.actors.scheduling.rates import RateGate
from forebay.actors.scheduling.slots import SlotGate
from forebay.actors.scheduling.told import ToldLimit
from forebay.actors.scheduling.windows import WindowGate
from forebay.actors.simulation.tables import columns
from forebay.endpoints.command_line import config_option, find_startup, run, shown
from forebay.endpoints.running_gateway import RunningGateway, find_running
from forebay.protocol.jsontext import JsonObject, JsonValue

_HEADER: Final = ("name", "kind", "address", "state", "gateway", "limits", "models")
_NUMBERS_FROM: Final = 6
_MOST_LIMITS: Final = 4
_SECONDS: Final = {"second": 1.0, "minute": 60.0, "day": 86_400.0}


@dataclass(frozen=True, slots=True)
class _Line:
    provider: Provider
    fault: str | None
    live: str
    """What a gateway that serves says of it; "" where none does."""
    limits: tuple[str, ...]

    @property
    def state(self) -> str:
        return "ok" if self.fault is None else "fault"


@click.command("providers")
@config_option
@click.option("--check", is_flag=True, help="Exit with status 1 if anything is wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of a table.")
def providers_command(path: Path | None, check: bool, as_json: bool) -> None:
    """Show all providers, what is known of their limits, and what is wrong with each in one line.

    Asks every provider for its models, which tells whether its address and its key are right;
    nothing is called, and nothing is written. A gateway that serves with this configuration is
    asked, too, what it has met.
    """
    run(lambda: _show(path, check, as_json))


async def _show(path: Path | None, check: bool, as_json: bool) -> None:
    startup = await find_startup(path)
    async with open_survey(startup.settings, startup.learned_store(), os.environ) as survey:
        running: RunningGateway | None = None

        async def ask_gateway() -> None:
            nonlocal running
            running = await find_running(startup.settings)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_gateway)
            nursery.start_soon(survey.ask)
        lines = list(_lines(survey, _live(running)))
    if as_json:
        click.echo(json.dumps([_as_json(line) for line in lines], indent=2))
    elif lines:
        click.echo(columns(_HEADER, list(map(_row, lines)), numbers_from=_NUMBERS_FROM))
        faults = [shown(f"{line.provider.name}: {line.fault}") for line in lines if line.fault]
        if faults:
            click.echo("\n" + "\n".join(faults))
    else:
        click.echo("no providers")
    if check and any(line.fault for line in lines):
        raise SystemExit(1)


def _lines(survey: Survey, live: dict[str, str]) -> Iterator[_Line]:
    for name, provider in survey.providers.items():
        told = live.get(name, "")
        fault = survey.faults.get(name)
        if fault is None and told.startswith(("out: ", "not well: ")):
            fault = f"the gateway: {told}"
        yield _Line(provider, fault, told, tuple(_limits(provider)))


def _live(running: RunningGateway | None) -> dict[str, str]:
    """What the gateway has met, by provider."""
    told = [] if running is None else running.status["providers"]
    found: dict[str, str] = {}
    for each in told if isinstance(told, list) else []:
        match each:
            case {"name": str(name), "out": {"reason": str(reason), "detail": detail}}:
                why = f": {detail}" if isinstance(detail, str) else ""
                found[name] = " ".join(f"out: {reason}{why}".split())
            case {"name": str(name), "state": str(state), "probes": list(probes)}:
                found[name] = _doubts(probes) or state
    return found


def _doubts(probes: Sequence[JsonValue]) -> str | None:
    """Why the gateway holds calls back from a host."""
    for probe in probes:
        match probe:
            case {"ok": False, "asking": True, "detail": str(detail)}:
                return f"not well: {detail}"
    return None


def _limits(provider: Provider) -> Iterator[str]:
    now = trio.current_time()
    gates: list[tuple[str, Gate]] = [("", gate) for gate in provider.pool.gates]
    for slots in provider.routes.slots.values():
        gates += [("", gate) for gate in slots]
        break  # Those of all hosts are alike.
    for target in provider.targets.values():
        route_gates = (gate for route in target.pooled.routes for gate in route.gates)
        own = (*target.pooled.gates, *(gate for gate in route_gates if _is_learned(gate)))
        gates += [(f"{target.model_id}: ", gate) for gate in own]
    for whose, gate in gates:
        yield from (f"{whose}{limit}" for limit in _told_of(gate, now))


def _is_learned(gate: Gate) -> bool:
    return isinstance(gate, LearnedLimit)


def _told_of(gate: Gate, now: float) -> Iterator[str]:
    what = gate.name.rpartition(": ")[2]
    known = gate.snapshot(now)
    match gate:
        case RateGate():
            seconds = _SECONDS.get(what.rpartition(" ")[2], 1.0)
            yield f"{gate.rate * seconds:.10g} {what}"
        case WindowGate():
            yield f"{gate.limit:.10g} {what}"
        case SlotGate():
            yield f"{gate.slots} calls at once"
        case ToldLimit() if known["limit"] is not None:
            yield f"{known['limit']:.10g} {what}"
        case LearnedLimit():
            if known["slots"] is not None:
                yield f"{known['slots']:.10g} calls at once (learned)"
            if known["per_minute"] is not None:
                yield f"{known['per_minute']:.10g} requests per minute (learned)"


def _row(line: _Line) -> list[str]:
    provider = line.provider
    limits = [*line.limits[:_MOST_LIMITS]]
    if len(line.limits) > _MOST_LIMITS:
        limits.append(f"and {len(line.limits) - _MOST_LIMITS} more")
    return [
        provider.name,
        provider.profile.kind,
        ", ".join(provider.hosts),
        line.state,
        shown(line.live) or "-",
        shown(", ".join(limits)) or "-",
        str(len(provider.listing.models)),
    ]


def _as_json(line: _Line) -> JsonObject:
    provider = line.provider
    limits: list[JsonValue] = [*line.limits]
    return {
        "name": provider.name,
        "kind": provider.profile.kind,
        "addresses": [*provider.hosts],
        "ok": line.fault is None,
        "fault": line.fault,
        "gateway": line.live or None,
        "models": len(provider.listing.models),
        "limits": limits,
    }
