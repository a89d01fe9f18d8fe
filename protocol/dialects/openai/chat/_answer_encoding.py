"""Whole answers to clients."""

from __future__ import annotations

from collections.abc import Iterable

from forebay.protocol.canonical.assembly import summed_extras
from forebay.protocol.canonical.events import AnswerPart, ChatResponse
from forebay.protocol.canonical.requests import Opaque, Refusal, Text, Thinking, ToolCall
from forebay.protocol.dialects.base import ReasoningField, ReplyContext
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai._raw_fields import restored
from forebay.protocol.dialects.openai._usage import (
    encode_usage,
    estimated_usage,
    with_rest_of_usage,
    written_bytes,
)
from forebay.protocol.dialects.openai.chat._answer_decoding import is_call
from forebay.protocol.dialects.openai.chat._finish_reasons import encode_finish
from forebay.protocol.dialects.openai.chat._tools import speaks_functions
from forebay.protocol.dialects.tool_ids import issued_id
from forebay.protocol.jsontext import JsonObject, JsonValue

_ID_PREFIX = "chatcmpl-"


def answer_id(upstream_id: str, context: ReplyContext) -> str:
    """The upstream's id of the answer where it looks like OpenAI's, else our own."""
    if upstream_id.startswith(_ID_PREFIX) and len(upstream_id) > len(_ID_PREFIX):
        return upstream_id
    return _ID_PREFIX + context.response_id


def encode_answer(response: ChatResponse, context: ReplyContext) -> JsonObject:
    legacy = speaks_functions(context.request)
    raw = response.extras.get(OPENAI, {})
    raw_choice, raw_message = _raw_choice(raw, response.parts)
    calls = [
        _encode_call(part, context, position)
        for position, part in enumerate(part for part in response.parts if is_call(part))
    ]
    message = _encode_message(
        response, calls, legacy=legacy, reasoning_field=context.reasoning_field
    )
    message = {**raw_message, **message}
    choice: JsonObject = {
        "index": 0,
        "message": message,
        "logprobs": None,
        **raw_choice,
        "finish_reason": encode_finish(
            response.finish,
            called=bool(calls),
            refused=message["refusal"] is not None,
            legacy=legacy,
        ),
    }
    if response.stop_sequence is not None:
        choice["stop_reason"] = response.stop_sequence  # as vLLM names it
    usage = response.usage or estimated_usage(
        input_tokens=context.input_tokens_estimate, output_bytes=written_bytes(response.parts)
    )
    ours: JsonObject = {
        "id": answer_id(response.id, context),
        "object": "chat.completion",
        "created": response.created or context.created,
        "model": context.request.model,
        "choices": [choice],
        "usage": with_rest_of_usage(encode_usage(usage), raw.get("usage")),
    }
    return {**ours, **{name: value for name, value in raw.items() if name not in ours}}


def _encode_message(
    response: ChatResponse,
    calls: list[JsonObject],
    *,
    legacy: bool,
    reasoning_field: ReasoningField,
) -> JsonObject:
    text, thinking, refusal = (
        "".join(part.text for part in response.parts if isinstance(part, kind))
        for kind in (Text, Thinking, Refusal)
    )
    message: JsonObject = {
        "role": "assistant",
        "content": text if text or not calls else None,
        "refusal": refusal or None,
    }
    if thinking:
        message[reasoning_field.value] = thinking
    functions = [call["function"] for call in calls if "function" in call]
    if legacy and functions:
        message["function_call"] = functions[0]
    elif calls:
        message["tool_calls"] = list[JsonValue](calls)
    return message


def _encode_call(part: AnswerPart, context: ReplyContext, position: int) -> JsonObject:
    if isinstance(part, Opaque):
        return part.raw
    assert isinstance(part, ToolCall)
    call: JsonObject = {
        "id": issued_id(part.id, response_id=context.response_id, position=position),
        "type": "function",
        "function": {
            "name": part.name,
            "arguments": part.arguments if part.arguments.strip() else "{}",
        },
    }
    return restored(call, part.extras)


def _raw_choice(raw: JsonObject, parts: Iterable[AnswerPart]) -> tuple[JsonObject, JsonObject]:
    """What is raw of the choice and of its message: as a whole answer says it, and as it came
    piece by piece in a stream."""
    choices = raw.get("choices")
    said = [{OPENAI: each} for each in objects_of(choices)]
    said += [
        {OPENAI: part.extras.get(OPENAI, {})} for part in parts if isinstance(part, Text | Refusal)
    ]
    choice = dict(summed_extras(said).get(OPENAI, {}))
    message: JsonObject = {}
    for name in ("delta", "message"):
        of_message = choice.pop(name, None)
        if isinstance(of_message, dict):
            message |= of_message
    return choice, message


def objects_of(value: JsonValue) -> list[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
