"""Making providers ready before anybody asks: whether they are well is found out by free questions,
which leave their connections open, and local servers load the models that will be asked for.

Loading asks for no answer, so it takes no permit; to load what is loaded does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import trio

from forebay.actors.config import Settings, split_target
from forebay.actors.providers.connection_advice import told_to_operators
from forebay.actors.providers.listing import ListingFailed
from forebay.actors.providers.provider import Provider
from forebay.actors.upstream import UpstreamFailure, open_call
from forebay.protocol.canonical.listed_models import Capability
from forebay.protocol.dialects.registry import SPEECH
from forebay.protocol.jsontext import JsonObject, dumps

LONGEST_LOAD: Final = 600.0
"""Seconds for one model. Large ones take minutes."""
_LARGEST_ANSWER: Final = 65_536
_LONGEST_REASON: Final = 200


@dataclass(frozen=True, slots=True)
class Warmed:
    """What became of one host, or of one model there."""

    provider: str
    host: str
    model: str | None
    """None: it is about the host."""
    ok: bool
    detail: str
    """One line, without secrets."""


def models_to_load(settings: Settings, providers: Mapping[str, Provider]) -> dict[str, list[str]]:
    """The models of local servers that can load them which configured models are served by, by
    provider."""
    models: dict[str, list[str]] = {}
    for name in settings.models:
        for target in settings.targets_of(name):
            provider_name, model_id = split_target(target)
            provider = providers[provider_name]
            known = models.setdefault(provider_name, [])
            if _is_loadable(provider, model_id) and model_id not in known:
                known.append(model_id)
    return models


def make_targets(settings: Settings, providers: Mapping[str, Provider]) -> None:
    """Have the targets of all configured models there before anybody asks for them, so that what is
    found out of their hosts counts for them."""
    for name in settings.models:
        for target in settings.targets_of(name):
            provider_name, model_id = split_target(target)
            providers[provider_name].target(model_id)


async def warm_up(
    providers: Mapping[str, Provider],
    models: Mapping[str, Sequence[str]],
    *,
    keep_alive: str | int | None = None,
) -> list[Warmed]:
    """Warm all ``providers`` at once.

    Args:
        models: to load, by provider.
        keep_alive: how long they stay loaded, in Ollama's words; None: as the server says.
    """
    warmed: dict[str, list[Warmed]] = {name: [] for name in providers}

    async def warm(provider: Provider) -> None:
        done = warmed[provider.name]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_list, provider)
            for host in provider.hosts:
                nursery.start_soon(_find_out, provider, host, done)
        for model_id in models.get(provider.name, ()):
            for host in provider.routes.models.able(model_id, provider.hosts):
                if any(each.host == host and each.model is None and each.ok for each in done):
                    done.append(await _load(provider, host, model_id, keep_alive))

    async with trio.open_nursery() as nursery:
        for provider in providers.values():
            nursery.start_soon(warm, provider)
    return [each for done in warmed.values() for each in done]


def _is_loadable(provider: Provider, model_id: str) -> bool:
    return provider.profile.manages_models and provider.facts_of(model_id).is_local


async def _list(provider: Provider) -> None:
    try:
        await provider.refresh_listing()
    except ListingFailed as failure:
        provider.listing.failed(str(failure))


async def _find_out(provider: Provider, host: str, done: list[Warmed]) -> None:
    if provider.profile.probe is None:
        done.append(Warmed(provider.name, host, None, True, "can't be asked for nothing"))
        return
    finding = await provider.health.find_out(host)
    done.append(Warmed(provider.name, host, None, finding.is_well, finding.detail))


async def _load(
    provider: Provider, host: str, model_id: str, keep_alive: str | int | None
) -> Warmed:
    facts = provider.facts_of(model_id)
    embeds = facts.can(Capability.EMBEDDING) and not facts.can(Capability.COMPLETION)
    path = "/api/embed" if embeds else "/api/generate"
    request: JsonObject = {"model": model_id, **({"input": []} if embeds else {"stream": False})}
    if keep_alive is not None:
        request["keep_alive"] = keep_alive
    timeouts = replace(provider.timeouts, first_byte=LONGEST_LOAD)
    began = trio.current_time()
    try:
        with trio.fail_after(LONGEST_LOAD):
            async with open_call(
                provider.transport,
                "POST",
                host + path,
                headers=provider.headers,
                body=dumps(request),
                timeouts=timeouts,
            ) as answer:
                body = provider.without_secrets(await answer.read(_LARGEST_ANSWER))
    except UpstreamFailure as failure:
        told = told_to_operators(failure, provider.name)
        return Warmed(provider.name, host, model_id, False, told)
    except trio.TooSlowError:
        told = f"took longer than {LONGEST_LOAD:g} s"
        return Warmed(provider.name, host, model_id, False, told)
    if answer.status == 200:
        seconds = trio.current_time() - began
        return Warmed(provider.name, host, model_id, True, f"loaded in {seconds:.1f} s")
    message = SPEECH[provider.profile.listing_dialect].decode_error(answer.status, body).message
    told = " ".join(f"status {answer.status}: {message}".split())[:_LONGEST_REASON]
    return Warmed(provider.name, host, model_id, False, told)
