"""OpenAI's Responses API: responses whole, streamed and in the background, and the
count of input tokens."""

from __future__ import annotations

from forebay.endpoints.sandbox._call import Answer, Call, CompactionCall, CountCall, Identity
from forebay.endpoints.sandbox._dialect import Models, NeverStreams
from forebay.endpoints.sandbox._failures import Failure
from forebay.endpoints.sandbox._fields import Fields
from forebay.endpoints.sandbox._http import Piece, Request
from forebay.endpoints.sandbox._openai_errors import OpenAIErrors
from forebay.endpoints.sandbox._responses_compaction import compacted, read_compaction
from forebay.endpoints.sandbox._responses_kept import KeptResponse, KeptResponses
from forebay.endpoints.sandbox._responses_objects import begun_response, ended_response
from forebay.endpoints.sandbox._responses_reading import ResponsesCall, read_count, read_response
from forebay.protocol.jsontext import JsonObject, dumps


class Responses(OpenAIErrors):
    """See :class:`~forebay.endpoints.sandbox._dialect.Dialect`."""

    name = "openai"
    stream_type = b"text/event-stream; charset=utf-8"
    garbage_frame = (
        b"event: response.output_text.delta\n"
        b'data: {"type":"response.output_text.delta", <<garbage>>\n\n'
    )

    def __init__(self, kept: KeptResponses) -> None:
        self._kept = kept

    def read_call(self, fields: Fields, request: Request, models: Models) -> Call:
        return read_response(fields, models, self._kept)

    def whole(self, call: Call, answers: list[Answer], identity: Identity) -> JsonObject:
        assert isinstance(call, ResponsesCall)
        self._keep(call, answers[0], identity)
        if call.in_background:
            return begun_response(call, identity, "queued")
        return ended_response(call, answers[0], identity)

    def pieces(self, call: Call, answers: list[Answer], identity: Identity) -> list[Piece]:
        assert isinstance(call, ResponsesCall)
        return self._keep(call, answers[0], identity).events()

    def _keep(self, call: ResponsesCall, answer: Answer, identity: Identity) -> KeptResponse:
        response = KeptResponse(call, answer, identity, self._kept.pace_of(call))
        if call.keeps:
            self._kept.add(response)
        return response

    def failure_frame(self, failure: Failure, identity: Identity) -> bytes:
        _, body = self.failure(failure, identity)
        return b"event: error\ndata: " + dumps({"type": "error", **body}) + b"\n\n"


class ResponsesCounting(NeverStreams, OpenAIErrors):
    """``/v1/responses/input_tokens``."""

    name = "openai"

    def __init__(self, kept: KeptResponses) -> None:
        self._kept = kept

    def read_call(self, fields: Fields, request: Request, models: Models) -> Call:
        return read_count(fields, models, self._kept)

    def whole(self, call: Call, answers: list[Answer], identity: Identity) -> JsonObject:
        assert isinstance(call, CountCall)
        return {"object": "response.input_tokens", "input_tokens": call.counted_tokens}


class ResponsesCompacting(NeverStreams, OpenAIErrors):
    """``/v1/responses/compact``."""

    name = "openai"

    def __init__(self, kept: KeptResponses) -> None:
        self._kept = kept

    def read_call(self, fields: Fields, request: Request, models: Models) -> Call:
        return read_compaction(fields, models, self._kept)

    def whole(self, call: Call, answers: list[Answer], identity: Identity) -> JsonObject:
        assert isinstance(call, CompactionCall)
        return compacted(call, identity)
