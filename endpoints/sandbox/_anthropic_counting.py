"""``/v1/messages/count_tokens``."""

from __future__ import annotations

from forebay.endpoints.sandbox._anthropic_errors import AnthropicErrors
from forebay.endpoints.sandbox._anthropic_reading import read_count
from forebay.endpoints.sandbox._call import Answer, Call, CountCall, Identity
from forebay.endpoints.sandbox._dialect import Models, NeverStreams
from forebay.endpoints.sandbox._fields import Fields
from forebay.endpoints.sandbox._http import Request
from forebay.protocol.jsontext import JsonObject


class AnthropicCounting(NeverStreams, AnthropicErrors):
    """See :class:`~forebay.endpoints.sandbox._dialect.Dialect`."""

    name = "anthropic"

    def read_call(self, fields: Fields, request: Request, models: Models) -> Call:
        return read_count(fields, request, models)

    def whole(self, call: Call, answers: list[Answer], identity: Identity) -> JsonObject:
        assert isinstance(call, CountCall)
        return {"input_tokens": call.counted_tokens}
