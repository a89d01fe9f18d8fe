"""Why an answer ended, in OpenAI's words and in those of compatible servers."""

from __future__ import annotations

from forebay.protocol.canonical.events import FinishReason
from forebay.protocol.jsontext import JsonValue

_REASONS = {
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.REFUSAL,
    "sensitive": FinishReason.REFUSAL,  # Z.ai
    "model_context_window_exceeded": FinishReason.CONTEXT_FULL,  # Z.ai
}
_FAILURES = frozenset(
    {"error", "abort", "network_error", "insufficient_system_resource", "cancelled"}
)


def is_failure(word: JsonValue) -> bool:
    """Whether this ``finish_reason`` says that the answer broke off."""
    return isinstance(word, str) and word.lower() in _FAILURES


def decode_finish(
    word: JsonValue, *, called: bool, refused: bool, stop_reason: JsonValue
) -> tuple[FinishReason, str | None]:
    """The canonical reason, and the stop sequence where the server names it.

    Calls are told by their presence, not by the server's word: some say ``stop`` with calls,
    OpenAI itself does for a forced function, and some say ``tool_calls`` without any.

    Args:
        word: ``finish_reason``. What is not known here counts as a natural end.
        called: The answer holds tool calls.
        refused: The answer holds a refusal.
        stop_reason: vLLM's extra field: the stop sequence that matched, or a token's number.
    """
    known = _REASONS.get(word.lower()) if isinstance(word, str) else None
    if known is not None:
        return known, None
    if called:
        return FinishReason.TOOL_CALLS, None
    if refused:
        return FinishReason.REFUSAL, None
    if isinstance(stop_reason, str) and stop_reason:
        return FinishReason.STOP_SEQUENCE, stop_reason
    return FinishReason.END, None


def encode_finish(reason: FinishReason, *, called: bool, refused: bool, legacy: bool) -> str:
    """OpenAI's word.

    Args:
        called: The answer holds tool calls.
        refused: The answer holds a refusal in its ``refusal`` field, which ends with ``stop``.
        legacy: The client speaks the form before tools (``functions``).
    """
    match reason:
        case FinishReason.LENGTH | FinishReason.CONTEXT_FULL:
            return "length"
        case FinishReason.REFUSAL:
            return "stop" if refused else "content_filter"
        case FinishReason.PAUSE:
            return "stop"
        case FinishReason.END | FinishReason.STOP_SEQUENCE | FinishReason.TOOL_CALLS:
            if not called:
                return "stop"
            return "function_call" if legacy else "tool_calls"
