"""What the models of imitated providers answer: a fixed sentence, calls of all tools, or vectors.

Each function takes the JSON of a request and gives the answer in one API, whole or as a stream.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable

from imitation import Imitated

SENTENCE = "Hello there, friend."
ARGUMENTS = {"city": "Oslo"}
VECTORS = ((0.5, -1.0, 0.25), (1.0, 2.0, -4.0))
PROMPT_TOKENS, OUTPUT_TOKENS = 11, 7

Json = dict[str, object]


def whole(body: object, status: int = 200, **headers: str) -> Imitated:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Imitated(json.dumps(body).encode(), status=status, headers=named)


def _pieces() -> list[str]:
    return [SENTENCE[:6], SENTENCE[6:]]


def _tools(request: Json) -> list[str]:
    """The names of the tools of a request in any API; what was called already is not called
    again."""
    messages = request.get("messages") or request.get("input")
    assert messages
    if "tool_result" in json.dumps(messages) or '"role": "tool"' in json.dumps(messages):
        return []
    tools = request.get("tools") or []
    assert isinstance(tools, list)
    return [tool.get("function", tool)["name"] for tool in tools]


def _sse(frames: Iterable[object], *, comment: bytes) -> Imitated:
    written = [comment] if comment else []
    written += [b"data: %b\n\n" % json.dumps(frame).encode() for frame in frames]
    written.append(b"data: [DONE]\n\n")
    return Imitated(tuple(written), content_type="text/event-stream")


def openai_chat(
    request: Json,
    *,
    finish: str = "stop",
    comment: bytes = b"",
    extras: Json | None = None,
    usage_unasked: bool = False,
    has_id: bool = True,
) -> Imitated:
    """
    Args:
        finish: how the provider spells the reason of a plain end.
        comment: sent before a stream.
        extras: more fields of whole answers and chunks.
        usage_unasked: the last chunk tells the usage though nobody asked for it.
    """
    names = _tools(request)
    calls: list[Json] = [
        {
            "id": f"call_{at}",
            "index": at,
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(ARGUMENTS)},
        }
        for at, name in enumerate(names)
    ]
    reason = "tool_calls" if calls else finish
    usage = {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": PROMPT_TOKENS + OUTPUT_TOKENS,
    }
    head: Json = {"created": 1_790_000_000, "model": request["model"], **(extras or {})}
    if has_id:
        head["id"] = "chatcmpl-1"
    if not request.get("stream"):
        message: Json = {"role": "assistant", "content": None if calls else SENTENCE}
        if calls:
            message["tool_calls"] = calls
        choice: Json = {"index": 0, "message": message, "finish_reason": reason}
        return whole({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    deltas += [{"tool_calls": [call]} for call in calls]
    deltas += [] if calls else [{"content": piece} for piece in _pieces()]
    head["object"] = "chat.completion.chunk"
    frames: list[Json] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    frames.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    options = request.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage"):
        frames.append({**head, "choices": [], "usage": usage})
    elif usage_unasked:
        frames[-1]["usage"] = usage
    return _sse(frames, comment=comment)


def anthropic_messages(request: Json) -> Imitated:
    blocks: list[Json] = [
        {"type": "tool_use", "id": f"toolu_{at}", "name": name, "input": ARGUMENTS}
        for at, name in enumerate(_tools(request))
    ] or [{"type": "text", "text": SENTENCE}]
    reason = "tool_use" if blocks[0]["type"] == "tool_use" else "end_turn"
    usage = {"input_tokens": PROMPT_TOKENS, "output_tokens": OUTPUT_TOKENS}
    message: Json = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "stop_sequence": None,
        "usage": usage,
    }
    if not request.get("stream"):
        return whole({**message, "content": blocks, "stop_reason": reason})
    events: list[Json] = [
        {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}}
    ]
    for index, block in enumerate(blocks):
        is_call = block["type"] == "tool_use"
        start: Json = {**block, "input": {}} if is_call else {"type": "text", "text": ""}
        deltas: list[Json] = (
            [{"type": "input_json_delta", "partial_json": json.dumps(ARGUMENTS)}]
            if is_call
            else [{"type": "text_delta", "text": piece} for piece in _pieces()]
        )
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
        events.append({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": reason, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": ending, "usage": usage})
    events.append({"type": "message_stop"})
    return _named_events(events)


def openai_responses(request: Json) -> Imitated:
    calls: list[Json] = [
        {
            "type": "function_call",
            "id": f"fc_{at}",
            "call_id": f"call_{at}",
            "name": name,
            "arguments": json.dumps(ARGUMENTS),
            "status": "completed",
        }
        for at, name in enumerate(_tools(request))
    ]
    text: Json = {"type": "output_text", "text": SENTENCE, "annotations": []}
    message: Json = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [text],
    }
    response: Json = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_790_000_000,
        "model": request["model"],
        "status": "completed",
        "output": calls or [message],
        "usage": {
            "input_tokens": PROMPT_TOKENS,
            "output_tokens": OUTPUT_TOKENS,
            "total_tokens": PROMPT_TOKENS + OUTPUT_TOKENS,
        },
    }
    return _streamed_response(response, message) if request.get("stream") else whole(response)


def _streamed_response(response: Json, message: Json) -> Imitated:
    """Only what a message takes: tools are asked for in whole answers."""
    part: Json = {"type": "output_text", "text": "", "annotations": []}
    place: Json = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    item = {**message, "status": "in_progress", "content": []}
    full = {**part, "text": SENTENCE}
    events: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **place, "part": part},
        *({"type": "response.output_text.delta", **place, "delta": each} for each in _pieces()),
        {"type": "response.output_text.done", **place, "text": SENTENCE},
        {"type": "response.content_part.done", **place, "part": full},
        {"type": "response.output_item.done", "output_index": 0, "item": message},
        {"type": "response.completed", "response": response},
    ]
    return _named_events({**event, "sequence_number": at} for at, event in enumerate(events))


def _named_events(events: Iterable[Json]) -> Imitated:
    frames = (
        b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), json.dumps(event).encode())
        for event in events
    )
    return Imitated(tuple(frames), content_type="text/event-stream")


def ollama_chat(request: Json) -> Imitated:
    calls = [{"function": {"name": name, "arguments": ARGUMENTS}} for name in _tools(request)]
    head: Json = {"model": request["model"], "created_at": "2026-11-22T10:00:00Z"}
    end: Json = {
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": PROMPT_TOKENS,
        "eval_count": OUTPUT_TOKENS,
    }
    said: list[Json] = (
        [{"role": "assistant", "content": "", "tool_calls": calls}]
        if calls
        else [{"role": "assistant", "content": piece} for piece in _pieces()]
    )
    if request.get("stream") is False:
        content = "" if calls else SENTENCE
        return whole({**head, "message": {**said[0], "content": content}, **end})
    lines: list[Json] = [{**head, "message": message, "done": False} for message in said]
    lines.append({**head, "message": {"role": "assistant", "content": ""}, **end})
    return Imitated(
        tuple(json.dumps(line).encode() + b"\n" for line in lines),
        content_type="application/x-ndjson",
    )


def openai_embeddings(request: Json, *, knows_base64: bool = True) -> Imitated:
    inputs = request["input"]
    count = len(inputs) if isinstance(inputs, list) else 1
    vectors: list[object] = [list(vector) for vector in VECTORS[:count]]
    if request.get("encoding_format") == "base64" and knows_base64:
        vectors = [
            base64.b64encode(struct.pack("<3f", *vector)).decode() for vector in VECTORS[:count]
        ]
    data = [
        {"object": "embedding", "index": at, "embedding": vector}
        for at, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    return whole({"object": "list", "data": data, "model": request["model"], "usage": usage})


def ollama_embed(request: Json) -> Imitated:
    inputs = request["input"]
    count = len(inputs) if isinstance(inputs, list) else 1
    vectors = [list(vector) for vector in VECTORS[:count]]
    return whole({"model": request["model"], "embeddings": vectors, "prompt_eval_count": 5})
