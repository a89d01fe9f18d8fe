"""What a message or a delta of an answer says in words: reasoning, text and refusal.

Servers spell reasoning in two ways and content in three; all of them are read here, for whole
answers and for streams alike.
"""

from __future__ import annotations

from collections.abc import Iterator

from forebay.protocol.canonical.events import PartKind
from forebay.protocol.jsontext import JsonObject, JsonValue

REASONING_FIELDS = ("reasoning_content", "reasoning")
"""In the order of preference. Some servers send the same text under both names."""


def reasoning_text(message: JsonObject) -> str:
    """The reasoning of a message or a delta, or ""."""
    for name in REASONING_FIELDS:
        text = message.get(name)
        if isinstance(text, str) and text:
            return text
    return ""


def spoken(message: JsonObject) -> Iterator[tuple[PartKind, str]]:
    """Kind and text of everything that a message or a delta says; no text is empty."""
    reasoning = reasoning_text(message)
    if reasoning:
        yield PartKind.THINKING, reasoning
    yield from _content(message.get("content"))
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        yield PartKind.REFUSAL, refusal


def _content(content: JsonValue) -> Iterator[tuple[PartKind, str]]:
    if isinstance(content, str):
        if content:
            yield PartKind.TEXT, content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, dict):
                yield from _content_part(part)


def _content_part(part: JsonObject) -> Iterator[tuple[PartKind, str]]:
    match part:
        case {"type": "thinking", "thinking": list(pieces)}:  # Mistral
            for piece in pieces:
                match piece:
                    case {"text": str(text)} if text:
                        yield PartKind.THINKING, text
        case {"type": "thinking", "thinking": str(text)} if text:
            yield PartKind.THINKING, text
        case {"type": "refusal", "refusal": str(text)} if text:
            yield PartKind.REFUSAL, text
        case {"text": str(text)} if text:
            yield PartKind.TEXT, text
