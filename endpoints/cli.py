"""The commands."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
import trio

from forebay.actors.config import (
    EXAMPLE_CONFIG,
    Settings,
    load_settings,
    with_address,
)
from forebay.actors.gateway import Gateway
from forebay.endpoints.collector import set_for_holding
from forebay.endpoints.command_line import config_option, run, run_plain
from forebay.endpoints.models_command import models_command
from forebay.endpoints.providers_command import providers_command
from forebay.endpoints.reloading import Reloader
from forebay.endpoints.running import Address, serve_gateway
from forebay.endpoints.sandbox import (
    LimitHeaders,
    Sandbox,
    SandboxOptions,
    banner,
    serve_sandbox,
)
from forebay.endpoints.simulate_command import simulate_command
from forebay.endpoints.startup import (
    DEFAULT_FILE,
    Startup,
    allow_open_files,
    find_settings,
    finds_local_ollama,
    with_sandbox,
)
from forebay.endpoints.warmup_command import warmup_command

_VERSION = importlib.metadata.version("forebay")
_SANDBOX_PORT = 4291
_OTHER_FILES = 512


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_VERSION, prog_name="forebay")
def main() -> None:
    """An LLM gateway that queues instead of rejecting.

    Speaks the OpenAI, Anthropic and Ollama APIs at once, over any provider; requests wait
    fairly behind rate limits, with their connections held open.
    """


@main.command()
@config_option
@click.option("--host", help="Address to listen on. Default: 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0: any free one. Default: 4290.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
def serve(path: Path | None, host: str | None, port: int | None, verbose: bool) -> None:
    """Run the gateway until it is told to stop (Ctrl-C, SIGTERM).

    With a configuration file, SIGHUP applies what has changed in it; so does the change itself.
    """
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for library in ("httpcore", "httpx", "hypercorn", "h11"):
        logging.getLogger(library).setLevel(logging.WARNING)
    run(lambda: _serve(path, host, port))


async def _serve(path: Path | None, host: str | None, port: int | None) -> None:
    startup = find_settings(path, os.environ, local_ollama=await finds_local_ollama())
    settings = with_address(startup.settings, host=host, port=port)
    allow_open_files(2 * settings.server.max_sessions + _OTHER_FILES)
    async with trio.open_nursery() as nursery:
        sandbox_port: int | None = None
        if startup.needs_sandbox:
            sandbox_port = await nursery.start(serve_sandbox, Sandbox(SandboxOptions()))
            click.echo(banner(f"http://127.0.0.1:{sandbox_port}"))
            settings = with_sandbox(settings, sandbox_port)
        shutdown = trio.Event()
        nursery.start_soon(_stop_on_signal, shutdown, nursery.cancel_scope)
        set_for_holding()
        try:
            await serve_gateway(
                settings,
                shutdown=shutdown,
                learned_store=startup.learned_store(),
                beside=_reloading(startup, host, port, sandbox_port),
                on_ready=_announce(startup),
            )
        except OSError as fault:
            raise click.ClickException(_cannot_listen(settings, fault)) from None
        nursery.cancel_scope.cancel()


def _reloading(
    startup: Startup, host: str | None, port: int | None, sandbox_port: int | None
) -> Callable[[Gateway], Awaitable[None]] | None:
    """What applies the configuration file anew, if there is one."""
    path = startup.file
    if path is None:
        return None

    def amended(settings: Settings) -> Settings:
        settings = with_address(settings, host=host, port=port)
        if sandbox_port is None or settings.providers:
            return settings
        return with_sandbox(settings, sandbox_port)

    return lambda gateway: Reloader(gateway, path, amended=amended).run()


def _announce(startup: Startup) -> Callable[[tuple[Address, ...]], None]:
    def announce(addresses: tuple[Address, ...]) -> None:
        host, port = addresses[0]
        at = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        source = "" if startup.needs_sandbox else f", configured by {startup.source}"
        click.echo(f"Forebay {_VERSION} listens on {at}{source}")
        click.echo(f"  OpenAI clients:    base URL {at}/v1")
        click.echo(f"  Anthropic clients: base URL {at}")
        click.echo(f"  Ollama clients:    host     {at}")

    return announce


async def _stop_on_signal(shutdown: trio.Event, scope: trio.CancelScope) -> None:
    """The first signal begins the drain, the second ends at once."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            if shutdown.is_set():
                scope.cancel()
                return
            click.echo("stopping: answering what waits; once more to stop at once", err=True)
            shutdown.set()


def _cannot_listen(settings: Settings, fault: OSError) -> str:
    host, port = settings.server.host, settings.server.port
    reason = fault.strerror or str(fault)
    return (
        f"can't listen on {host}:{port}: {reason}; choose another with --host and --port, or "
        "server.host and server.port"
    )


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=_SANDBOX_PORT, show_default=True)
@click.option("--rpm", type=float, help="Requests per minute.")
@click.option("--tpm", type=float, help="Tokens per minute.")
@click.option("--concurrency", type=int, help="Calls at once.")
@click.option("--burst", type=int, help="Requests that may come at once after a rest.")
@click.option(
    "--limit-headers",
    type=click.Choice([kind.value for kind in LimitHeaders]),
    default=LimitHeaders.OPENAI.value,
    show_default=True,
    help="Whose rate-limit headers answers carry.",
)
@click.option("--latency-ms", type=float, default=200.0, show_default=True)
@click.option("--token-interval-ms", type=float, default=20.0, show_default=True)
@click.option("--reply-tokens", type=int, default=32, show_default=True)
def sandbox(
    host: str,
    port: int,
    rpm: float | None,
    tpm: float | None,
    concurrency: int | None,
    burst: int | None,
    limit_headers: str,
    latency_ms: float,
    token_interval_ms: float,
    reply_tokens: int,
) -> None:
    """Run a provider without any model behind it, with real rate limits: to try and to test."""
    try:
        options = SandboxOptions(
            requests_per_minute=rpm,
            tokens_per_minute=tpm,
            concurrency=concurrency,
            burst=burst,
            limit_headers=LimitHeaders(limit_headers),
            latency_ms=latency_ms,
            token_interval_ms=token_interval_ms,
            reply_tokens=reply_tokens,
        )
    except ValueError as fault:
        raise click.ClickException(str(fault)) from None
    run(lambda: _sandbox(Sandbox(options), host, port))


async def _sandbox(sandbox: Sandbox, host: str, port: int) -> None:
    async with trio.open_nursery() as nursery:
        try:
            bound = await nursery.start(_listen, sandbox, host, port)
        except OSError as fault:
            reason = fault.strerror or str(fault)
            raise click.ClickException(
                f"can't listen on {host}:{port}: {reason}; choose another --host or --port"
            ) from None
        click.echo(banner(f"http://{host}:{bound}"))
        shutdown = trio.Event()
        nursery.start_soon(_stop_on_signal, shutdown, nursery.cancel_scope)
        await shutdown.wait()
        nursery.cancel_scope.cancel()


async def _listen(
    sandbox: Sandbox,
    host: str,
    port: int,
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    await serve_sandbox(sandbox, host=host, port=port, task_status=task_status)


@main.command()
@config_option
def check(path: Path | None) -> None:
    """Validate a configuration file: every problem with its line and its mend."""
    path = path or DEFAULT_FILE
    settings = run_plain(lambda: load_settings(path))
    providers = ", ".join(settings.providers) or "none"
    click.echo(
        f"{path}: valid. Providers: {providers}. Models: {len(settings.models)}. "
        f"Clients: {len(settings.clients)}."
    )


@main.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), default=DEFAULT_FILE)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def init(path: Path, force: bool) -> None:
    """Write a commented configuration file to start from."""
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(EXAMPLE_CONFIG)
    except FileExistsError:
        raise click.ClickException(f"{path} is there already; --force replaces it") from None
    except OSError as fault:
        raise click.ClickException(f"can't write {path}: {fault.strerror}") from None
    click.echo(f"wrote {path}; edit it, then: forebay check && forebay serve")


main.add_command(simulate_command)
main.add_command(models_command)
main.add_command(providers_command)
main.add_command(warmup_command)


if __name__ == "__main__":
    main()
