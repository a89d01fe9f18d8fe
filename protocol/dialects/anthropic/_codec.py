"""The Messages API as a codec, and what it shares with the rest of the dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forebay.protocol.canonical.errors import ApiError
from forebay.protocol.canonical.events import ChatResponse
from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.anthropic import (
    _answers,
    _errors,
    _model_lists,
    _model_pages,
    _relaying,
    _request_decoding,
    _request_encoding,
)
from forebay.protocol.dialects.anthropic._losses import ANSWER_LOSSES, LOSSES
from forebay.protocol.dialects.anthropic._names import ANTHROPIC, ANTHROPIC_MESSAGES
from forebay.protocol.dialects.anthropic._prewarming import (
    as_much_as_asked,
    encoder_of_as_much_as_asked,
)
from forebay.protocol.dialects.anthropic._stream_decoder import AnthropicStreamDecoder
from forebay.protocol.dialects.anthropic._stream_encoder import AnthropicStreamEncoder
from forebay.protocol.dialects.base import (
    USUAL_SERVER,
    ChatCodec,
    DialectSpeech,
    EncodedRequest,
    ModelCard,
    ModelPage,
    ReplyContext,
    SpokenError,
    StreamDecoder,
    StreamEncoder,
    UpstreamTraits,
)
from forebay.protocol.dialects.listings import EntryReader, read_entry
from forebay.protocol.dialects.tool_names import encoder_with_given_names, with_given_names
from forebay.protocol.jsontext import JsonObject


class AnthropicMessagesCodec(ChatCodec):
    """``POST /v1/messages``."""

    api = ANTHROPIC_MESSAGES
    path = "/v1/messages"
    losses = LOSSES
    answer_losses = ANSWER_LOSSES
    dialect = ANTHROPIC
    stream_content_type = "text/event-stream; charset=utf-8"

    def decode_request(self, body: JsonObject) -> ChatRequest:
        return _request_decoding.decode_request(body)

    def can_relay(self, request: ChatRequest, traits: UpstreamTraits = USUAL_SERVER) -> bool:
        return _relaying.can_relay(request)

    def encode_request(self, request: ChatRequest, traits: UpstreamTraits) -> EncodedRequest:
        return _request_encoding.encode_request(request, traits)

    def decode_response(self, body: JsonObject) -> ChatResponse:
        return _answers.decode_response(body)

    def encode_response(self, response: ChatResponse, context: ReplyContext) -> JsonObject:
        shown = as_much_as_asked(response, context.request)
        return _answers.encode_response(with_given_names(shown, context.request), context)

    def stream_decoder(self) -> StreamDecoder:
        return AnthropicStreamDecoder()

    def stream_encoder(self, context: ReplyContext) -> StreamEncoder:
        encoder = encoder_of_as_much_as_asked(AnthropicStreamEncoder(context), context.request)
        return encoder_with_given_names(encoder, context.request)


class AnthropicSpeech(DialectSpeech):
    """Errors and model lists."""

    dialect = ANTHROPIC
    path_prefixes: tuple[str, ...] = ("/v1/messages/",)
    marker_header: str | None = "anthropic-version"

    def encode_error(self, error: ApiError, request_id: str) -> SpokenError:
        return _errors.encode_error(error, request_id)

    def decode_error(self, status: int, body: bytes) -> ApiError:
        return _errors.decode_error(status, body)

    def is_own_error(self, body: bytes) -> bool:
        return _errors.is_own_error(body)

    def page_of(self, ids: Sequence[str], query: Mapping[str, str]) -> ModelPage | None:
        return _model_pages.page_of(ids, query)

    def encode_model_list(self, models: Sequence[ModelCard], *, more: bool = False) -> JsonObject:
        return _model_lists.encode_model_list(models, more=more)

    def encode_model(self, model: ModelCard) -> JsonObject:
        return _model_lists.encode_model(model)

    def decode_model_list(
        self, body: bytes, read: EntryReader = read_entry
    ) -> tuple[ListedModel, ...]:
        return _model_lists.decode_model_list(body, read)
