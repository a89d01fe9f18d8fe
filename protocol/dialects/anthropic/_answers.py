"""Whole answers, read from an upstream and written for a client."""

from __future__ import annotations

from typing import assert_never

from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.events import AnswerPart, ChatResponse, FinishReason
from forebay.protocol.canonical.requests import Opaque, Refusal, Text, Thinking, ToolCall
from forebay.protocol.dialects.anthropic._errors import read_error
from forebay.protocol.dialects.anthropic._names import ANTHROPIC, kept, marked, raw_fields
from forebay.protocol.dialects.anthropic._stop_reasons import (
    read_stop_reason,
    spoken_stop_reason,
    unknown_stop_reason,
)
from forebay.protocol.dialects.anthropic._tool_input import arguments_of, input_of
from forebay.protocol.dialects.anthropic._usage import USAGE_FIELDS, read_usage, usage_object
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.fields import rest_of
from forebay.protocol.dialects.tool_ids import issued_id
from forebay.protocol.jsontext import InvalidJson, JsonObject, JsonValue, is_writable

_ID_PREFIX = "msg_"

ANSWER_FIELDS = frozenset(
    {
        "id",
        "type",
        "role",
        "model",
        "content",
        "stop_reason",
        "stop_sequence",
        "usage",
    }
)


def broken_answer(message: str) -> ApiFailure:
    return ApiFailure(ApiError(kind=ErrorKind.UPSTREAM_ERROR, message=message))


def message_id(upstream_id: str, context: ReplyContext) -> str:
    """The upstream's own id where it has this dialect's shape, else the gateway's."""
    if upstream_id.startswith(_ID_PREFIX):
        return upstream_id
    return _ID_PREFIX + context.response_id


def string_in(obj: JsonObject, name: str) -> str:
    """A string of an upstream's object, "" where it is anything else."""
    value = obj.get(name)
    return value if isinstance(value, str) else ""


def decode_response(body: JsonObject) -> ChatResponse:
    """Read an upstream's answer; see :meth:`ChatCodec.decode_response`.

    A missing ``stop_reason`` reads as an end (the answer is whole), missing usage as None.
    """
    content = body.get("content")
    if not isinstance(content, list):
        if "error" in body:
            raise ApiFailure(read_error(body, None).error)
        raise broken_answer("the upstream's answer has no 'content'")
    parts = tuple(_part(block) for block in content)
    stop_sequence = body.get("stop_sequence")
    usage = body.get("usage")
    extras = {
        **rest_of(body, ANSWER_FIELDS),
        **unknown_stop_reason(string_in(body, "stop_reason")),
    }
    if isinstance(usage, dict) and (rest := rest_of(usage, USAGE_FIELDS)):
        extras["usage"] = rest
    return ChatResponse(
        id=string_in(body, "id"),
        model=string_in(body, "model"),
        created=0,
        parts=parts,
        finish=_finish(body, parts),
        stop_sequence=stop_sequence if isinstance(stop_sequence, str) else None,
        usage=read_usage(usage),
        extras={ANTHROPIC: extras} if extras else {},
    )


def _part(block: JsonValue) -> AnswerPart:
    if not isinstance(block, dict):
        raise broken_answer("the upstream's answer has a content block that is no object")
    match block.get("type"):
        case "text":
            return Text(string_in(block, "text"), extras=kept(block, ("type", "text")))
        case "thinking":
            return Thinking(
                text=string_in(block, "thinking"),
                signature=string_in(block, "signature") or None,
                extras=marked(block, ("type", "thinking", "signature")),
            )
        case "redacted_thinking":
            return Thinking(
                text="",
                redacted=string_in(block, "data"),
                extras=marked(block, ("type", "data")),
            )
        case "tool_use":
            return _tool_call(block)
        case _ if is_writable(block):
            return Opaque(ANTHROPIC, block)
        case _:
            raise broken_answer("the upstream's answer has a block that is nested too deeply")


def _tool_call(block: JsonObject) -> ToolCall:
    try:
        # Some servers leave out `input` where there are no arguments.
        arguments = arguments_of(block.get("input") or {})
    except InvalidJson:
        raise broken_answer("the upstream's answer has arguments nested too deeply") from None
    return ToolCall(
        id=string_in(block, "id"),
        name=string_in(block, "name"),
        arguments=arguments,
        extras=kept(block, ("type", "id", "name", "input")),
    )


def _finish(body: JsonObject, parts: tuple[AnswerPart, ...]) -> FinishReason:
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    reason = string_in(body, "stop_reason")
    finish = read_stop_reason(reason, has_calls=has_calls)
    if finish is None:
        raise broken_answer(f"the upstream broke its answer off: {reason}")
    return finish


def encode_response(response: ChatResponse, context: ReplyContext) -> JsonObject:
    """Write an answer for a client; see :meth:`ChatCodec.encode_response`."""
    content: list[JsonValue] = []
    calls = 0
    for part in response.parts:
        block = _block(part, calls, context)
        calls += isinstance(part, ToolCall)
        if block is not None:
            content.append(block)
    stop_reason, stop_sequence = spoken_stop_reason(
        response.finish,
        response.stop_sequence,
        has_calls=calls > 0,
        refused=any(isinstance(part, Refusal) for part in response.parts),
    )
    raw = dict(raw_fields(response.extras))
    usage_rest = raw.pop("usage", None)
    usage = usage_object(response.usage, context)
    if isinstance(usage_rest, dict):
        usage.update(usage_rest)
    return {
        "id": message_id(response.id, context),
        "type": "message",
        "role": "assistant",
        "model": context.request.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": stop_sequence,
        "usage": usage,
        **raw,
    }


def _block(part: AnswerPart, position: int, context: ReplyContext) -> JsonObject | None:
    """The block that shows ``part``; None where there is nothing that a client could read."""
    match part:
        case Text():
            if not part.text:
                return None
            return {"type": "text", "text": part.text, **raw_fields(part.extras)}
        case Refusal():
            return {"type": "text", "text": part.text} if part.text else None
        case Thinking():
            if part.redacted is not None:
                return {
                    "type": "redacted_thinking",
                    "data": part.redacted,
                    **raw_fields(part.extras),
                }
            if not part.text and not part.signature:
                return None
            return {
                "type": "thinking",
                "thinking": part.text,
                "signature": part.signature or "",
                **raw_fields(part.extras),
            }
        case ToolCall():
            return {
                "type": "tool_use",
                "id": issued_id(part.id, response_id=context.response_id, position=position),
                "name": part.name,
                "input": input_of(part.arguments),
                **raw_fields(part.extras),
            }
        case Opaque():
            return part.raw if part.dialect == ANTHROPIC else None
        case _:
            assert_never(part)
