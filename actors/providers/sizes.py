"""What a request's input measures, before any tokenizer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from forebay.protocol.canonical.embeddings import EmbeddingRequest
from forebay.protocol.canonical.requests import (
    Audio,
    ChatRequest,
    Document,
    Image,
    InlineData,
    Opaque,
    OpaqueTool,
    Part,
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
_MOST_BYTES_PER_TOKEN: Final = 16
"""Of text at its very densest: prose and code have three to five, whatever counts them."""


@dataclass(frozen=True, slots=True)
class RequestSize:
    """What there is to read."""

    text_bytes: int
    media: int = 0
    tokens_told: int = 0
    """Input that came as tokens."""
    guessed_bytes: int = field(default=0, compare=False)
    """Of ``text_bytes``: what the model may read less of, such as the pages of a document, or its
    own thinking of earlier turns."""

    def tokens(self, tokens_per_byte: float) -> float:
        return self.text_bytes * tokens_per_byte + self.media * TOKENS_PER_MEDIUM + self.tokens_told

    @property
    def least_tokens(self) -> int:
        """What it has in tokens at the very least, at any provider. An estimate is another thing:
        what may just fit must not be refused."""
        return (self.text_bytes - self.guessed_bytes) // _MOST_BYTES_PER_TOKEN + self.tokens_told


def measure(request: ChatRequest) -> RequestSize:
    """The UTF-8 bytes of all text that the model will read, and the number of its media."""
    text_bytes = media = tokens_told = guessed = 0
    if request.completion is not None:
        text_bytes += _bytes(request.completion.suffix or "")
        tokens_told += len(request.completion.context)
        tokens_told += sum(len(p) for p in request.completion.prompts if not isinstance(p, str))
    for turn in request.turns:
        for part in turn.parts:
            part_bytes, part_media = _measure_part(part)
            text_bytes += part_bytes
            media += part_media
            if not isinstance(part, Text | ToolCall):
                guessed += _guessed(part, part_bytes)
    for tool in request.tools:
        if isinstance(tool, OpaqueTool):
            raw_bytes = len(dumps(tool.raw))
            text_bytes += raw_bytes
            guessed += raw_bytes
        else:
            text_bytes += len(tool.name) + len(tool.description or "")
            text_bytes += len(dumps(tool.parameters))
    if request.output.schema is not None:
        text_bytes += len(dumps(request.output.schema))
    return RequestSize(text_bytes, media, tokens_told, guessed)


def measure_inputs(request: EmbeddingRequest) -> RequestSize:
    """The same of what is to be embedded."""
    texts = [each for each in request.inputs if isinstance(each, str)]
    return RequestSize(
        sum(map(_bytes, texts)),
        tokens_told=sum(len(each) for each in request.inputs if not isinstance(each, str)),
    )


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _guessed(part: Part, part_bytes: int) -> int:
    """Of the bytes of a part, those that may not all be read."""
    match part:
        case Thinking() | Opaque() | Document():
            return part_bytes
        case ToolResult():
            return sum(_guessed(inner, _measure_part(inner)[0]) for inner in part.content)
        case _:
            return 0


def _measure_part(part: Part) -> tuple[int, int]:
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
