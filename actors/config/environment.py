"""Settings without a file: the providers whose keys and addresses are in the environment."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace

from forebay.actors.config.explanation import problems_of
from forebay.actors.config.loading import validated
from forebay.actors.config.problems import ConfigError, Location
from forebay.actors.config.settings import Settings

OLLAMA_PORT = 11434
LOCAL_OLLAMA = f"http://127.0.0.1:{OLLAMA_PORT}"


@dataclass(frozen=True, slots=True)
class _KeyedProvider:
    kind: str
    """Also the provider's name."""
    key_variable: str
    url_variable: str | None = None
    """As the provider's own clients read it; None where they have none, or mean another URL."""
    path: str = ""
    """What the base URL has beyond the one in the variable."""
    needs_url: bool = False


_KEYED = (
    _KeyedProvider("openai", "OPENAI_API_KEY", "OPENAI_BASE_URL"),
    _KeyedProvider("anthropic", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
    _KeyedProvider("openrouter", "OPENROUTER_API_KEY"),
    _KeyedProvider("together", "TOGETHER_API_KEY", "TOGETHER_BASE_URL"),
    _KeyedProvider("huggingface", "HF_TOKEN"),
    _KeyedProvider("zai", "ZAI_API_KEY", "ZAI_BASE_URL"),
    _KeyedProvider("groq", "GROQ_API_KEY"),
    _KeyedProvider("deepseek", "DEEPSEEK_API_KEY"),
    _KeyedProvider("mistral", "MISTRAL_API_KEY"),
    _KeyedProvider("gemini", "GEMINI_API_KEY"),
    _KeyedProvider("xai", "XAI_API_KEY"),
    _KeyedProvider("ollama_cloud", "OLLAMA_API_KEY"),
    _KeyedProvider(
        "azure",
        "AZURE_OPENAI_API_KEY",
        "AZURE_OPENAI_ENDPOINT",
        path="/openai/v1",
        needs_url=True,
    ),
)


def settings_from_environment(
    environ: Mapping[str, str], *, local_ollama: bool = False
) -> Settings:
    """The providers that the environment names, everything else at its default. Does no I/O.

    Each key gives a provider that is named as its kind: ``OPENAI_API_KEY`` (with
    ``OPENAI_BASE_URL``) gives ``openai``, and so on; docs/configuration.md has them all.
    ``AZURE_OPENAI_API_KEY`` needs ``AZURE_OPENAI_ENDPOINT``. ``OLLAMA_HOST`` gives ``ollama``. An
    empty variable counts as not set. Without any, ``providers`` is empty.

    Args:
        environ: the variables.
        local_ollama: the caller found an Ollama at its usual port of this machine; used where
            ``OLLAMA_HOST`` does not name another.

    Raises:
        ConfigError: a value can't be used; the problem's path is the variable.
    """
    providers: dict[str, dict[str, object]] = {}
    variables: dict[Location, str] = {}
    for keyed in _KEYED:
        key = environ.get(keyed.key_variable, "").strip()
        url = environ.get(keyed.url_variable or "", "").strip()
        if not key or (keyed.needs_url and not url):
            continue
        providers[keyed.kind] = {"kind": keyed.kind, "api_key": key}
        variables["providers", keyed.kind, "api_key"] = keyed.key_variable
        if url and keyed.url_variable:
            url = url.rstrip("/") if keyed.path else url
            providers[keyed.kind]["base_url"] = url.removesuffix(keyed.path) + keyed.path
            variables["providers", keyed.kind, "base_url"] = keyed.url_variable
    ollama = environ.get("OLLAMA_HOST", "").strip().strip("\"'")
    if ollama or local_ollama:
        url = ollama_url(ollama) if ollama else LOCAL_OLLAMA
        providers["ollama"] = {"kind": "ollama", "hosts": [url]}
        variables["providers", "ollama", "hosts", 0] = "OLLAMA_HOST"
    data = {"providers": providers}
    settings, faults = validated(data)
    if settings is None:
        silent = [replace(fault, echo=False) for fault in faults]
        problems = [
            replace(problem, path=variables.get(fault.at, problem.path))
            for fault, problem in zip(silent, problems_of(silent, data), strict=True)
        ]
        raise ConfigError(problems, source="environment")
    return settings


def ollama_url(host: str) -> str:
    """What ``OLLAMA_HOST`` means, as a URL.

    Read as Ollama's own client reads it (its ``envconfig`` package): the scheme is http and the
    port 11434, but a scheme that is written out brings its own port. The addresses that a server
    listens at, ``0.0.0.0`` and ``::``, mean this machine. What can't be understood is passed on
    for the validation of URLs to refuse.
    """
    scheme, separator, rest = host.partition("://")
    if not separator:
        scheme, rest = "http", host
    authority, slash, path = rest.partition("/")
    name, port = _split_port(authority)
    if not port and not separator:
        port = str(OLLAMA_PORT)
    name = _reachable(name)
    return f"{scheme}://{name}{':' + port if port else ''}{slash}{path}"


def _split_port(authority: str) -> tuple[str, str]:
    """Host and port; an IPv6 address needs no brackets where no port follows."""
    if authority.count(":") > 1 and not authority.startswith("["):
        return authority, ""
    if authority.endswith("]"):
        return authority, ""
    name, _, port = authority.rpartition(":") if ":" in authority else (authority, "", "")
    return name, port


def _reachable(name: str) -> str:
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return name or "127.0.0.1"
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return name if address.version == 4 else f"[{address}]"
