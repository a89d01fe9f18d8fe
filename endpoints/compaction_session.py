"""A session that has a conversation compacted, by a target that can."""

from __future__ import annotations

import secrets
from typing import Final

from forebay.endpoints.kept_conversations import Conversation, Conversations, refuse_out_of_reach
from forebay.endpoints.relay_session import RelaySession
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.base import USUAL_SERVER
from forebay.protocol.dialects.openai import OpenAIInputTokenCodec, OpenAIResponsesCodec
from forebay.protocol.jsontext import JsonObject, dumps
from forebay.protocol.request_bodies import JsonBody

_CODEC: Final = OpenAIResponsesCodec()
_PREVIOUS: Final = "previous_response_id"


class CompactionSession(RelaySession):
    """Serves one ``POST /v1/responses/compact``: as it came, but for what only the gateway knows
    of the conversation."""

    async def _respond(self, body: bytes) -> None:
        fields = self._fields(body)
        async with Conversations(self._gateway, self._client).continued(
            fields,
            OpenAIInputTokenCodec().decode_request,  # there need not be any new input
            new_id=secrets.token_hex(14),
            deadline=self._deadline(None, self._head.max_wait_ms),
        ) as conversation:
            request = conversation.request
            resolution = await self._resolve(request.model)
            whole = _written_out(body, fields, request, conversation)
            operation = self._operation(whole, resolution, only_at=conversation.only_at)
            refuse_out_of_reach(conversation, operation, resolution)
            await self._ask(operation, resolution)


def _written_out(
    body: bytes, fields: JsonObject, request: ChatRequest, conversation: Conversation
) -> JsonBody:
    if _CODEC.can_relay(request):
        return JsonBody(body, fields)
    encoded = _CODEC.encode_request(request, USUAL_SERVER).body
    kept_here = conversation.kept_by is None
    left = {name: fields[name] for name in fields if name != _PREVIOUS or not kept_here}
    if "input" in encoded:
        left["input"] = encoded["input"]
    return JsonBody(dumps(left), left)
