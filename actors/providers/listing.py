"""Which models a provider says it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import httpx
import trio

from forebay.actors.providers.key_rejections import rejects_key
from forebay.actors.providers.listing_faults import ListingAnswer, NotAListing, read_listing
from forebay.actors.providers.model_names import spellings
from forebay.actors.providers.wall_clock import SYSTEM_CLOCK, WallClock
from forebay.actors.upstream import (
    BodyTooLong,
    CallTimeouts,
    UpstreamAnswer,
    UpstreamFailure,
    open_call,
)
from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.canonical.listed_models import ListedModel, narrower
from forebay.protocol.providers.base import ProviderProfile
from forebay.protocol.providers.waits import retry_after

_LARGEST_LISTING = 32 * 1024 * 1024
_LISTING_SECONDS = 20.0
_MOST_FAILURES_TOLD = 3
_LARGE = 256 * 1024
"""Bytes, from which on a listing is read in a thread."""
_MOST_MODELS = 100_000


class ListingFailed(Exception):
    """The provider did not list its models; the message says why, without secrets."""

    def __init__(
        self, message: str, *, told_to_wait: float | None = None, key_rejected: bool = False
    ) -> None:
        """
        Args:
            told_to_wait: seconds.
        """
        super().__init__(message)
        self.told_to_wait = told_to_wait
        self.key_rejected = key_rejected


class Listing:
    """What is known of a provider's models."""

    def __init__(self) -> None:
        self.models: dict[str, ListedModel] = {}
        """By id, in the provider's order. A fresh listing is another dict."""
        self.is_fresh = False
        """The provider itself has said what it has, to this gateway."""
        self._failure: str | None = None
        self._silent: str | None = None
        self._tried = trio.Event()
        self._wanted = trio.Event()

    def find(self, model_id: str) -> ListedModel | None:
        """A model of the listing, however its name is spelt."""
        found = self.models.get(model_id)
        if found is None:
            for spelling in spellings(model_id):
                if spelling in self.models:
                    return self.models[spelling]
        return found

    @property
    def failure(self) -> str | None:
        """Why the provider did not say what it has when it was last asked."""
        return self._failure

    @property
    def silent_hosts(self) -> str | None:
        """What is wrong with some of several hosts, of which others have answered."""
        return self._silent

    def note_silent(self, failures: Mapping[str, str], hosts: int) -> None:
        """Of ``hosts`` that were asked, these have not said what they have."""
        told = f"{len(failures)} of {hosts} hosts: {_in_one_line(failures)}"
        self._silent = told if failures else None

    def recall(self, models: Iterable[ListedModel]) -> None:
        """Go by what the provider listed before this gateway was started, until it is asked."""
        if not self.is_fresh:
            self.models = {model.id: model for model in models}

    def update(self, models: Iterable[ListedModel]) -> None:
        self.models = {model.id: model for model in models}
        self.is_fresh = True
        self._failure = None
        self._tried.set()

    def failed(self, reason: str) -> bool:
        """Note a failure; whether it is news."""
        news = reason != self._failure
        self._failure = reason
        self._tried.set()
        return news

    @property
    def was_tried(self) -> bool:
        """The provider was asked once."""
        return self._tried.is_set()

    async def first_try(self) -> None:
        """Wait until the provider was asked once."""
        await self._tried.wait()

    def want(self) -> None:
        """Ask for a fresh listing soon."""
        self._wanted.set()

    async def wanted(self) -> None:
        """Wait until somebody wants a fresh listing."""
        await self._wanted.wait()

    def begin(self) -> None:
        """The provider is asked: whoever has wanted it until now gets what it says."""
        if self._wanted.is_set():
            self._wanted = trio.Event()

    def describe(self) -> str:
        count = f"{len(self.models)} models"
        if self._failure is not None:
            kept = f"; {count} of before" if self.models else ""
            return f"failed: {self._failure}{kept}"
        if self.is_fresh:
            return count if self._silent is None else f"{count}; {self._silent}"
        return f"{count} of before, not asked yet" if self.models else "not asked yet"


@dataclass(frozen=True, slots=True)
class HostListings:
    """What several hosts said when they were asked for their models."""

    listings: dict[str, tuple[ListedModel, ...]]
    """Of those that gave one, in the order of the hosts."""
    failures: dict[str, str]
    """Why the others gave none, in one line each."""


async def fetch_listings(
    transport: httpx.AsyncBaseTransport,
    hosts: Sequence[str],
    profile: ProviderProfile,
    *,
    headers: Mapping[str, str],
    timeouts: CallTimeouts,
    without_secrets: Callable[[bytes], bytes] = bytes,
    explained: Callable[[UpstreamFailure], str] = str,
    wall_clock: WallClock = SYSTEM_CLOCK,
) -> HostListings:
    """The models of each of ``hosts``, which are asked at once.

    Args:
        without_secrets: takes out of an error what must not be repeated.
        explained: what is told of a call that brought no answer.
        wall_clock: what a refusal says of times of day is held against it.

    Raises:
        ListingFailed: no host gave a listing.
    """
    listings: dict[str, tuple[ListedModel, ...]] = {}
    failures: dict[str, str] = {}
    waits: list[float] = []
    rejected: list[str] = []

    async def fetch(host: str) -> None:
        url = host + profile.listing_path
        try:
            with trio.fail_after(_LISTING_SECONDS):
                answer = await _fetch_one(transport, url, profile, headers, timeouts, wall_clock)
                listed = None
                if answer.status != 200 and profile.other_listing is not None:
                    listed = await _other_listing(transport, host, profile, headers, timeouts)
            if listed is None:
                waits.append(answer.told_to_wait)
                if answer.key_rejected:
                    rejected.append(host)
                listed = await _read(answer, profile, host, without_secrets)
            listings[host] = listed
        except BodyTooLong as failure:
            failures[host] = f"GET {url} answered with more than {failure.limit} bytes"
        except UpstreamFailure as failure:
            failures[host] = explained(failure)
        except (NotAListing, trio.TooSlowError) as failure:
            failures[host] = str(failure) or f"GET {url} took longer than {_LISTING_SECONDS:g} s"

    async with trio.open_nursery() as nursery:
        for host in hosts:
            nursery.start_soon(fetch, host)
    failures = {host: failures[host] for host in hosts if host in failures}
    if not listings:
        raise ListingFailed(
            _in_one_line(failures),
            told_to_wait=max(waits, default=0.0),
            key_rejected=bool(rejected),
        )
    return HostListings({host: listings[host] for host in hosts if host in listings}, failures)


def _in_one_line(failures: Mapping[str, str]) -> str:
    told = list(dict.fromkeys(failures.values()))
    if len(told) > _MOST_FAILURES_TOLD:
        told[_MOST_FAILURES_TOLD:] = [f"and {len(told) - _MOST_FAILURES_TOLD} more hosts"]
    return "; ".join(told)


def all_listed(listings: Iterable[Iterable[ListedModel]]) -> list[ListedModel]:
    """The models of all hosts together. Of a model that several hosts have, the least context
    counts: any of them may serve a request."""
    models: dict[str, ListedModel] = {}
    for listed in listings:
        for model in listed:
            known = models.get(model.id)
            models[model.id] = model if known is None else narrower(known, model)
    return list(models.values())


async def _read(
    answer: ListingAnswer,
    profile: ProviderProfile,
    host: str,
    without_secrets: Callable[[bytes], bytes],
) -> tuple[ListedModel, ...]:
    def read() -> tuple[ListedModel, ...]:
        models = read_listing(answer, profile, host, without_secrets=without_secrets)
        if len(models) > _MOST_MODELS:
            raise NotAListing(
                f"GET {host}{profile.listing_path} answered with {len(models)} models, more than "
                f"{_MOST_MODELS}"
            )
        return models

    if len(answer.body) < _LARGE:
        return read()
    # Thousands of models take as long to read as many a request; nobody waits for that.
    return await trio.to_thread.run_sync(read, abandon_on_cancel=True)


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
        url = profile.beside(host, other.path)
        answer = await _fetch_one(transport, url, profile, headers, timeouts)
        return other.read(answer.body) if answer.status == 200 else None
    except (UpstreamFailure, ApiFailure):
        return None


async def _fetch_one(
    transport: httpx.AsyncBaseTransport,
    url: str,
    profile: ProviderProfile,
    headers: Mapping[str, str],
    timeouts: CallTimeouts,
    wall_clock: WallClock = SYSTEM_CLOCK,
) -> ListingAnswer:
    async with open_call(
        transport, "GET", url, headers=headers, body=b"", timeouts=timeouts
    ) as answer:
        body = await answer.read(_LARGEST_LISTING)
        return ListingAnswer(
            status=answer.status,
            content_type=answer.headers.get("content-type", ""),
            location=answer.headers.get("location", ""),
            body=body,
            told_to_wait=_told_to_wait(answer, wall_clock),
            key_rejected=rejects_key(profile, answer.status, answer.headers, body),
        )


def _told_to_wait(answer: UpstreamAnswer, wall_clock: WallClock) -> float:
    if answer.status == 200:
        return 0.0
    return retry_after(answer.headers, "", now=wall_clock()) or 0.0
