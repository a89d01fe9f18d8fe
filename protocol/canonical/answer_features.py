"""What an answer can say, one thing at a time; as :mod:`forebay.protocol.canonical.features` has it
of requests."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from itertools import groupby
from typing import TypeAlias

from forebay.protocol.canonical.events import ChatResponse, FinishReason
from forebay.protocol.canonical.requests import Opaque, Refusal, Text, Thinking, ToolCall

AnswerReader: TypeAlias = Callable[[ChatResponse], object]


def _ends_by(reason: FinishReason) -> AnswerReader:
    return lambda answer: answer.finish is reason


def _order(answer: ChatResponse) -> list[str]:
    kinds = (type(part).__name__ for part in answer.parts)
    return [kind for kind, _ in groupby(kinds)]


def _raw_of_text(answer: ChatResponse) -> list[str]:
    return [
        name
        for part in answer.parts
        if isinstance(part, Text)
        for fields in part.extras.values()
        for name, value in fields.items()
        if value and name in ("citations", "annotations", "logprobs")
    ]


class AnswerFeature(Enum):
    """One thing that an answer may say. ``title`` is for people, in Markdown."""

    title: str
    read: AnswerReader

    def __init__(self, title: str, read: AnswerReader) -> None:
        self.title = title
        self.read = read

    TEXT = "text", lambda r: "".join(x.text for x in r.parts if isinstance(x, Text))
    REASONING = "reasoning", lambda r: "".join(x.text for x in r.parts if isinstance(x, Thinking))
    SIGNATURES = (
        "signatures of reasoning, and redacted reasoning",
        lambda r: [x.signature or x.redacted for x in r.parts if isinstance(x, Thinking)],
    )
    CALLS = (
        "calls of tools",
        lambda r: [(x.name, x.arguments) for x in r.parts if isinstance(x, ToolCall)],
    )
    REFUSALS = "a refusal, as such", lambda r: [x.text for x in r.parts if isinstance(x, Refusal)]
    OWN_PARTS = (
        "parts of its own (results of tools that the provider ran)",
        lambda r: [x.raw for x in r.parts if isinstance(x, Opaque)],
    )
    REMARKS = "citations, annotations and log probabilities of a text", _raw_of_text
    ORDER = "what was said before and after a call", _order
    STOP_SEQUENCE = "which stop sequence ended it", lambda r: r.stop_sequence
    CUT_SHORT = "that its limit cut it off", _ends_by(FinishReason.LENGTH)
    CONTEXT_FULL = "that the context was full", _ends_by(FinishReason.CONTEXT_FULL)
    REFUSED = "that it was refused or filtered", _ends_by(FinishReason.REFUSAL)
    PAUSED = "that it paused, and wants to go on", _ends_by(FinishReason.PAUSE)
    CACHE_READ = (
        "how much of the prompt came from a cache",
        lambda r: r.usage is not None and r.usage.cache_read,
    )
    CACHE_WRITE = (
        "how much of the prompt was put into a cache",
        lambda r: r.usage is not None and r.usage.cache_write,
    )
    REASONING_COUNT = (
        "how many tokens were reasoning",
        lambda r: r.usage is not None and r.usage.reasoning,
    )
