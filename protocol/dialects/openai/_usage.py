"""Token counts: OpenAI's ``usage`` object and what compatible servers make of it.

OpenAI counts cached tokens inside the input and reasoning inside the output. Its two APIs say the
same with different words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from forebay.protocol.canonical.events import AnswerPart, Usage
from forebay.protocol.canonical.requests import Opaque, Refusal, Text, Thinking, ToolCall
from forebay.protocol.dialects.fields import rest_of
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai._raw_fields import restored
from forebay.protocol.jsontext import JsonObject, JsonValue

_BYTES_PER_TOKEN = 4
_LARGEST_COUNT = 2**53
"""More is nonsense, and no exact number in every client's JSON."""


@dataclass(frozen=True, slots=True)
class UsageWords:
    """What an API calls its counts."""

    input: str
    output: str


CHAT_WORDS = UsageWords("prompt_tokens", "completion_tokens")
RESPONSES_WORDS = UsageWords("input_tokens", "output_tokens")


def decode_usage(value: JsonValue, words: UsageWords = CHAT_WORDS) -> Usage | None:
    """Read a ``usage`` object; None where it says nothing. Counts that contradict each other are
    made to agree, none is ever negative."""
    if not isinstance(value, dict):
        return None
    prompt, completion, total = (
        _count(value, name) for name in (words.input, words.output, "total_tokens")
    )
    if prompt is None and completion is None and total is None:
        return None
    if prompt is None:
        prompt = max(0, (total or 0) - (completion or 0))
    if completion is None:
        completion = max(0, (total or 0) - prompt)
    details = _details(value, f"{words.input}_details")
    read = _count(details, "cached_tokens")
    if read is None:
        read = _count(value, "prompt_cache_hit_tokens") or 0  # DeepSeek
    read = min(read, prompt)
    write = min(_count(details, "cache_write_tokens") or 0, prompt - read)
    reasoning = _count(_details(value, f"{words.output}_details"), "reasoning_tokens") or 0
    if reasoning and total == prompt + completion + reasoning:
        completion += reasoning  # xAI counts reasoning apart
    return Usage(
        input_uncached=prompt - read - write,
        cache_read=read,
        cache_write=write,
        output=completion,
        reasoning=min(reasoning, completion),
    )


def rest_of_usage(value: JsonValue, words: UsageWords = CHAT_WORDS) -> JsonObject:
    """What a ``usage`` object counts that :func:`decode_usage` has no place for: sound, images,
    predictions, and whatever a server counts of its own."""
    if not isinstance(value, dict):
        return {}
    rest = rest_of(value, ("total_tokens", words.input, words.output))
    for name, known in (
        (f"{words.input}_details", ("cached_tokens", "cache_write_tokens")),
        (f"{words.output}_details", ("reasoning_tokens",)),
    ):
        details = _said(rest_of(_details(rest, name), known))
        rest = {**rest_of(rest, (name,)), **({name: details} if details else {})}
    return _said(rest)


def _said(rest: JsonObject) -> JsonObject:
    return {name: value for name, value in rest.items() if value is not None}


def with_rest_of_usage(encoded: JsonObject, rest: JsonValue) -> JsonObject:
    """A ``usage`` object with what :func:`rest_of_usage` has taken aside."""
    return restored(encoded, {OPENAI: rest}) if isinstance(rest, dict) else encoded


def encode_usage(usage: Usage) -> JsonObject:
    prompt_details: JsonObject = {"cached_tokens": usage.cache_read}
    if usage.cache_write:
        prompt_details["cache_write_tokens"] = usage.cache_write
    return {
        "prompt_tokens": usage.input_total,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def encode_responses_usage(usage: Usage) -> JsonObject:
    """All counts are there, also those that are zero: typed clients want them."""
    return {
        "input_tokens": usage.input_total,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }


def estimated_usage(*, input_tokens: int, output_bytes: int) -> Usage:
    """For an answer whose upstream reported nothing.

    Args:
        input_tokens: As estimated from the request.
        output_bytes: Of everything the model wrote, as UTF-8.
    """
    return Usage(
        input_uncached=max(0, input_tokens),
        output=-(-output_bytes // _BYTES_PER_TOKEN),
        counted=False,
    )


def written_bytes(parts: Iterable[AnswerPart]) -> int:
    """What the model wrote, as UTF-8."""
    written = 0
    for part in parts:
        match part:
            case Text(text=text) | Thinking(text=text) | Refusal(text=text):
                written += len(text.encode("utf-8", "surrogatepass"))
            case ToolCall():
                written += len(part.name.encode("utf-8", "surrogatepass"))
                written += len(part.arguments.encode("utf-8", "surrogatepass"))
            case Opaque():
                pass
    return written


def _details(value: JsonObject, name: str) -> JsonObject:
    details = value.get(name)
    return details if isinstance(details, dict) else {}


def _count(value: JsonObject, name: str) -> int | None:
    count = value.get(name)
    if isinstance(count, bool) or not isinstance(count, int | float):
        return None
    return int(min(max(count, 0), _LARGEST_COUNT))
