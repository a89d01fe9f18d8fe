"""What waits: a request, whose it is, what it may cost and until when it may wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from forebay.actors.scheduling.flows import FlowKey, TrafficClass
from forebay.protocol.canonical.requests import (
    Audio,
    ChatRequest,
    Document,
    Image,
    InlineData,
    Opaque,
    OpaqueTool,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from forebay.protocol.dialects.base import ChatCodec
from forebay.protocol.jsontext import dumps

_MEDIA_TOKENS = 1000
"""For one image, sound or document: providers count media by size in pixels or seconds, which
bytes say little about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The holder of a gateway key."""

    name: str
    weight: float = 1.0
    traffic_class: TrafficClass = TrafficClass.INTERACTIVE
    models: frozenset[str] | None = None
    """The models it may use; None: all."""

    @property
    def flow_key(self) -> FlowKey:
        return FlowKey(self.name, self.traffic_class)


ANONYMOUS = Client(name="anonymous")
"""Everybody, where no keys are asked."""


class QueryField(NamedTuple):
    """One field of a request's query, decoded."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request on its way to an answer."""

    codec: ChatCodec | None
    """Of the API that the client speaks; None where it takes canonical events."""
    request: ChatRequest
    raw_body: bytes | None = None
    """The request as it came, for upstreams of the same API; None where there are no bytes."""
    client: Client = ANONYMOUS
    arrived_at: float
    """On trio's clock: when the head of the request was here."""
    deadline: float
    """On trio's clock: when waiting ends."""
    forwarded_headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case: what a provider of the same API may want to see."""
    forwarded_query: tuple[QueryField, ...] = ()
    """The same of the request's query, without what is the gateway's own."""


@dataclass(frozen=True, slots=True)
class RequestSize:
    """What a request's input measures, before any tokenizer."""

    text_bytes: int
    media: int

    def tokens(self, tokens_per_byte: float) -> float:
        return self.text_bytes * tokens_per_byte + self.media * _MEDIA_TOKENS


def measure(request: ChatRequest) -> RequestSize:
    """The UTF-8 bytes of all text that the model will read, and the number of its media."""
    text_bytes = media = 0
    for turn in request.turns:
        for part in turn.parts:
            part_bytes, part_media = _measure_part(part)
            text_bytes += part_bytes
            media += part_media
    for tool in request.tools:
        if isinstance(tool, OpaqueTool):
            text_bytes += len(dumps(tool.raw))
        else:
            text_bytes += len(tool.name) + len(tool.description or "")
            text_bytes += len(dumps(tool.parameters))
    return RequestSize(text_bytes, media)


def _measure_part(
    part: Text | Image | Audio | Document | Thinking | ToolCall | ToolResult | Refusal | Opaque,
) -> tuple[int, int]:
    match part:
        case Text(text=text) | Refusal(text=text) | Thinking(text=text):
            return len(text.encode("utf-8", "surrogatepass")), 0
        case ToolCall():
            return len(part.name) + len(part.arguments), 0
        case ToolResult():
            measured = [_measure_part(inner) for inner in part.content]
            return sum(size for size, _ in measured), sum(count for _, count in measured)
        case Document(source=Text(text=text)):
            return len(text), 0
        case Document(source=InlineData(base64=data)):
            return len(data) // 8, 1
        case Image() | Audio() | Document():
            return 0, 1
        case Opaque():
            return len(dumps(part.raw)), 0
