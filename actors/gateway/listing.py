"""Which models a provider says it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import httpx
import trio

from forebay.actors.gateway.listing_faults import ListingAnswer, NotAListing, read_listing
from forebay.actors.gateway.model_names import spellings
from forebay.actors.upstream import CallTimeouts, UpstreamFailure, open_call
from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.canonical.listed_models import ListedModel, narrower
from forebay.protocol.providers.base import ProviderProfile

_LARGEST_LISTING = 32 * 1024 * 1024
_LISTING_SECONDS = 20.0
_MOST_FAILURES_TOLD = 3


class ListingFailed(Exception):
    """The provider did not list its models; the message says why, without secrets."""


class Listing:
    """What is known of a provider's models."""

    def __init__(self) -> None:
        self.models: dict[str, ListedModel] = {}
        """By id, in the provider's order. A fresh listing is another dict."""
        self._updated_at: float | None = None
        self._failure: str | None = None
        self._tried = trio.Event()
        self._wanted = trio.Event()

    def find(self, model_id: str) -> ListedModel | None:
        """A model of the listing, however its name is spelt."""
        for spelling in spellings(model_id):
            if spelling in self.models:
                return self.models[spelling]
        return None

    def update(self, models: Iterable[ListedModel], now: float) -> None:
        self.models = {model.id: model for model in models}
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


async def fetch_listings(
    transport: httpx.AsyncBaseTransport,
    hosts: Sequence[str],
    profile: ProviderProfile,
    *,
    headers: Mapping[str, str],
    timeouts: CallTimeouts,
    without_secrets: Callable[[bytes], bytes] = bytes,
    explained: Callable[[UpstreamFailure], str] = str,
) -> dict[str, tuple[ListedModel, ...]]:
    """The models of each of ``hosts``; hosts that are down are left out.

    Args:
        without_secrets: takes out of an error what must not be repeated.
        explained: what is told of a call that brought no answer.

    Raises:
        ListingFailed: no host gave a listing.
    """
    listings: dict[str, tuple[ListedModel, ...]] = {}
    failures: list[str] = []
    for host in hosts:
        try:
            with trio.fail_after(_LISTING_SECONDS):
                url = host + profile.listing_path
                answer = await _fetch_one(transport, url, headers, timeouts)
                listed = None
                if answer.status != 200 and profile.other_listing is not None:
                    listed = await _other_listing(transport, host, profile, headers, timeouts)
            if listed is None:
                listed = read_listing(answer, profile, host, without_secrets=without_secrets)
            listings[host] = listed
        except UpstreamFailure as failure:
            failures.append(explained(failure))
        except (NotAListing, trio.TooSlowError) as failure:
            failures.append(str(failure) or "it took too long")
    if len(failures) == len(hosts):
        told = list(dict.fromkeys(failures))
        if len(told) > _MOST_FAILURES_TOLD:
            told[_MOST_FAILURES_TOLD:] = [f"and {len(told) - _MOST_FAILURES_TOLD} more hosts"]
        raise ListingFailed("; ".join(told))
    return listings


def all_listed(listings: Iterable[Iterable[ListedModel]]) -> list[ListedModel]:
    """The models of all hosts together. Of a model that several hosts have, the least context
    counts: any of them may serve a request."""
    models: dict[str, ListedModel] = {}
    for listed in listings:
        for model in listed:
            known = models.get(model.id)
            models[model.id] = model if known is None else narrower(known, model)
    return list(models.values())


async def _other_listing(
    transport: httpx.AsyncBaseTransport,
    host: str,
    profile: ProviderProfile,
    headers: Mapping[str, str],
    timeouts: CallTimeouts,
) -> tuple[ListedModel, ...] | None:
    """What the provider lists in a form of its own; None where it does not."""
    other = profile.other_listing
    assert other is not None
    try:
        answer = await _fetch_one(transport, profile.beside(host, other.path), headers, timeouts)
        return other.read(answer.body) if answer.status == 200 else None
    except (UpstreamFailure, ApiFailure):
        return None


async def _fetch_one(
    transport: httpx.AsyncBaseTransport,
    url: str,
    headers: Mapping[str, str],
    timeouts: CallTimeouts,
) -> ListingAnswer:
    async with open_call(
        transport, "GET", url, headers=headers, body=b"", timeouts=timeouts
    ) as answer:
        return ListingAnswer(
            status=answer.status,
            content_type=answer.headers.get("content-type", ""),
            location=answer.headers.get("location", ""),
            body=await answer.read(_LARGEST_LISTING),
        )
