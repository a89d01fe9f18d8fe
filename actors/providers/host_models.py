"""Which of a provider's hosts have which models, and which models are loaded where.

What a host lists is known from its own listing. What it has in memory it tells
(:class:`~forebay.protocol.providers.base.LoadedModels`), and every answer tells, too: whoever has
just answered has the model loaded. All of this only says which of the hosts that have room is the
better one; nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

import httpx
import trio

from forebay.actors.providers.model_names import LATEST_TAG
from forebay.actors.providers.wall_clock import WallClock
from forebay.actors.upstream import CallTimeouts, UpstreamFailure, open_call
from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.providers.base import LoadedModels

_LARGEST_ANSWER: Final = 4 * 1024 * 1024
_MOST_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Stay:
    until: float
    known_at: float


class HostModels:
    """Of one provider. Times are seconds on the clock of the event loop."""

    def __init__(self) -> None:
        self._listed: dict[str, frozenset[str]] = {}
        self._loaded: dict[str, dict[str, _Stay]] = {}

    def list(self, listings: Mapping[str, Iterable[ListedModel]]) -> None:
        """These hosts have told what they have; what others have told before still counts."""
        for host, models in listings.items():
            self._listed[host] = frozenset(_plain(model.id) for model in models)

    def able(self, model_id: str, hosts: Sequence[str]) -> tuple[str, ...]:
        """Those of ``hosts`` that list the model or have never told what they have; all where none
        lists it."""
        model = _plain(model_id)
        if not any(model in self._listed.get(host, ()) for host in hosts):
            return tuple(hosts)
        return tuple(host for host in hosts if model in self._listed.get(host, (model,)))

    def tell_loaded(
        self, host: str, stays: Mapping[str, float], *, asked_at: float, now: float
    ) -> None:
        """The host has told, when asked at that time, what it has in memory, and for how many
        seconds from now. What has answered meanwhile is loaded, whatever it said."""
        known = self._loaded.get(host, {})
        newer = {model: stay for model, stay in known.items() if stay.known_at > asked_at}
        told = {_plain(model): _Stay(now + stay, now) for model, stay in stays.items()}
        self._loaded[host] = told | newer

    def answered(self, host: str, model_id: str, stay: float, now: float) -> None:
        """The model has answered there, and stays loaded for so many seconds."""
        self._loaded.setdefault(host, {})[_plain(model_id)] = _Stay(now + stay, now)

    def warm_until(self, host: str, model_id: str) -> float:
        """Until when the host has the model loaded; ``-inf`` where that is not known."""
        stay = self._loaded.get(host, {}).get(_plain(model_id))
        return -inf if stay is None else stay.until

    def loaded(self, host: str, now: float) -> tuple[str, ...]:
        """What the host has in memory, as far as is known; names without ``:latest``."""
        stays = self._loaded.get(host, {})
        return tuple(sorted(model for model, stay in stays.items() if stay.until > now))

    def keep_only(self, hosts: Collection[str]) -> None:
        """There are no others any more."""
        for host in self._listed.keys() - hosts:
            del self._listed[host]
        for host in self._loaded.keys() - hosts:
            del self._loaded[host]


def _plain(model_id: str) -> str:
    return model_id.removesuffix(LATEST_TAG)


async def ask_loaded(
    transport: httpx.AsyncBaseTransport,
    host: str,
    loaded: LoadedModels,
    *,
    headers: Mapping[str, str],
    timeouts: CallTimeouts,
    wall_clock: WallClock,
) -> Mapping[str, float] | None:
    """For how many seconds each model stays loaded at ``host``; None where it does not say."""
    url = host + loaded.path
    try:
        with trio.move_on_after(_MOST_SECONDS):
            async with open_call(
                transport, "GET", url, headers=headers, body=b"", timeouts=timeouts
            ) as answer:
                told = await answer.read(_LARGEST_ANSWER)
                if answer.status == 200:
                    return loaded.read(told, wall_clock())
    except (UpstreamFailure, ApiFailure):
        pass
    return None
