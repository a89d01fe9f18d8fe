"""Whole answers to clients."""

from __future__ import annotations

from forebay.protocol.canonical.events import AnswerPart, ChatResponse
from forebay.protocol.canonical.requests import Opaque, Refusal, Text, Thinking, ToolCall
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai._usage import encode_usage, estimated_usage, written_bytes
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
    raw_choice = _first_object(raw.get("choices"))
    raw_message = raw_choice.get("message")
    calls = [
        _encode_call(part, context, position)
        for position, part in enumerate(part for part in response.parts if is_call(part))
    ]
    message = _encode_message(response, calls, legacy=legacy)
    if isinstance(raw_message, dict):
        message = {**raw_message, **message}
    choice: JsonObject = {
        "index": 0,
        "message": message,
        "logprobs": None,
        **{name: value for name, value in raw_choice.items() if name != "message"},
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
        "usage": encode_usage(usage),
    }
    return {**ours, **{name: value for name, value in raw.items() if name not in ours}}


def _encode_message(response: ChatResponse, calls: list[JsonObject], *, legacy: bool) -> JsonObject:
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
        message["reasoning_content"] = thinking
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
    return {
        "id": issued_id(part.id, response_id=context.response_id, position=position),
        "type": "function",
        "function": {
            "name": part.name,
            "arguments": part.arguments if part.arguments.strip() else "{}",
        },
    }


def _first_object(value: JsonValue) -> JsonObject:
    first = value[0] if isinstance(value, list) and value else None
    return first if isinstance(first, dict) else {}
