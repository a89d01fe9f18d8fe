"""What all commands share: where the configuration is, and one line for an operator's mistake."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
import trio

from forebay.actors.config import ConfigError
from forebay.endpoints.startup import Startup, find_settings, finds_local_ollama

ResultT = TypeVar("ResultT")

config_option = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file. Default: forebay.yaml here, else the keys in the environment.",
)


async def find_startup(path: Path | None) -> Startup:
    """What a gateway would be started with now.

    Raises:
        ConfigError, OSError: it can't be.
    """
    return find_settings(path, os.environ, local_ollama=await finds_local_ollama())


def shown(text: str) -> str:
    """What somebody else has written, fit for a terminal: no control characters, in one line."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def run(command: Callable[[], Awaitable[None]]) -> None:
    """Run an async command; an operator's mistake ends it with one line."""

    async def main() -> None:
        await command()

    try:
        trio.run(main)
    except Exception as fault:
        message = _in_one_line(fault)
        if message is None:
            raise
        raise click.ClickException(message) from None


def run_plain(step: Callable[[], ResultT]) -> ResultT:
    """The same for a step that is not async."""
    try:
        return step()
    except (ConfigError, OSError) as fault:
        raise click.ClickException(_in_one_line(fault) or "") from None


def _in_one_line(fault: BaseException) -> str | None:
    """What an operator can do about it; None for a fault of the program."""
    while isinstance(fault, BaseExceptionGroup) and len(fault.exceptions) == 1:
        fault = fault.exceptions[0]
    match fault:
        case click.ClickException():
            return fault.format_message()
        case ConfigError():
            return str(fault)
        case OSError():
            where = f"{fault.filename}: " if fault.filename else ""
            return f"{where}{fault.strerror or fault}"
        case _:
            return None
