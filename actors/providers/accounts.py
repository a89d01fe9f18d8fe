"""What the settings of an account say of every call: where it goes, how it greets, how long it may
take, and what nobody may hear of it."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from forebay.actors.config import ProviderSettings
from forebay.actors.upstream import CallTimeouts
from forebay.protocol.providers import PROFILES
from forebay.protocol.providers.base import Greeting

_SHORTEST_SECRET: Final = 8
_LOCAL_DOMAINS: Final = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
"""RFC 6761, 6762 and 8375, what ICANN keeps for private use, and what routers call theirs."""


def hosts_of(settings: ProviderSettings) -> tuple[str, ...]:
    """Base URLs of the provider's servers."""
    return settings.hosts or (settings.base_url or PROFILES[settings.kind].default_base_url or "",)


def is_near(settings: ProviderSettings) -> bool:
    """Whether all servers of the provider are in this machine or its own network, as far as their
    addresses tell."""
    return all(map(_is_near_host, hosts_of(settings)))


def _is_near_host(url: str) -> bool:
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # A name of one word is known in this network only.
        return bool(host) and ("." not in host or host.endswith(_LOCAL_DOMAINS))
    return address.is_loopback or address.is_private or address.is_link_local


def call_timeouts(settings: ProviderSettings) -> CallTimeouts:
    """What bounds each call."""
    return CallTimeouts(
        connect=settings.timeouts.connect_ms / 1000,
        first_byte=settings.timeouts.first_byte_ms / 1000,
        between_bytes=settings.timeouts.between_bytes_ms / 1000,
    )


def call_headers(settings: ProviderSettings) -> dict[str, str]:
    """What every call says of itself; holds the key."""
    profile = PROFILES[settings.kind]
    headers = {"content-type": "application/json", "user-agent": "forebay", **profile.headers}
    if settings.api_key is not None:
        key = settings.api_key.get_secret_value()
        match profile.greeting:
            case Greeting.BEARER:
                headers["authorization"] = f"Bearer {key}"
            case Greeting.X_API_KEY:
                headers["x-api-key"] = key
            case Greeting.API_KEY:
                headers["api-key"] = key
    headers.update((name, value.get_secret_value()) for name, value in settings.headers.items())
    return headers


def secrets_of(settings: ProviderSettings) -> tuple[bytes, ...]:
    """What nobody may hear of these settings."""
    values = [*settings.headers.values()]
    if settings.api_key is not None:
        values.append(settings.api_key)
    texts = (value.get_secret_value() for value in values)
    # Short ones are no secrets, and would tear words apart.
    return tuple(text.encode() for text in texts if len(text) >= _SHORTEST_SECRET)
