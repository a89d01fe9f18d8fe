"""Which server is meant by a request to pull, make or delete a model, and making the call.

Such calls ask for nothing of a model, so they take no permit: a download of an hour must not stand
in the way of answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import trio

from forebay.actors.providers.listing import ListingFailed
from forebay.actors.providers.model_names import spellings
from forebay.actors.providers.provider import Provider
from forebay.actors.upstream import (
    ConnectFailed,
    UpstreamAnswer,
    UpstreamFailure,
    open_call,
)
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind, bad_request

_LISTING_SECONDS: Final = 5.0
"""For a listing that nobody waits for longer."""


@dataclass(frozen=True, slots=True)
class ManagedModels:
    """The server that a request is for, and what it calls the models that the request names."""

    provider: Provider
    names: Mapping[str, str]
    """By the request's fields."""


async def find_managed(
    providers: Mapping[str, Provider], names: Mapping[str, str]
) -> ManagedModels:
    """The server that ``names`` mean: the one that stands in front of them
    (``provider/model``), else the only one that lists the first of them that is listed, else the
    only one there is.

    Args:
        names: by the request's fields, what it is about first. Without any: the only server.

    Raises:
        ApiFailure: BAD_REQUEST, there is none, or no telling which.
    """
    managing = {name: each for name, each in providers.items() if each.profile.manages_models}
    if not managing:
        raise bad_request(
            "no Ollama server is configured, and the other providers' models can't be managed"
        )
    outright = {
        name.partition("/")[0] for name in names.values() if name.partition("/")[0] in providers
    }
    if len(outright) > 1:
        raise bad_request(f"the request names several providers: {_listed(sorted(outright))}")
    for name in outright:
        if name not in managing:
            raise bad_request(f"provider '{name}' is no Ollama server: its models can't be managed")
        return ManagedModels(
            managing[name],
            {field: value.removeprefix(f"{name}/") for field, value in names.items()},
        )
    if len(managing) == 1:
        return ManagedModels(next(iter(managing.values())), names)
    with trio.move_on_after(_LISTING_SECONDS):
        for provider in managing.values():
            await provider.listing.first_try()
    for model in names.values():
        holders = [each for each in managing.values() if _lists(each, model)]
        if len(holders) == 1:
            return ManagedModels(holders[0], names)
        if holders:
            managing = {each.name: each for each in holders}
            break
    about = next(iter(names.values()), None)
    mend = "" if about is None else f"; write it as '{next(iter(managing))}/{about}', say"
    raise bad_request(
        f"there are several Ollama servers that could be meant: {_listed(managing)}{mend}",
        param="model",
    )


def _lists(provider: Provider, model: str) -> bool:
    return any(spelling in provider.listing.models for spelling in spellings(model))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


@asynccontextmanager
async def open_management_call(
    provider: Provider,
    host: str,
    method: str,
    path: str,
    body: bytes,
    content_type: str = "application/json",
) -> AsyncIterator[UpstreamAnswer]:
    """One call to one host, and its answer, whatever its status.

    Raises:
        ApiFailure: UPSTREAM_ERROR, there is none, or it broke off.
    """
    try:
        async with open_call(
            provider.transport,
            method,
            host + path,
            headers={**provider.headers, "content-type": content_type},
            body=body,
            timeouts=provider.timeouts,
        ) as answer:
            yield answer
    except ConnectFailed:
        raise _upstream_error(f"could not connect to '{provider.name}'") from None
    except UpstreamFailure:
        raise _upstream_error(f"'{provider.name}' broke off its answer, or was too slow") from None


async def list_again(provider: Provider) -> None:
    """See which models the server has now; if it doesn't say so soon, later."""
    with trio.move_on_after(_LISTING_SECONDS):
        try:
            await provider.refresh_listing()
        except ListingFailed:
            provider.listing.want()


def _upstream_error(message: str) -> ApiFailure:
    return ApiFailure(ApiError(kind=ErrorKind.UPSTREAM_ERROR, message=message))
