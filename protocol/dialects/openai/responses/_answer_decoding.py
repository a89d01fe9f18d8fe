"""Whole answers of upstreams."""

from __future__ import annotations

from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.events import ChatResponse
from forebay.protocol.canonical.requests import Extras, Refusal, ToolCall
from forebay.protocol.dialects.fields import rest_of
from forebay.protocol.dialects.openai._error_decoding import decode_error_value, error_inside
from forebay.protocol.dialects.openai._usage import RESPONSES_WORDS, decode_usage, rest_of_usage
from forebay.protocol.dialects.openai.responses._names import kept
from forebay.protocol.dialects.openai.responses._output_items import (
    finish_of,
    incomplete_reason,
    is_known_reason,
    objects_in,
    parts_of,
    said,
    text_in,
)
from forebay.protocol.jsontext import JsonObject, JsonValue, is_writable

_LATEST_SECOND = 2**53
_BODY_FIELDS = frozenset(
    {
        "id",
        "object",
        "created_at",
        "completed_at",
        "model",
        "status",
        "output",
        "usage",
        "error",
        "incomplete_details",
    }
)


def decode_answer(body: JsonObject) -> ChatResponse:
    """The answer that a Response object holds.

    Raises:
        ApiFailure: the error that the body carries; or UPSTREAM_ERROR, it is no such object.
    """
    failure = failure_inside(body)
    if failure is not None:
        raise ApiFailure(failure[0])
    if not isinstance(body.get("output"), list):
        raise broken_answer("it has no output")
    parts = tuple(part for item in objects_in(body, "output") for part in parts_of(item))
    return ChatResponse(
        id=text_in(body, "id"),
        model=text_in(body, "model"),
        created=decode_created(body.get("created_at")),
        parts=parts,
        finish=finish_of(
            body.get("status"),
            incomplete_reason(body),
            called=any(isinstance(part, ToolCall) for part in parts),
            refused=any(isinstance(part, Refusal) for part in parts),
        ),
        usage=decode_usage(body.get("usage"), RESPONSES_WORDS),
        extras=extras_of_response(body),
    )


def extras_of_response(response: JsonObject) -> Extras:
    """What a Response object says that the canonical form has no place for."""
    rest = said(rest_of(response, _BODY_FIELDS))
    if counted := rest_of_usage(response.get("usage"), RESPONSES_WORDS):
        rest["usage"] = counted
    details = response.get("incomplete_details")
    if isinstance(details, dict) and not is_known_reason(details.get("reason")):
        rest["incomplete_details"] = details
    return kept(rest if is_writable(rest) else {})


def failure_inside(response: JsonObject) -> tuple[ApiError, int | None] | None:
    """The error of a response that failed, or of a body that is none; and the HTTP status that it
    would have had."""
    error = error_inside(response)
    if error is not None:
        return error
    status = response.get("status")
    if status in ("failed", "cancelled"):
        message = f"the upstream's answer ended with status '{status}'"
        return decode_error_value({"error": {"message": message, "code": "server_error"}})
    return None


def decode_created(value: JsonValue) -> int:
    """Unix seconds, or 0 where the server did not say."""
    if isinstance(value, int | float) and 0 < value < _LATEST_SECOND:
        return int(value)
    return 0


def broken_answer(why: str) -> ApiFailure:
    return ApiFailure(
        ApiError(
            kind=ErrorKind.UPSTREAM_ERROR,
            message=f"the upstream's answer can't be used: {why}",
        )
    )
