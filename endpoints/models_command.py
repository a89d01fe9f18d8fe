"""The command that shows which models there are, and the one that asks for them anew."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import click
import trio

from forebay.actors.gateway.survey import Survey, open_survey
from forebay.actors.jobs.job import ANONYMOUS
from forebay.actors.routing.model_index import OWN, CatalogEntry
from forebay.actors.simulation.tables import columns
from forebay.actors.stores import ForgetfulLearnedStore, StoreUnavailable
from forebay.endpoints.command_line import config_option, find_startup, run, shown
from forebay.endpoints.running_gateway import find_running
from forebay.protocol.canonical.listed_models import Capability
from forebay.protocol.jsontext import JsonObject, JsonValue

_REFRESH_SECONDS: Final = 5.0
_UNKNOWN: Final = "-"
_HEADER: Final = (
    *("name", "served by", "capabilities", "local", "deprecated"),
    *("context", "output", "$/M in", "$/M out"),
)
_NUMBERS_FROM: Final = 5


@click.group("models", invoke_without_command=True)
@config_option
@click.option(
    "--provider", "providers", multiple=True, help="Only what this provider has; may be repeated."
)
@click.option(
    "--capability",
    "capabilities",
    multiple=True,
    type=click.Choice([each.value for each in Capability]),
    help="Only what is known to be capable of this; may be repeated.",
)
@click.option("--local", is_flag=True, help="Only what runs on this machine or in its network.")
@click.option("--kept", is_flag=True, help="Ask no provider: show what was kept of the last time.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of a table.")
@click.pass_context
def models_command(
    context: click.Context,
    path: Path | None,
    providers: Sequence[str],
    capabilities: Sequence[str],
    local: bool,
    kept: bool,
    as_json: bool,
) -> None:
    """Show all models that clients may ask for, and what is known of them.

    Asks every provider what it has; nothing is called, and nothing is written.
    """
    if context.invoked_subcommand is not None:
        context.obj = path
        return
    wanted = frozenset(map(Capability, capabilities))
    run(lambda: _show(path, frozenset(providers), wanted, local, kept, as_json))


@models_command.command("sync")
@config_option
@click.pass_obj
def sync(group_path: Path | None, path: Path | None) -> None:
    """Ask all providers which models they have, now, and keep that.

    It is kept in the file of state.path, for gateways that are started from now on; a gateway that
    serves with this configuration asks its providers anew.
    """
    run(lambda: _sync(path or group_path))


async def _show(
    path: Path | None,
    providers: frozenset[str],
    capabilities: frozenset[Capability],
    local: bool,
    kept: bool,
    as_json: bool,
) -> None:
    startup = await find_startup(path)
    settings = startup.settings
    unknown = providers - {*settings.providers, *settings.groups}
    if unknown:
        there = ", ".join(settings.providers) or "none"
        raise click.ClickException(f"no provider {min(unknown)!r}; there are: {there}")
    async with open_survey(settings, startup.learned_store(), os.environ) as survey:
        if not kept:
            await survey.ask()
        entries = [
            entry
            for entry in survey.index.entries(ANONYMOUS)
            if (not providers or _is_of(entry, providers))
            and capabilities <= entry.facts.capabilities
            and (entry.facts.is_local or not local)
        ]
        if as_json:
            click.echo(json.dumps([_as_json(entry) for entry in entries], indent=2))
        elif entries:
            click.echo(columns(_HEADER, list(map(_row, entries)), numbers_from=_NUMBERS_FROM))
        else:
            click.echo("no models")
        for line in _faults(survey):
            click.echo(line, err=True)


async def _sync(path: Path | None) -> None:
    startup = await find_startup(path)
    store = startup.learned_store()
    async with open_survey(startup.settings, store, os.environ) as survey:
        await survey.ask()
        for name, provider in survey.providers.items():
            if name not in survey.faults:
                click.echo(f"{name}: {provider.listing.describe()}")
        for line in _faults(survey):
            click.echo(line)
        try:
            await survey.keep()
        except StoreUnavailable as fault:
            raise click.ClickException(f"nothing was kept: {fault}") from None
    if isinstance(store, ForgetfulLearnedStore):
        click.echo("nothing is kept: there is no state.path")
    running = await find_running(startup.settings)
    if running is not None:
        with trio.move_on_after(_REFRESH_SECONDS):
            await running.post("/forebay/listings", {}, timeout=_REFRESH_SECONDS)
            click.echo(f"the gateway at {running.url} asks anew, too")


def _is_of(entry: CatalogEntry, providers: frozenset[str]) -> bool:
    owners = {entry.owned_by, *(target.partition("/")[0] for target in entry.targets)}
    return not owners.isdisjoint(providers)


def _faults(survey: Survey) -> Iterable[str]:
    faults = survey.faults
    return (shown(f"{name}: {faults[name]}") for name in survey.providers if name in faults)


def _row(entry: CatalogEntry) -> list[str]:
    facts = entry.facts
    leaves = "" if facts.retires is None else facts.retires.isoformat()
    served_by = ", ".join(entry.targets) if entry.targets != (entry.id,) else entry.owned_by
    return [
        shown(entry.id),
        shown(served_by),
        ", ".join(each for each in Capability if each in facts.capabilities) or _UNKNOWN,
        "yes" if facts.is_local else "no",
        (f"yes, {leaves}" if leaves else "yes") if facts.deprecated else "no",
        *map(_number, (facts.context_tokens, facts.max_output_tokens)),
        *map(_number, (facts.price_input, facts.price_output)),
    ]


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.10g}"


def _as_json(entry: CatalogEntry) -> JsonObject:
    facts = entry.facts
    able: list[JsonValue] = [each.value for each in Capability if each in facts.capabilities]
    unable: list[JsonValue] = [each.value for each in Capability if each in facts.lacks]
    return {
        "name": entry.id,
        "configured": entry.owned_by == OWN,
        "owned_by": entry.owned_by,
        "targets": [*entry.targets],
        "capabilities": able,
        "lacks": unable,
        "context_tokens": facts.context_tokens,
        "max_output_tokens": facts.max_output_tokens,
        "price_input": facts.price_input,
        "price_output": facts.price_output,
        "local": facts.is_local,
        "deprecated": facts.deprecated is True,
        "retires": None if facts.retires is None else facts.retires.isoformat(),
    }
