"""A session of OpenAI's Responses API: its answers are kept, and conversations go on from them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace

from forebay.actors.gateway.gateway import Answer
from forebay.actors.jobs.answers import AnswerStream, Piece, WholeAnswer
from forebay.actors.jobs.chat_operation import ChatContent, ChatOperation
from forebay.actors.jobs.provider_kept_operation import ProviderKeptOperation
from forebay.actors.providers.provider import Target
from forebay.actors.stores import RemoteResponse, StoredItem, StoredResponse
from forebay.endpoints.chat_session import ChatSession
from forebay.endpoints.kept_conversations import Conversation, Conversations, refuse_out_of_reach
from forebay.endpoints.session import SessionParts
from forebay.endpoints.token_count_session import TokenCountSession
from forebay.protocol.canonical.errors import ApiFailure, bad_request
from forebay.protocol.canonical.events import Start
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
        self._kept_by_provider = False
        self._target: Target | None = None
        """The one that answers."""

    async def _respond(self, body: bytes) -> None:
        fields = self._fields(body)
        response_id = secrets.token_hex(14)
        async with Conversations(self._gateway, self._client).continued(
            fields,
            self._codec.decode_request,
            new_id=response_id,
            deadline=self._deadline(None, self._head.max_wait_ms),
        ) as conversation:
            request = conversation.request
            state = request.state
            assert state is not None  # every request of this API has one
            self._keeps = state.store
            self._input_items = conversation.input_items
            # Only what the client is told: an upstream of this API may get its very bytes.
            echoed = replace(request, state=replace(state, kept_here=True))
            context = replace(self._context(echoed), response_id=response_id)
            operation = ChatOperation(request, self._codec, self._inbound(body))
            if state.background or conversation.kept_by is not None:
                self._kept_by_provider = True
                operation = self._kept_operation(body, fields, conversation)
            resolution = await self._resolve(request.model, operation)
            if self._kept_by_provider:
                refuse_out_of_reach(conversation, operation, resolution)
                if not any(map(operation.served_by, resolution.targets)):
                    raise _no_background()
            await self._answer(self._job(operation, resolution), resolution, context)

    def _kept_operation(
        self, body: bytes, fields: JsonObject, conversation: Conversation
    ) -> ProviderKeptOperation:
        return ProviderKeptOperation(
            conversation.request,
            self._codec,
            self._inbound(body),
            fields=fields,
            only_at=conversation.only_at,
        )

    # Answers that their provider keeps

    async def _send_whole(
        self, answer: Answer[ChatContent], content: WholeAnswer, context: ReplyContext
    ) -> None:
        self._target = content.request.target
        await super()._send_whole(answer, content, context)

    async def _send_stream(self, answer: Answer[ChatContent], content: AnswerStream) -> None:
        self._target = content.request.target
        await super()._send_stream(answer, content)

    async def _write(self, data: bytes, piece: Piece) -> None:
        if self._kept_by_provider:
            # Before the client has heard of it: whatever becomes of the stream, it can ask again.
            for event in piece.events:
                if isinstance(event, Start):
                    await self._keep_where(event.id)
        await super()._write(data, piece)

    async def _keep_where(self, response_id: str) -> None:
        """Keep where the answer is."""
        if not self._keeps or not response_id:
            return
        assert self._target is not None
        remote = RemoteResponse(
            id=response_id,
            provider=self._target.provider.name,
            model_id=self._target.model_id,
        )
        await self._gateway.responses.put(self._client.name, remote)

    def _keep_alive_frame(self) -> bytes | None:
        if self._kept_by_provider and self._encoder is not None:
            # Nothing that counts: the ids and the numbers of the events are the provider's.
            return b": waiting\n\n" if self._at_frame_end else None
        return super()._keep_alive_frame()

    # Answers that the gateway keeps

    async def _whole_is_ready(
        self, content: WholeAnswer, encoded: JsonObject | None, context: ReplyContext
    ) -> None:
        if self._kept_by_provider:
            await self._keep_where(content.response.id)
            return
        if not self._keeps:
            return
        if encoded is not None:
            await self._keep(encoded, kept_output(content.response, context))
        else:
            relayed = loads_object(content.body)
            await self._keep(relayed, _items_in(relayed))

    async def _stream_is_ready_to_end(self) -> None:
        if self._kept_by_provider:
            return
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
            request = conversation.request
            operation = self._operation(request, body, only_at=conversation.only_at)
            resolution = await self._resolve(request.model, operation)
            refuse_out_of_reach(conversation, operation, resolution)
            if conversation.kept_by is not None:
                able = filter(operation.served_by, resolution.targets)
                resolution = replace(resolution, targets=tuple(able))
            await self._respond_to(operation, resolution)


def _no_background() -> ApiFailure:
    return bad_request(
        "'background' can't be used with this model: no target of it makes answers in the "
        "background, and the gateway answers while the client waits; leave it out, and use "
        "'stream' for answers that take long",
        param="background",
        code="unsupported_parameter",
    )


def _items_in(response: JsonObject) -> list[JsonObject]:
    output = response.get("output")
    return [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []


def _stored(items: Iterable[JsonObject]) -> tuple[StoredItem, ...]:
    return tuple(StoredItem(str(item.get("id", "")), dumps(item)) for item in items)
