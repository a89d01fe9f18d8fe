"""``POST /v1/completions``."""

from __future__ import annotations

from collections.abc import Sequence

from forebay.protocol.canonical.events import ChatResponse
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.base import (
    ChatCodec,
    EncodedRequest,
    ReplyContext,
    StreamDecoder,
    StreamEncoder,
    UpstreamTraits,
)
from forebay.protocol.dialects.openai._names import OPENAI, OPENAI_COMPLETIONS
from forebay.protocol.dialects.openai.completions._answers import (
    decode_completion,
    encode_completion,
)
from forebay.protocol.dialects.openai.completions._losses import ANSWER_LOSSES, LOSSES
from forebay.protocol.dialects.openai.completions._request_decoding import decode_request
from forebay.protocol.dialects.openai.completions._request_encoding import encode_request
from forebay.protocol.dialects.openai.completions._splitting import split_completion
from forebay.protocol.dialects.openai.completions._streams import (
    CompletionStreamDecoder,
    CompletionStreamEncoder,
    JoinedCompletionStream,
)
from forebay.protocol.jsontext import JsonObject


class OpenAICompletionsCodec(ChatCodec):
    """The API for text that is to be gone on with.

    One request may ask for several answers, to several prompts and several to each. A server of
    this API gives them all at once; for others the request is split, and the answers joined.
    """

    api = OPENAI_COMPLETIONS
    path = "/v1/completions"
    losses = LOSSES
    answer_losses = ANSWER_LOSSES
    dialect = OPENAI
    completes_text = True
    stream_content_type = "text/event-stream; charset=utf-8"

    def decode_request(self, body: JsonObject) -> ChatRequest:
        return decode_request(body)

    def encode_request(self, request: ChatRequest, traits: UpstreamTraits) -> EncodedRequest:
        return encode_request(request, traits)

    def decode_response(self, body: JsonObject) -> ChatResponse:
        return decode_completion(body)

    def encode_response(self, response: ChatResponse, context: ReplyContext) -> JsonObject:
        return encode_completion([response], context)

    def stream_decoder(self) -> StreamDecoder:
        return CompletionStreamDecoder()

    def stream_encoder(self, context: ReplyContext) -> StreamEncoder:
        return CompletionStreamEncoder(context)

    def split(self, request: ChatRequest) -> list[ChatRequest]:
        """Requests for one answer each; see :func:`split_completion`."""
        return split_completion(request)

    def join(self, responses: Sequence[ChatResponse], context: ReplyContext) -> JsonObject:
        """One whole answer from those to what :meth:`split` made, in the same order.
        ``context.request`` is the client's own."""
        return encode_completion(responses, context)

    def joined_stream(self, context: ReplyContext, count: int) -> JoinedCompletionStream:
        """One stream from those of ``count`` answers to what :meth:`split` made."""
        return JoinedCompletionStream(context, count)
