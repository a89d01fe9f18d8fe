"""What the gateway runs with when it is started: a file, the environment, or the sandbox."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from forebay.actors.config import (
    KEPT_IN_MEMORY,
    Settings,
    load_settings,
    parse_settings,
    settings_from_environment,
)
from forebay.actors.stores import ForgetfulLearnedStore, LearnedStore, SqliteLearnedStore

DEFAULT_FILE = Path("forebay.yaml")
_LOCAL_OLLAMA = ("127.0.0.1", 11434)
_PROBE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Startup:
    """Settings, and where they come from."""

    settings: Settings
    source: str
    """For people: ``forebay.yaml``, ``the environment``, ``nothing``."""
    needs_sandbox: bool
    """Nothing is configured or found: only the sandbox can answer."""
    file: Path | None = None
    """The configuration file, if that is where they come from."""

    def learned_store(self) -> LearnedStore:
        """Where what is learned of providers is kept: ``state.path``, else a file beside the
        configuration file."""
        path = self.settings.state.path
        if path == KEPT_IN_MEMORY or (path is None and self.file is None):
            return ForgetfulLearnedStore()
        folder = Path() if self.file is None else self.file.parent
        if path is None:
            assert self.file is not None
            path = f"{self.file.stem}.sqlite"
        return SqliteLearnedStore(folder / path)


def find_settings(path: Path | None, environ: Mapping[str, str], *, local_ollama: bool) -> Startup:
    """The settings to run with: of ``path``, else of ``forebay.yaml`` here, else of the keys in
    ``environ`` and an Ollama on this machine, if there is one.

    Raises:
        ConfigError: what was found can't be used.
        OSError: ``path`` can't be read.
    """
    if path is None and DEFAULT_FILE.is_file():
        path = DEFAULT_FILE
    if path is not None:
        settings = load_settings(path)
        return Startup(settings, str(path), needs_sandbox=not settings.providers, file=path)
    settings = settings_from_environment(environ, local_ollama=local_ollama)
    found = bool(settings.providers)
    return Startup(settings, "the environment" if found else "nothing", needs_sandbox=not found)


async def finds_local_ollama() -> bool:
    """Whether something listens where Ollama does."""
    with trio.move_on_after(_PROBE_SECONDS), suppress(OSError):
        stream = await trio.open_tcp_stream(*_LOCAL_OLLAMA)
        await stream.aclose()
        return True
    return False


def allow_open_files(wanted: int) -> None:
    """Raise this process's soft limit of open files to ``wanted``, as far as the system lets it.

    Each session needs two: its client's connection and its upstream's. The usual soft limit of
    1024 is meant for programs that use ``select``.
    """
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def with_sandbox(settings: Settings, port: int) -> Settings:
    """The same settings over a sandbox that listens on ``port``; it answers for any model."""
    return parse_settings(
        {
            "server": settings.server.model_dump(),
            "wait": settings.wait.model_dump(),
            "scheduling": settings.scheduling.model_dump(),
            "providers": {"sandbox": {"kind": "sandbox", "base_url": f"http://127.0.0.1:{port}"}},
            "models": {"sandbox": {"targets": ["sandbox/sandbox-chat"]}},
            "defaults": {
                "openai": "sandbox",
                "anthropic": "sandbox",
                "ollama": "sandbox",
                "unknown_model": "default",
            },
            "clients": {
                name: {
                    "key": client.key.get_secret_value(),
                    "weight": client.weight,
                    "class": client.traffic_class.value,
                    "max_wait_ms": client.max_wait_ms,
                }
                for name, client in settings.clients.items()
            },
        }
    )
