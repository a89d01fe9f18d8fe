"""What a provider tells of its models, and of its servers, beyond its listing
(:class:`~forebay.protocol.providers.base.Details`).

It is asked when models are listed. What was told of one model is kept until its entry changes or an
hour has passed; who does not answer is asked again with the next listing. Nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Final
from urllib.parse import quote

import httpx
import trio

from forebay.actors.upstream import CallTimeouts, UpstreamFailure, open_call
from forebay.protocol.canonical.listed_models import ListedModel, with_more
from forebay.protocol.jsontext import InvalidJson, JsonObject, loads_object
from forebay.protocol.providers.base import Details, ProviderProfile

_LARGEST_ANSWER: Final = 8 * 1024 * 1024
_SECONDS: Final = 10.0
"""For one answer."""
_ALL_SECONDS: Final = 60.0
_AT_ONCE: Final = 4
_MOST_MODELS: Final = 256
"""That are asked about with one listing; the others follow with the next."""
_FRESH: Final = 3600.0


@dataclass(frozen=True, slots=True)
class _Told:
    entry: ListedModel
    """As the model was listed then."""
    more: ListedModel
    at: float


class ModelDetails:
    """Of one provider."""

    def __init__(self, profile: ProviderProfile) -> None:
        self._profile = profile
        self._told: dict[tuple[Details, str], _Told] = {}
        self._silent: dict[tuple[Details, str], float] = {}
        """When it was last asked about a model in vain."""
        self.slots: dict[str, int] = {}
        """How many calls at once a host says that it takes, by host."""

    def added_to(self, models: Iterable[ListedModel]) -> list[ListedModel]:
        """``models`` with what is known beyond their listing."""
        return [self._added_to(model) for model in models]

    def _added_to(self, model: ListedModel) -> ListedModel:
        whole = model
        for details in self._profile.details:
            told = self._told.get((details, model.id))
            if told is not None and told.entry == model:
                whole = with_more(whole, told.more)
        return whole

    async def ask(
        self,
        transport: httpx.AsyncBaseTransport,
        hosts: Sequence[str],
        listings: Mapping[str, Sequence[ListedModel]],
        models: Sequence[ListedModel],
        *,
        headers: Mapping[str, str],
        timeouts: CallTimeouts,
    ) -> None:
        """Ask about ``models``, which stand in the listings of these hosts; about each only one
        host that has it."""
        asking = _Asking(self._profile, transport, headers, timeouts)
        now = trio.current_time()
        ids = {model.id for model in models}
        self._told = {key: told for key, told in self._told.items() if key[1] in ids}
        self._silent = {key: at for key, at in self._silent.items() if key[1] in ids}
        tell_slots = {
            host
            for host, listed in listings.items()
            for details in self._profile.details
            if details.read_slots is not None and any(map(details.concerns, listed))
        }
        silent = listings.keys() - tell_slots
        self.slots = {
            host: slots
            for host, slots in self.slots.items()
            if host in hosts and host not in silent
        }
        with trio.move_on_after(_ALL_SECONDS):
            for details in self._profile.details:
                concerned = {model.id: model for model in models if details.concerns(model)}
                if details.is_of_one_model:
                    stale = [
                        model for model in concerned.values() if self._is_stale(details, model, now)
                    ]
                    stale.sort(key=partial(self._last_in_vain, details))
                    await self._ask_each(asking, details, stale[:_MOST_MODELS], listings)
                    continue
                for host, listed in listings.items():
                    here = [concerned[each.id] for each in listed if each.id in concerned]
                    if here and (details.at_default or host != self._profile.default_base_url):
                        await self._ask_host(asking, details, host, here)

    def _is_stale(self, details: Details, model: ListedModel, now: float) -> bool:
        told = self._told.get((details, model.id))
        return told is None or told.entry != model or now - told.at > _FRESH

    def _last_in_vain(self, details: Details, model: ListedModel) -> float:
        """Those that are asked about in vain don't keep others from being asked about."""
        return self._silent.get((details, model.id), -inf)

    async def _ask_each(
        self,
        asking: _Asking,
        details: Details,
        models: Sequence[ListedModel],
        listings: Mapping[str, Sequence[ListedModel]],
    ) -> None:
        first: dict[str, str] = {}
        for host, listed in listings.items():
            for model in listed:
                first.setdefault(model.id, host)
        waiting = iter(models)

        async def work() -> None:
            for model in waiting:
                answer = await asking.ask(details, first[model.id], model.id)
                if answer is None:
                    self._silent[details, model.id] = trio.current_time()
                else:
                    self._take(details, model, answer)

        async with trio.open_nursery() as nursery:
            for _ in range(min(_AT_ONCE, len(models))):
                nursery.start_soon(work)

    async def _ask_host(
        self, asking: _Asking, details: Details, host: str, models: Sequence[ListedModel]
    ) -> None:
        answer = await asking.ask(details, host)
        if answer is None:
            return
        for model in models:
            self._take(details, model, answer)
        if details.read_slots is not None:
            slots = details.read_slots(answer)
            if slots is None:
                self.slots.pop(host, None)
            else:
                self.slots[host] = slots

    def _take(self, details: Details, model: ListedModel, answer: JsonObject) -> None:
        more = details.read(answer, model)
        told = ListedModel(model.id) if more is None else more
        self._silent.pop((details, model.id), None)
        self._told[details, model.id] = _Told(model, told, trio.current_time())


@dataclass(frozen=True, slots=True)
class _Asking:
    profile: ProviderProfile
    transport: httpx.AsyncBaseTransport
    headers: Mapping[str, str]
    timeouts: CallTimeouts

    async def ask(self, details: Details, host: str, model_id: str = "") -> JsonObject | None:
        """What one host answers; None where that is nothing that could be read."""
        path = details.path.replace("{model}", quote(model_id, safe="/"))
        url = self.profile.beside(host, path) if details.beside else host + path
        method, body = "GET", b""
        if details.body is not None:
            method, body = "POST", details.body(model_id)
        try:
            with trio.move_on_after(_SECONDS):
                async with open_call(
                    self.transport,
                    method,
                    url,
                    headers=self.headers,
                    body=body,
                    timeouts=self.timeouts,
                ) as answer:
                    told = await answer.read(_LARGEST_ANSWER)
                    if answer.status == 200:
                        return loads_object(told)
        except (UpstreamFailure, InvalidJson, RecursionError):
            pass
        return None
