"""What a dialect is made of: the interfaces that each dialect's folder implements.

A *dialect* is a family of wire APIs that share error bodies and model lists (:class:`Dialect`
below, one per family). An *API* is one endpoint of it that asks for an answer (``POST
/v1/chat/completions``), served by one :class:`ChatCodec`, which reads and writes requests,
whole answers and streams, in the role of the server (towards clients) as well as of the client
(towards providers). Codecs are stateless and shared; a stream's state lives in the decoder or
encoder that a codec makes for it. They know nothing of sockets or of providers' names: what an
encoder must know of the server behind is in :class:`UpstreamTraits`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, NewType

from forebay.protocol.canonical.errors import ApiError
from forebay.protocol.canonical.events import ChatResponse, StreamEvent
from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.canonical.requests import ChatRequest, Dialect
from forebay.protocol.dialects.listings import EntryReader, read_entry
from forebay.protocol.jsontext import JsonObject

if TYPE_CHECKING:
    from forebay.protocol.dialects.losses import AnswerLosses, Losses

Api = NewType("Api", str)
"""The name of one API: dialect, dot, operation (``openai.chat``)."""


class ThinkingForm(Enum):
    """How a model that speaks the Messages API takes the wish to think."""

    NONE = auto()
    """Not at all."""
    BUDGET = auto()
    """As a number of tokens (``thinking.type`` enabled)."""
    EFFORT = auto()
    """As an effort: it decides itself how long it thinks (``thinking.type`` adaptive)."""
    EITHER = auto()


class Prefill(StrEnum):
    """How a server is told to go on with a last turn that is the model's own."""

    NONE = "none"
    """It can't: it would answer that turn with another one, or refuse."""
    LAST_TURN = "last_turn"
    """It always does."""
    CONTINUE_FINAL_MESSAGE = "continue_final_message"
    """OpenAI chat: by two fields, ``continue_final_message`` and ``add_generation_prompt`` (vLLM,
    SGLang, llama.cpp)."""
    PREFIX = "prefix"
    """OpenAI chat: by ``prefix`` in the message (Mistral, DeepSeek)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTraits:
    """What a request encoder must know of the server and the model that will read the request."""

    max_output_field: str = "max_tokens"
    """OpenAI chat: the field for the output limit (``max_completion_tokens`` at OpenAI)."""
    developer_role: bool = False
    """OpenAI chat: the server knows the ``developer`` role; else it is sent as ``system``."""
    stream_usage: bool = True
    """OpenAI chat: the server knows ``stream_options.include_usage``."""
    default_max_output_tokens: int = 8192
    """Sent where the dialect requires a limit and the client gave none."""
    most_embedding_inputs: int | None = None
    """How many inputs one request for embeddings may have; None: as many as the API allows."""
    takes_sampling: bool = True
    """The model takes ``temperature`` and its kin; else they are left out."""
    thinking: ThinkingForm = ThinkingForm.EITHER
    takes_zero_temperature: bool = True
    """OpenAI chat: else ``do_sample: false`` says it."""
    known_fields: frozenset[str] | None = None
    """OpenAI chat: the fields of a request that the server knows, where it refuses all others:
    those are left out. None: it bears what it does not know."""
    takes_past_reasoning: bool = True
    """OpenAI chat: a client's messages may bring what the model thought before; else that is left
    out."""
    short_tool_ids: bool = False
    """OpenAI chat: ids of calls are nine letters and digits, and others are refused."""
    keeps_stop_text: bool = False
    """Streams hold the stop sequence that ended them; it is taken out on the way."""
    prefill: Prefill = Prefill.NONE
    """Whether ``ChatRequest.continues`` can be said, and how."""


USUAL_SERVER = UpstreamTraits()


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedRequest:
    """A request in the dialect of an upstream."""

    body: JsonObject
    dropped: tuple[str, ...] = ()
    """Fields of the client's request that the dialect can't say and that only tune."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers that the API itself needs (``anthropic-version``); never credentials."""


class ReasoningField(StrEnum):
    """The name under which clients of OpenAI's chats find what a model thought: OpenAI has none,
    and servers of its API have two. One of them only: who reads both would show it twice."""

    REASONING_CONTENT = "reasoning_content"
    REASONING = "reasoning"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyContext:
    """What an answer's encoder must know of the request that it answers."""

    request: ChatRequest
    response_id: str
    """Hex digits that make the answer's id unique; the encoder adds its dialect's prefix. Used
    where the upstream gave no id in the shape of the client's dialect."""
    created: int
    """Unix seconds."""
    input_tokens_estimate: int
    """Used until (and unless) the upstream reports usage."""
    elapsed_ns: Callable[[], int]
    """Nanoseconds since the request arrived."""
    reasoning_field: ReasoningField = ReasoningField.REASONING_CONTENT


class StreamDecoder(ABC):
    """Reads one upstream stream. Every stream ends with exactly one ``Finish`` or
    ``StreamError``; what comes after is ignored."""

    unreadable: int = 0
    """How many bytes at the end of those that were fed last could not be read, where clients of
    the API skip such bytes, and would take what comes after them for a proper end. None of these
    may be passed on; the ``StreamError`` that :meth:`feed` ended with is said instead."""

    @abstractmethod
    def feed(self, data: bytes) -> list[StreamEvent]:
        """The events that these bytes complete. Never raises on what an upstream may send:
        garbage is a ``StreamError``."""

    @abstractmethod
    def close(self) -> list[StreamEvent]:
        """The stream ended. A stream without its end gives a ``StreamError``."""


class StreamEncoder(ABC):
    """Writes one stream to a client. Only whole frames come out, so that a keep-alive may be
    sent between any two calls."""

    @abstractmethod
    def encode(self, event: StreamEvent) -> bytes:
        """The bytes that say ``event``; may be empty. A ``StreamError`` is spoken as the
        dialect's in-stream error, after which the connection is to be closed without the
        transfer's proper end."""

    @abstractmethod
    def keepalive(self) -> bytes:
        """A frame that says nothing and that every client of the dialect bears here and now,
        also before the first event."""

    def relay(self, raw: bytes) -> bytes:
        """What the client gets of the bytes of an upstream's stream of the same API: these
        unaltered, but where the encoder has said something itself that they would contradict.
        A stream is either encoded or relayed; after relaying only a ``StreamError`` may be
        encoded, and keep-alives may come between any two frames."""
        return raw


class ChatCodec(ABC):
    """One API that asks for an answer."""

    api: Api
    dialect: Dialect
    path: str
    """Where clients post their requests."""
    losses: Losses
    """What of a request the API can't say, and what becomes of it."""
    answer_losses: AnswerLosses
    """What of an answer its clients can't be told."""
    completes_text: bool = False
    """Says ``ChatRequest.completion`` as it is meant. Other codecs ask a plain prompt as what a
    user says, and refuse what is more than that: where a provider speaks several APIs, a request
    to complete text is for one of these."""
    stream_content_type: str
    """Of a streamed answer."""

    @abstractmethod
    def decode_request(self, body: JsonObject) -> ChatRequest:
        """Read a client's request.

        Raises:
            ApiFailure: BAD_REQUEST that names the field at fault and the mend. What the
                dialect's own server accepts is accepted; unknown fields go to ``extras``.
        """

    def reply_without_model(self, request: ChatRequest, context: ReplyContext) -> JsonObject | None:
        """The whole answer to a request that asks for none of a model (Ollama's requests to load
        one into memory); None for all others."""
        return None

    def can_relay(self, request: ChatRequest, traits: UpstreamTraits = USUAL_SERVER) -> bool:
        """Whether the client's own bytes may go as they are to a server of this API. Not where
        they hold something of another provider that such a server refuses, or that this server
        is known to need otherwise."""
        return True

    @abstractmethod
    def encode_request(self, request: ChatRequest, traits: UpstreamTraits) -> EncodedRequest:
        """Write a request for an upstream. ``request.model`` is already the upstream's id.

        Raises:
            ApiFailure: BAD_REQUEST where leaving out what the dialect can't say would change
                the meaning of the request.
        """

    @abstractmethod
    def decode_response(self, body: JsonObject) -> ChatResponse:
        """Read an upstream's whole answer.

        Raises:
            ApiFailure: UPSTREAM_ERROR, the answer is not of this API; or the error that a body
                with status 200 carries.
        """

    @abstractmethod
    def encode_response(self, response: ChatResponse, context: ReplyContext) -> JsonObject:
        """Write a whole answer for a client. ``context.request.model`` is the name that the
        client asked for and sees."""

    @abstractmethod
    def stream_decoder(self) -> StreamDecoder: ...

    @abstractmethod
    def stream_encoder(self, context: ReplyContext) -> StreamEncoder: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenError:
    """An error in a dialect."""

    status: int
    body: JsonObject


@dataclass(frozen=True, slots=True)
class ModelPage:
    """A part of a list of models."""

    start: int
    stop: int
    """Behind its last one."""
    more: bool
    """There are others in the direction in which the page was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One public model, for the lists of each dialect."""

    id: str
    created: int
    """Unix seconds; stable from one listing to the next."""
    owned_by: str
    context_length: int | None = None
    """Tokens; None where nobody said."""
    capabilities: tuple[str, ...] = ("completion", "tools")
    """In Ollama's words: completion, tools, vision, audio, thinking, embedding, insert."""
    max_output_tokens: int | None = None
    deprecated: bool = False
    retires: date | None = None
    """When it goes, or has gone."""


class DialectSpeech(ABC):
    """What the APIs of a dialect share."""

    dialect: Dialect
    path_prefixes: tuple[str, ...] = ()
    """Paths below these are of this dialect, whatever stands there."""
    marker_header: str | None = None
    """A header that all clients of this dialect send and no others; lower case. It tells whose
    request it is on paths that dialects share, and on unknown ones."""
    json_content_type: str = "application/json"
    """Of answers that are one JSON object, errors included."""
    no_body: str = "the request has no body: it must be a JSON object"
    """What clients hear who send none."""

    def answer_headers(self, seconds: float) -> Mapping[str, str]:
        """What servers of this dialect say in the head of every answer.

        Args:
            seconds: that it took.
        """
        return {}

    @abstractmethod
    def encode_error(self, error: ApiError, request_id: str) -> SpokenError:
        """The status and body with which this dialect says ``error``."""

    @abstractmethod
    def decode_error(self, status: int, body: bytes) -> ApiError:
        """Read an upstream's error answer; tolerant of any body. ``message`` is never empty;
        ``code`` holds the upstream's machine-readable code or type where there is one."""

    @abstractmethod
    def is_own_error(self, body: bytes) -> bool:
        """Whether an upstream's error answer has the shape that this dialect's clients read.
        Compatible servers answer in other shapes too; those are not for relaying."""

    def page_of(self, ids: Sequence[str], query: Mapping[str, str]) -> ModelPage | None:
        """The part of a list of models that a request wants; None: all of it.

        Args:
            ids: of the models, in the order of the list.

        Raises:
            ApiFailure: BAD_REQUEST, there is no such part.
        """
        return None

    @abstractmethod
    def encode_model_list(self, models: Sequence[ModelCard], *, more: bool = False) -> JsonObject:
        """
        Args:
            more: they are a page, and others come in the direction in which it was asked for.
        """

    @abstractmethod
    def encode_model(self, model: ModelCard) -> JsonObject:
        """One model by itself, as ``GET /v1/models/{id}`` (Ollama: ``/api/show``) gives it."""

    @abstractmethod
    def decode_model_list(
        self, body: bytes, read: EntryReader = read_entry
    ) -> tuple[ListedModel, ...]:
        """The models of an upstream's listing, each once, in its order.

        Args:
            read: what the upstream's entries tell.

        Raises:
            ApiFailure: UPSTREAM_ERROR, the body is no listing.
        """
