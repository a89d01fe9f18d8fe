"""Why an answer ended: between ``stop_reason`` and the canonical reasons."""

from __future__ import annotations

from forebay.protocol.canonical.events import FinishReason
from forebay.protocol.jsontext import JsonObject

_READ: dict[str, FinishReason] = {
    "end_turn": FinishReason.END,
    "max_tokens": FinishReason.LENGTH,
    "stop_sequence": FinishReason.STOP_SEQUENCE,
    "tool_use": FinishReason.TOOL_CALLS,
    "pause_turn": FinishReason.PAUSE,
    "refusal": FinishReason.REFUSAL,
    "model_context_window_exceeded": FinishReason.CONTEXT_FULL,
    # Compatible servers let the words of the engine behind them through.
    "stop": FinishReason.END,
    "eos": FinishReason.END,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.REFUSAL,
    "sensitive": FinishReason.REFUSAL,
}

_FAILED = frozenset({"error", "abort", "network_error"})

_SPOKEN: dict[FinishReason, str] = {
    FinishReason.END: "end_turn",
    FinishReason.STOP_SEQUENCE: "stop_sequence",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.CONTEXT_FULL: "model_context_window_exceeded",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.REFUSAL: "refusal",
    FinishReason.PAUSE: "pause_turn",
}


def read_stop_reason(reason: str, *, has_calls: bool) -> FinishReason | None:
    """The canonical reason; None for those that say that the answer failed.

    Calls in the answer outweigh a plain end: some servers say ``end_turn`` with calls. A reason
    that is not known here (a newer one) ended an answer that is whole, so it reads as an end.
    """
    if reason in _FAILED:
        return None
    finish = _READ.get(reason, FinishReason.END)
    return FinishReason.TOOL_CALLS if finish is FinishReason.END and has_calls else finish


def unknown_stop_reason(reason: str) -> JsonObject:
    """A reason that only this dialect's own clients could be told, as the raw field that it was."""
    return {"stop_reason": reason} if reason and reason not in _READ else {}


def spoken_stop_reason(
    finish: FinishReason, stop_sequence: str | None, *, has_calls: bool, refused: bool
) -> tuple[str, str | None]:
    """``stop_reason`` and ``stop_sequence`` for a client.

    ``tool_use`` exactly where a call is there to be answered, unless the answer was cut. A stop
    sequence that the upstream did not name reads as a plain end.
    """
    if finish is FinishReason.STOP_SEQUENCE and stop_sequence is None:
        finish = FinishReason.END
    if finish is FinishReason.TOOL_CALLS and not has_calls:
        finish = FinishReason.END
    if finish is FinishReason.END and has_calls:
        finish = FinishReason.TOOL_CALLS
    if finish is FinishReason.END and refused:
        finish = FinishReason.REFUSAL
    return _SPOKEN[finish], stop_sequence if finish is FinishReason.STOP_SEQUENCE else None
