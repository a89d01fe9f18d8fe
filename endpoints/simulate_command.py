"""The command that simulates: what a load would meet at a gateway with this configuration."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from forebay.actors.config import ConfigError, Settings, TrafficClass
from forebay.actors.simulation.charts import panels_of
from forebay.actors.simulation.load import Load
from forebay.actors.simulation.pages import Chapter, NoPictures, html_page, need_pictures, write_png
from forebay.actors.simulation.reading import parse_load, read_load, read_settings
from forebay.actors.simulation.run import Run, simulate
from forebay.actors.simulation.summary import Summary, summary_of
from forebay.actors.simulation.tables import comparison, table
from forebay.actors.simulation.trace import Recorded, read_trace
from forebay.actors.simulation.what_if import WhatIf
from forebay.endpoints.startup import DEFAULT_FILE

_COMMAND_LINE = "command line"


@dataclass(frozen=True, slots=True)
class _Scene:
    """What is simulated."""

    settings: Settings
    load: Load
    trace: tuple[Recorded, ...]
    faster: float


@dataclass(frozen=True, slots=True)
class _Outcome:
    title: str
    run: Run
    summary: Summary

    def chapter(self) -> Chapter:
        return Chapter(self.title, table(self.summary), panels_of(self.run.record.series()))


@click.command("simulate")
@click.argument(
    "load_path", metavar="[LOAD]", required=False, type=click.Path(path_type=Path, dir_okay=False)
)
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_FILE,
    show_default=True,
    help="Configuration file; keys that are not set are not needed.",
)
@click.option("--duration", help="How long, as in 2h or 1d. Default: as LOAD says, else 1h.")
@click.option("--seed", type=int, help="Another one draws other chances.")
@click.option("--trace", "trace_path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--rate", help="Without LOAD: requests, as in 10/s or 600/min.")
@click.option("--think-time", help="Without LOAD: users ask again so long after each answer.")
@click.option(
    "--users", help="So many users; +10: so many more than LOAD says, with their part of the rate."
)
@click.option("--model", help="Without LOAD: what is asked for. Default: the only one.")
@click.option("--input-tokens", type=int, help="Without LOAD: of each request.")
@click.option("--output-tokens", type=int, help="Without LOAD: of each answer.")
@click.option("--max-tokens", type=int, help="Without LOAD: what requests ask for at most.")
@click.option(
    "--class",
    "traffic_class",
    type=click.Choice([each.value for each in TrafficClass]),
    help="Without LOAD: of the users.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="SETTING=VALUE",
    help="What if a setting were different: providers.openai.limits.tpm=400000.",
)
@click.option(
    "--scale-load",
    type=click.FloatRange(min=0, min_open=True),
    metavar="TIMES",
    help="What if there were so many times the traffic.",
)
@click.option("--compare", is_flag=True, help="Run it as it is, too, and show both.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of tables.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page.")
@click.option("--png", type=click.Path(path_type=Path, dir_okay=False), help="Write a picture.")
def simulate_command(
    load_path: Path | None,
    path: Path,
    duration: str | None,
    seed: int | None,
    trace_path: Path | None,
    rate: str | None,
    think_time: str | None,
    users: str | None,
    model: str | None,
    input_tokens: int | None,
    output_tokens: int | None,
    max_tokens: int | None,
    traffic_class: str | None,
    changes: Sequence[str],
    scale_load: float | None,
    compare: bool,
    as_json: bool,
    html: Path | None,
    png: Path | None,
) -> None:
    """Simulate hours of traffic in seconds: the gateway's own scheduling, in virtual time, before
    providers that are made up. LOAD is a file that describes the traffic (docs/simulate.md)."""
    for written in filter(None, (html, png)):
        if not written.parent.is_dir():
            raise click.ClickException(
                f"can't write {written}: there is no folder {written.parent}"
            )
    try:
        if png is not None:
            need_pictures()
        described: dict[str, object | None] = {
            "users": None if users is None or users.startswith("+") else users,
            "class": traffic_class,
            "rate": rate,
            "think_time": think_time,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "max_tokens": max_tokens,
            "models": model,
        }
        given: dict[str, object] = {
            name: value for name, value in described.items() if value is not None
        }
        as_it_is = _scene(path, (), load_path, given, duration, seed, trace_path)
        what_if = _what_if(users, scale_load, has_file=load_path is not None)
        changed = _Scene(
            read_settings(path, changes, environ=os.environ),
            what_if.applied(as_it_is.load),
            as_it_is.trace,
            scale_load or 1.0,
        )
    except (ConfigError, NoPictures) as fault:
        raise click.ClickException(str(fault)) from None
    outcomes = []
    if compare:
        outcomes.append(_run("As it is", as_it_is))
    outcomes.append(_run("What if" if compare else "Simulation", changed))
    _publish(outcomes, as_json=as_json, html=html, png=png)


def _scene(
    path: Path,
    changes: Sequence[str],
    load_path: Path | None,
    given: dict[str, object],
    duration: str | None,
    seed: int | None,
    trace_path: Path | None,
) -> _Scene:
    settings = read_settings(path, changes, environ=os.environ)
    overall = {
        name: value
        for name, value in (
            ("duration", duration),
            ("seed", seed),
            ("trace", None if trace_path is None else os.fspath(trace_path)),
        )
        if value is not None
    }
    if load_path is not None:
        unused = [name for name in given if name != "users"]
        if unused:
            raise click.UsageError(f"with a file, {_option(unused[0])} has nothing to describe")
        load = read_load(load_path, settings, environ=os.environ)
        if overall:
            data = load.model_dump(by_alias=True, exclude_unset=True) | overall
            load = parse_load(data, settings, source=_COMMAND_LINE)
    else:
        traffic = {}
        if trace_path is None or given:
            traffic = {"load": _described(given, settings)}
        data = {"traffic": traffic, **overall}
        load = parse_load(data, settings, source=_COMMAND_LINE)
    trace: tuple[Recorded, ...] = ()
    if load.trace is not None:
        beside = Path() if load_path is None or trace_path is not None else load_path.parent
        trace = read_trace(beside / load.trace, settings)
    return _Scene(settings, load, trace, 1.0)


def _described(given: dict[str, object], settings: Settings) -> dict[str, object]:
    """The traffic that options describe."""
    if "rate" not in given and "think_time" not in given:
        raise click.UsageError("give a LOAD file, or --rate or --think-time, or a --trace")
    if "models" not in given:
        if len(settings.models) != 1:
            raise click.UsageError("name what is asked for with --model")
        given = {**given, "models": next(iter(settings.models))}
    return {"users": 1, **given}


def _what_if(users: str | None, scale: float | None, *, has_file: bool) -> WhatIf:
    if users is None or (not has_file and not users.startswith("+")):
        return WhatIf(scale=scale)
    try:
        number = int(users)
    except ValueError:
        raise click.UsageError("--users takes a number, or one more as in +10") from None
    if users.startswith("+"):
        return WhatIf(scale=scale, more_users=number)
    if number < 1:
        raise click.UsageError("--users must be at least 1")
    return WhatIf(scale=scale, users=number)


def _option(name: str) -> str:
    return "--" + ("model" if name == "models" else name.replace("_", "-"))


def _run(title: str, scene: _Scene) -> _Outcome:
    run = simulate(scene.settings, scene.load, scene.trace, faster=scene.faster)
    return _Outcome(title, run, summary_of(run.record, run.upstreams))


def _publish(
    outcomes: Sequence[_Outcome], *, as_json: bool, html: Path | None, png: Path | None
) -> None:
    side_by_side = None
    if len(outcomes) == 2:
        side_by_side = comparison(outcomes[0].summary, outcomes[1].summary)
    if as_json:
        shown = [outcome.summary.as_json() for outcome in outcomes]
        if side_by_side is None:
            click.echo(json.dumps(shown[0], indent=2))
        else:
            click.echo(json.dumps({"as_it_is": shown[0], "what_if": shown[1]}, indent=2))
    else:
        click.echo(side_by_side or table(outcomes[0].summary))
    if html is None and png is None:
        return
    chapters = [outcome.chapter() for outcome in outcomes]
    try:
        if html is not None:
            page = html_page("Forebay: a simulation", chapters, side_by_side)
            html.write_text(page, encoding="utf-8")
        if png is not None:
            write_png(png, chapters)
    except OSError as fault:
        raise click.ClickException(f"can't write {fault.filename}: {fault.strerror}") from None
