"""A session of OpenAI's Responses API: its answers are kept, and conversations go on from them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace

from forebay.actors.gateway.answers import WholeAnswer
from forebay.actors.gateway.chat_operation import ChatOperation
from forebay.actors.stores import StoredItem, StoredResponse
from forebay.endpoints.chat_session import ChatSession
from forebay.endpoints.kept_conversations import Conversations
from forebay.endpoints.session import SessionParts
from forebay.endpoints.token_count_session import TokenCountSession
from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai import OpenAIResponsesCodec
from forebay.protocol.dialects.openai.responses import ResponsesStreamEncoder, kept_output
from forebay.protocol.jsontext import InvalidJson, JsonObject, dumps, loads_object

_KEPT_STATES = ("completed", "incomplete")


class ResponseSession(ChatSession):
    """Serves one ``POST /v1/responses``."""

    def __init__(self, parts: SessionParts, codec: OpenAIResponsesCodec) -> None:
        super().__init__(parts, codec)
        self._keeps = False
        self._input_items: tuple[JsonObject, ...] = ()

    async def _respond(self, body: bytes) -> None:
        fields = self._fields(body)
        response_id = secrets.token_hex(14)
        async with Conversations(self._gateway, self._client).continued(
            fields,
            self._decode,
            new_id=response_id,
            deadline=self._deadline(None, self._head.max_wait_ms),
        ) as conversation:
            request = conversation.request
            state = request.state
            assert state is not None  # every request of this API has one
            self._keeps = state.store
            self._input_items = conversation.input_items
            resolution = await self._resolve(request.model)
            # Only what the client is told: an upstream of this API may get its very bytes.
            echoed = replace(request, state=replace(state, kept_here=True))
            context = replace(self._context(echoed), response_id=response_id)
            operation = ChatOperation(request, self._codec, self._inbound(body))
            await self._answer(self._job(operation, resolution), resolution, context)

    def _decode(self, fields: JsonObject) -> ChatRequest:
        request = self._codec.decode_request(fields)
        if request.state is not None and request.state.background:
            raise bad_request(
                "'background' can't be used: the gateway answers while the client waits; leave it "
                "out, and use 'stream' for answers that take long",
                param="background",
                code="unsupported_parameter",
            )
        return request

    async def _whole_is_ready(
        self, content: WholeAnswer, encoded: JsonObject | None, context: ReplyContext
    ) -> None:
        if not self._keeps:
            return
        if encoded is not None:
            await self._keep(encoded, kept_output(content.response, context))
        else:
            relayed = loads_object(content.body)
            await self._keep(relayed, _items_in(relayed))

    async def _stream_is_ready_to_end(self) -> None:
        encoder = self._encoder
        assert isinstance(encoder, ResponsesStreamEncoder)
        final = encoder.final_response
        if self._keeps and final is not None:
            await self._keep(final, _items_in(final) if encoder.relays else encoder.kept_output)

    async def _keep(self, response: JsonObject, output: Iterable[JsonObject]) -> None:
        """Keep an answer under the id that the client knows it by. Done before the client has
        all of it, so that its next request finds it."""
        response_id = response.get("id")
        if not isinstance(response_id, str) or response.get("status") not in _KEPT_STATES:
            return
        try:
            stored = StoredResponse(
                id=response_id,
                body=dumps(response),
                input_items=_stored(self._input_items),
                output_items=_stored(output),
            )
        except InvalidJson:  # nested more deeply than can be written: nobody could read it either
            return
        await self._gateway.responses.put(self._client.name, stored)


class ResponseCountSession(TokenCountSession):
    """Serves one ``POST /v1/responses/input_tokens``."""

    async def _respond(self, body: bytes) -> None:
        async with Conversations(self._gateway, self._client).continued(
            self._fields(body),
            self._codec.decode_request,
            new_id=secrets.token_hex(14),
            deadline=self._deadline(None, self._head.max_wait_ms),
        ) as conversation:
            await self._respond_to(conversation.request, body)


def _items_in(response: JsonObject) -> list[JsonObject]:
    output = response.get("output")
    return [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []


def _stored(items: Iterable[JsonObject]) -> tuple[StoredItem, ...]:
    return tuple(StoredItem(str(item.get("id", "")), dumps(item)) for item in items)
