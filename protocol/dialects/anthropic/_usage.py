"""Token counts as this dialect writes them: ``input_tokens`` leaves out what the cache gave."""

from __future__ import annotations

from forebay.protocol.canonical.events import Usage
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.jsontext import JsonObject, JsonValue

USAGE_FIELDS = frozenset(
    {
        "input_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "output_tokens",
        "output_tokens_details",
    }
)


def read_usage(value: JsonValue, before: Usage | None = None) -> Usage | None:
    """The counts of an upstream's ``usage`` object, over those that it reported ``before``.

    The counts of a stream are cumulative: each replaces its earlier value, and one that is left
    out keeps it. None where there is nothing to read: no object, or one without any count.
    """
    if not isinstance(value, dict):
        return before
    details = value.get("output_tokens_details")
    reasoning = _count(details, "thinking_tokens") if isinstance(details, dict) else None
    counts = (
        _count(value, "input_tokens"),
        _count(value, "cache_read_input_tokens"),
        _count(value, "cache_creation_input_tokens"),
        _count(value, "output_tokens"),
        reasoning,
    )
    if all(count is None for count in counts):
        return before
    known = before or Usage()
    uncached, read, written, output, reasoning = counts
    output = known.output if output is None else output
    return Usage(
        input_uncached=known.input_uncached if uncached is None else uncached,
        cache_read=known.cache_read if read is None else read,
        cache_write=known.cache_write if written is None else written,
        output=output,
        reasoning=min(known.reasoning if reasoning is None else reasoning, output),
    )


def usage_object(usage: Usage | None, context: ReplyContext) -> JsonObject:
    """The ``usage`` object for a client. Every count is an integer: SDKs type them so.

    Without a report the input is the gateway's estimate.
    """
    if usage is None:
        usage = Usage(input_uncached=context.input_tokens_estimate, counted=False)
    spoken: JsonObject = {
        "input_tokens": usage.input_uncached,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    }
    if usage.reasoning:
        spoken["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return spoken


def _count(obj: JsonObject, name: str) -> int | None:
    value = obj.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return max(0, int(value))
    except (OverflowError, ValueError):
        return None
