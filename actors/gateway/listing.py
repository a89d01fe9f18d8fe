"""Which models a provider says it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import httpx
import trio

from forebay.actors.upstream import CallTimeouts, UpstreamFailure, open_call
from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.dialects.registry import SPEECH
from forebay.protocol.providers.base import ProviderProfile

_LARGEST_LISTING = 32 * 1024 * 1024
_LISTING_SECONDS = 20.0


class ListingFailed(Exception):
    """The provider did not list its models; the message says why, without secrets."""


class Listing:
    """What is known of a provider's models."""

    def __init__(self) -> None:
        self.models: dict[str, None] = {}
        """In the provider's order."""
        self._updated_at: float | None = None
        self._failure: str | None = None
        self._tried = trio.Event()
        self._wanted = trio.Event()

    def update(self, models: Sequence[str], now: float) -> None:
        self.models = dict.fromkeys(models)
        self._updated_at = now
        self._failure = None
        self._tried.set()

    def failed(self, reason: str) -> bool:
        """Note a failure; whether it is news."""
        news = reason != self._failure
        self._failure = reason
        self._tried.set()
        return news

    async def first_try(self) -> None:
        """Wait until the provider was asked once."""
        await self._tried.wait()

    def want(self) -> None:
        """Ask for a fresh listing soon."""
        self._wanted.set()

    async def wanted(self) -> None:
        """Wait until somebody wants a fresh listing."""
        await self._wanted.wait()
        self._wanted = trio.Event()

    def describe(self) -> str:
        if self._failure is not None:
            return f"failed: {self._failure}"
        return "not asked yet" if self._updated_at is None else f"{len(self.models)} models"


async def fetch_listing(
    transport: httpx.AsyncBaseTransport,
    hosts: Sequence[str],
    profile: ProviderProfile,
    *,
    headers: Mapping[str, str],
    timeouts: CallTimeouts,
    without_secrets: Callable[[bytes], bytes] = bytes,
) -> list[str]:
    """The models of all ``hosts`` together; hosts that are down are left out.

    Args:
        without_secrets: takes out of an error what must not be repeated.

    Raises:
        ListingFailed: no host gave a listing.
    """
    models: dict[str, None] = {}
    failures: list[str] = []
    for host in hosts:
        try:
            with trio.fail_after(_LISTING_SECONDS):
                models.update(
                    dict.fromkeys(
                        await _fetch_one(
                            transport, host, profile, headers, timeouts, without_secrets
                        )
                    )
                )
        except (UpstreamFailure, ApiFailure, trio.TooSlowError) as failure:
            failures.append(str(failure) or "it took too long")
    if len(failures) == len(hosts):
        raise ListingFailed("; ".join(dict.fromkeys(failures)))
    return list(models)


async def _fetch_one(
    transport: httpx.AsyncBaseTransport,
    host: str,
    profile: ProviderProfile,
    headers: Mapping[str, str],
    timeouts: CallTimeouts,
    without_secrets: Callable[[bytes], bytes],
) -> list[str]:
    speech = SPEECH[profile.listing_dialect]
    async with open_call(
        transport, "GET", host + profile.listing_path, headers=headers, body=b"", timeouts=timeouts
    ) as answer:
        body = await answer.read(_LARGEST_LISTING)
        if answer.status != 200:
            raise ApiFailure(speech.decode_error(answer.status, without_secrets(body)))
        return speech.decode_model_list(body)
