"""The Response object, from the moment it is begun to its end."""

from __future__ import annotations

from forebay.endpoints.sandbox._call import Answer, Call, Finish, Identity, usage_of
from forebay.endpoints.sandbox._responses_items import encrypt
from forebay.endpoints.sandbox._responses_reading import ResponsesCall
from forebay.protocol.jsontext import JsonObject, JsonValue


def response_id(identity: Identity) -> str:
    return f"resp_{identity.hex}"


def begun_response(call: ResponsesCall, identity: Identity, status: str) -> JsonObject:
    """A response before its first item."""
    return {
        "id": response_id(identity),
        "object": "response",
        "created_at": int(identity.wall),
        "completed_at": None,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": call.model_name,
        "output": [],
        "usage": None,
        **call.echo,
    }


def ended_response(call: ResponsesCall, answer: Answer, identity: Identity) -> JsonObject:
    """A response that has come to its end."""
    cut = answer.finish is Finish.LENGTH
    response = begun_response(call, identity, "incomplete" if cut else "completed")
    if cut:
        response["incomplete_details"] = {"reason": "max_output_tokens"}
    else:
        response["completed_at"] = int(identity.wall)
    response["output"] = _items(call, answer, identity, "incomplete" if cut else "completed")
    response["usage"] = _usage(call, answer)
    return response


def _items(
    call: ResponsesCall, answer: Answer, identity: Identity, last_status: str
) -> list[JsonValue]:
    """The items of an answer; the last one that has a status has ``last_status``."""
    items: list[JsonObject] = []

    def item_id(prefix: str) -> str:
        return f"{prefix}_{identity.hex}{len(items):03d}"

    if answer.thinking:
        items.append(_reasoning(call, answer.thinking, item_id("rs")))
    if answer.text:
        items.append(_message(answer, item_id("msg")))
    for use in answer.tool_uses:
        items.append(
            {
                "id": item_id("fc"),
                "type": "function_call",
                "status": "completed",
                "call_id": f"call_{identity.hex}{len(items):03d}",
                "name": use.name,
                "arguments": use.arguments_text,
            }
        )
    if items and "status" in items[-1]:
        items[-1]["status"] = last_status
    return [*items]


def _reasoning(call: ResponsesCall, thinking: str, item_id: str) -> JsonObject:
    summary: list[JsonValue] = []
    if call.summarizes:
        summary.append({"type": "summary_text", "text": thinking})
    item: JsonObject = {"id": item_id, "type": "reasoning", "summary": summary}
    if call.encrypts:
        item["encrypted_content"] = encrypt(thinking)
    return item


def _message(answer: Answer, item_id: str) -> JsonObject:
    part: JsonObject = {
        "type": "output_text",
        "text": answer.text,
        "annotations": [],
        "logprobs": [],
    }
    if answer.finish is Finish.REFUSAL:
        part = {"type": "refusal", "refusal": answer.text}
    return {
        "id": item_id,
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }


def _usage(call: Call, answer: Answer) -> JsonObject:
    output_tokens, thinking_tokens = usage_of([answer])
    return {
        "input_tokens": call.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": thinking_tokens},
        "total_tokens": call.input_tokens + output_tokens,
    }
