"""The command that makes providers ready before anybody asks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from forebay.actors.gateway.survey import open_survey
from forebay.actors.providers.warmup import LONGEST_LOAD, Warmed, models_to_load, warm_up
from forebay.endpoints.command_line import config_option, find_startup, run, shown
from forebay.endpoints.running_gateway import find_running
from forebay.protocol.jsontext import JsonObject

_PATIENCE: Final = 3 * LONGEST_LOAD
"""Seconds for a gateway that loads several models, one after the other."""


@click.command("warmup")
@config_option
@click.option(
    "--keep-alive",
    help="How long models stay loaded, in Ollama's words: 30m, 24h, -1. Default: as the server has"
    " it.",
)
@click.option("--no-load", is_flag=True, help="Load no models.")
@click.option("--check", is_flag=True, help="Exit with status 1 if anything is wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of lines.")
def warmup_command(
    path: Path | None, keep_alive: str | None, no_load: bool, check: bool, as_json: bool
) -> None:
    """Make providers ready: find out which are well, and have local servers load their models.

    A gateway that serves with this configuration does it itself, so that its connections are open
    and it knows who is away. Only questions that cost nothing are asked. Ollama servers load the
    models that configured models are served by; what is loaded already stays so.
    """
    run(lambda: _warm(path, keep_alive, no_load, check, as_json))


async def _warm(
    path: Path | None, keep_alive: str | None, no_load: bool, check: bool, as_json: bool
) -> None:
    startup = await find_startup(path)
    settings = startup.settings
    done: list[Warmed] | None = None
    running = await find_running(settings)
    if running is not None:
        request: JsonObject = {"keep_alive": keep_alive, "load": not no_load}
        answer = await running.post("/forebay/warmup", request, timeout=_PATIENCE)
        if answer is None:
            raise click.ClickException(f"the gateway at {running.url} does not warm up")
        done = list(_read(answer))
    else:
        async with open_survey(settings, startup.learned_store(), os.environ) as survey:
            models = {} if no_load else models_to_load(settings, survey.providers)
            done = await warm_up(survey.providers, models, keep_alive=keep_alive)
    if as_json:
        click.echo(json.dumps([asdict(each) for each in done], indent=2))
    else:
        for line in _lines(done):
            click.echo(line)
        click.echo(
            "by the gateway at " + running.url
            if running is not None
            else "no gateway serves with this configuration: the providers were asked by this"
            " command"
        )
    if check and not all(each.ok for each in done):
        raise SystemExit(1)


def _lines(done: Sequence[Warmed]) -> Iterator[str]:
    for each in done:
        what = each.host if each.model is None else f"{each.model} at {each.host}"
        yield shown(f"{each.provider}: {'' if each.ok else 'fault: '}{what}: {each.detail}")


def _read(answer: JsonObject) -> Iterator[Warmed]:
    told = answer.get("warmed")
    for each in told if isinstance(told, list) else []:
        match each:
            case {
                "provider": str(provider),
                "host": str(host),
                "model": str() | None as model,
                "ok": bool(ok),
                "detail": str(detail),
            }:
                yield Warmed(provider, host, model, ok, detail)
