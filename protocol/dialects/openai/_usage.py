"""Token counts: OpenAI's ``usage`` object and what compatible servers make of it.

OpenAI counts cached tokens inside ``prompt_tokens`` and reasoning inside ``completion_tokens``.
"""

from __future__ import annotations

from forebay.protocol.canonical.events import Usage
from forebay.protocol.jsontext import JsonObject, JsonValue

_BYTES_PER_TOKEN = 4
_LARGEST_COUNT = 2**53
"""More is nonsense, and no exact number in every client's JSON."""


def decode_usage(value: JsonValue) -> Usage | None:
    """Read a ``usage`` object; None where it says nothing. Counts that contradict each other are
    made to agree, none is ever negative."""
    if not isinstance(value, dict):
        return None
    prompt, completion, total = (
        _count(value, name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    if prompt is None and completion is None and total is None:
        return None
    if prompt is None:
        prompt = max(0, (total or 0) - (completion or 0))
    if completion is None:
        completion = max(0, (total or 0) - prompt)
    details = _details(value, "prompt_tokens_details")
    read = _count(details, "cached_tokens")
    if read is None:
        read = _count(value, "prompt_cache_hit_tokens") or 0  # DeepSeek
    read = min(read, prompt)
    write = min(_count(details, "cache_write_tokens") or 0, prompt - read)
    reasoning = _count(_details(value, "completion_tokens_details"), "reasoning_tokens") or 0
    if reasoning and total == prompt + completion + reasoning:
        completion += reasoning  # xAI counts reasoning apart
    return Usage(
        input_uncached=prompt - read - write,
        cache_read=read,
        cache_write=write,
        output=completion,
        reasoning=min(reasoning, completion),
    )


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


def _details(value: JsonObject, name: str) -> JsonObject:
    details = value.get(name)
    return details if isinstance(details, dict) else {}


def _count(value: JsonObject, name: str) -> int | None:
    count = value.get(name)
    if isinstance(count, bool) or not isinstance(count, int | float):
        return None
    return int(min(max(count, 0), _LARGEST_COUNT))
