"""What a request's input measures, before any tokenizer."""

from __future__ import annotations

from dataclasses import dataclass

from forebay.protocol.canonical.embeddings import EmbeddingRequest
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
from forebay.protocol.jsontext import dumps

TOKENS_PER_MEDIUM = 1000
"""For one image, sound or document: providers count media by size in pixels or seconds, which
bytes say little about."""


@dataclass(frozen=True, slots=True)
class RequestSize:
    """What there is to read."""

    text_bytes: int
    media: int = 0
    tokens_told: int = 0
    """Input that came as tokens."""

    def tokens(self, tokens_per_byte: float) -> float:
        return self.text_bytes * tokens_per_byte + self.media * TOKENS_PER_MEDIUM + self.tokens_told


def measure(request: ChatRequest) -> RequestSize:
    """The UTF-8 bytes of all text that the model will read, and the number of its media."""
    text_bytes = media = tokens_told = 0
    if request.completion is not None:
        text_bytes += _bytes(request.completion.suffix or "")
        tokens_told += len(request.completion.context)
        tokens_told += sum(len(p) for p in request.completion.prompts if not isinstance(p, str))
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
    if request.output.schema is not None:
        text_bytes += len(dumps(request.output.schema))
    return RequestSize(text_bytes, media, tokens_told)


def measure_inputs(request: EmbeddingRequest) -> RequestSize:
    """The same of what is to be embedded."""
    texts = [each for each in request.inputs if isinstance(each, str)]
    return RequestSize(
        sum(map(_bytes, texts)),
        tokens_told=sum(len(each) for each in request.inputs if not isinstance(each, str)),
    )


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _measure_part(
    part: Text | Image | Audio | Document | Thinking | ToolCall | ToolResult | Refusal | Opaque,
) -> tuple[int, int]:
    match part:
        case Text(text=text) | Refusal(text=text) | Thinking(text=text):
            return _bytes(text), 0
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
