"""Requests that go on from an answer which the gateway keeps for its client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from forebay.actors.gateway.gateway import Gateway
from forebay.actors.jobs.job import Client
from forebay.actors.jobs.operations import ContentT, Operation
from forebay.actors.routing.catalog import Resolution
from forebay.actors.stores import KnownResponse, RemoteResponse, StoredItem, StoredResponse
from forebay.endpoints.bodies import MOST_VALUES
from forebay.endpoints.json_values import holds_more_values
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind, bad_request
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.canonical.state import item_not_found, previous_response_not_found
from forebay.protocol.dialects.openai.responses.conversations import (
    KeptResponse,
    continued_body,
    continued_input,
    kept_here,
    named_items,
)
from forebay.protocol.jsontext import JsonObject, loads_object


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request with all that it goes on from."""

    request: ChatRequest
    """Relies on nobody but the gateway, as far as answers and items are concerned; or on
    ``kept_by``."""
    input_items: tuple[JsonObject, ...]
    """All of its input that is known here, each item with an id."""
    kept_by: RemoteResponse | None = None
    """What it goes on from, if a provider keeps that: the request is as it came then."""

    @property
    def only_at(self) -> str | None:
        """The provider that has to be asked, if it must be a certain one."""
        return None if self.kept_by is None else self.kept_by.provider


class Conversations:
    """Makes the requests of one client whole."""

    def __init__(self, gateway: Gateway, client: Client) -> None:
        self._gateway = gateway
        self._client = client

    @asynccontextmanager
    async def continued(
        self,
        fields: JsonObject,
        decode: Callable[[JsonObject], ChatRequest],
        *,
        new_id: str,
        deadline: float,
    ) -> AsyncIterator[Conversation]:
        """The conversation that a request to the Responses API continues, or begins. What is added
        to the request counts against the budget of waiting bytes until the block is left.

        Args:
            fields: The request.
            new_id: Hex digits that make the ids of new items unique.
            deadline: On trio's clock: until when there must be room for it.

        Raises:
            ApiFailure: BAD_REQUEST, the request is at fault, or what it goes on from is not kept
                for this client; TOO_LARGE, the whole conversation is; RATE_LIMITED, no room.
        """
        original = decode(fields)
        state = original.state
        if state is None or (state.previous_response_id is None and not state.item_ids):
            yield Conversation(original, named_items(fields.get("input"), new_id))
            return
        earlier = await self._earlier(state.previous_response_id)
        if isinstance(earlier, RemoteResponse):
            if state.item_ids:
                # A provider would find what is any client's.
                raise item_not_found(state.item_ids[0])
            new_items = named_items(fields.get("input"), new_id)
            yield Conversation(original, new_items, kept_by=earlier)
            return
        found = await self._gateway.responses.find_items(self._client.name, state.item_ids)
        texts = [item.text for item in (*(earlier.items if earlier else ()), *found.values())]
        async with self._room_for(texts, deadline):
            referred = {item_id: loads_object(item.text) for item_id, item in found.items()}
            kept = None if earlier is None else _kept(earlier)
            full = continued_input(fields, kept, new_id, find=referred.get)
            request = kept_here(decode(continued_body(fields, full)), original)
            yield Conversation(request, full)

    async def _earlier(self, response_id: str | None) -> KnownResponse | None:
        if response_id is None:
            return None
        earlier = await self._gateway.responses.get(self._client.name, response_id)
        if earlier is None:
            raise previous_response_not_found(response_id)
        return earlier

    @asynccontextmanager
    async def _room_for(self, texts: list[bytes], deadline: float) -> AsyncIterator[None]:
        size = sum(map(len, texts))
        largest = self._gateway.settings.server.max_body_bytes
        if size > largest:
            raise _too_large(f"{largest} bytes")
        if holds_more_values(b",".join(texts), MOST_VALUES):
            raise _too_large(f"{MOST_VALUES} JSON values")
        with trio.move_on_at(deadline) as scope:
            loan = await self._gateway.waiting_bytes.borrow(size, holder=self._client.name)
        if scope.cancelled_caught:
            raise ApiFailure(
                ApiError(
                    kind=ErrorKind.RATE_LIMITED,
                    message="the gateway holds as many conversations as it has memory for",
                    code="rate_limit_exceeded",
                    retry_after=1.0,
                )
            )
        with loan.held():
            yield


def refuse_out_of_reach(
    conversation: Conversation, operation: Operation[ContentT], resolution: Resolution
) -> None:
    """To be called before a request waits that goes on from what a provider keeps.

    Raises:
        ApiFailure: BAD_REQUEST, none of the model's targets is at that provider.
    """
    kept_by = conversation.kept_by
    if kept_by is None or any(map(operation.served_by, resolution.targets)):
        return
    raise bad_request(
        f"'previous_response_id' names an answer that provider '{kept_by.provider}' keeps, and "
        f"model '{resolution.shown_name}' has no target there that could go on from it: ask a "
        "model of that provider, or send the whole conversation in 'input' instead",
        param="previous_response_id",
        code="unsupported_parameter",
    )


def _kept(response: StoredResponse) -> KeptResponse:
    return KeptResponse(response.id, _read(response.input_items), _read(response.output_items))


def _read(items: Iterable[StoredItem]) -> tuple[JsonObject, ...]:
    return tuple(loads_object(item.text) for item in items)


def _too_large(bound: str) -> ApiFailure:
    return ApiFailure(
        ApiError(
            kind=ErrorKind.TOO_LARGE,
            message=(
                f"the conversation that this request goes on from is larger than {bound}: send "
                "what matters of it in 'input' instead of 'previous_response_id'"
            ),
            param="previous_response_id",
        )
    )
