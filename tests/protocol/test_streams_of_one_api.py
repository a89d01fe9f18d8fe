"""A stream that is read and written again in its own API says all that it said, also what no other
API could be told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from feature_samples import base

from forebay.protocol.canonical.assembly import events_of
from forebay.protocol.canonical.events import StreamEvent
from forebay.protocol.dialects.anthropic import ANTHROPIC_MESSAGES
from forebay.protocol.dialects.base import ChatCodec, ReplyContext
from forebay.protocol.dialects.openai import OPENAI_CHAT
from forebay.protocol.dialects.registry import CODECS
from forebay.protocol.framing import SseFramer
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps, loads_object

CHAT, MESSAGES = CODECS[OPENAI_CHAT], CODECS[ANTHROPIC_MESSAGES]
PROBABLE: JsonObject = {
    "content": [{"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}],
    "refusal": None,
}
CITATION: JsonObject = {"type": "char_location", "cited_text": "a", "document_index": 0}
USAGE: JsonObject = {
    "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
    "server_tool_use": {"web_search_requests": 1},
    "service_tier": "standard",
    "inference_geo": "us",
}


def chunk(choice: JsonObject) -> JsonObject:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 5,
        "model": "m",
        "system_fingerprint": "fp_1",
        "service_tier": "default",
        "x_own": {"a": 1},
        "choices": [{"index": 0, "finish_reason": None, **choice}],
    }


CHUNKS = [
    chunk({"delta": {"role": "assistant", "content": ""}}),
    chunk({"delta": {"content": "Hi"}, "logprobs": PROBABLE}),
    chunk({"delta": {"content": " you"}, "logprobs": PROBABLE}),
    chunk({"delta": {}, "finish_reason": "stop"}),
]


def _event(kind: str, **fields: JsonValue) -> JsonObject:
    return {"type": kind, **fields}


def _message(**fields: JsonValue) -> JsonObject:
    usage: JsonObject = {
        "input_tokens": 9,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 0,
        "output_tokens": 1,
        **USAGE,
    }
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
        **fields,
    }


TEXT_BLOCK: JsonObject = {"type": "text", "text": ""}
CALL_BLOCK: JsonObject = {
    "type": "tool_use",
    "id": "toolu_1",
    "name": "f",
    "input": {},
    "caller": {"type": "direct"},
}
ENDING: JsonObject = {
    "stop_reason": "refusal",
    "stop_sequence": None,
    "stop_details": {"type": "refusal", "category": "x", "explanation": "y"},
    "container": {"id": "c", "expires_at": "2026"},
}
EVENTS = [
    _event("message_start", message=_message(diagnostics={"a": 1}, x_own=1)),
    _event("content_block_start", index=0, content_block=TEXT_BLOCK),
    _event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"}),
    _event("content_block_delta", index=0, delta={"type": "citations_delta", "citation": CITATION}),
    _event("content_block_delta", index=0, delta={"type": "text_delta", "text": " you"}),
    _event("content_block_stop", index=0),
    _event("content_block_start", index=1, content_block=CALL_BLOCK),
    _event(
        "content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": "{}"}
    ),
    _event("content_block_stop", index=1),
    _event("message_delta", delta=ENDING, usage={"output_tokens": 5, **USAGE}),
    _event("message_stop"),
]


def read(codec: ChatCodec, frames: list[JsonObject]) -> list[StreamEvent]:
    decoder = codec.stream_decoder()
    wire = b"".join(
        b"event: %b\ndata: %b\n\n" % (str(each.get("type", "")).encode(), dumps(each))
        for each in frames
    )
    end = b"data: [DONE]\n\n" if codec is CHAT else b""
    return [*decoder.feed(wire + end), *decoder.close()]


def written(codec: ChatCodec, events: list[StreamEvent]) -> list[JsonObject]:
    encoder = codec.stream_encoder(
        ReplyContext(
            request=replace(base(codec.losses.own), stream=True),
            response_id="ab" * 14,
            created=1,
            input_tokens_estimate=3,
            elapsed_ns=lambda: 1,
        )
    )
    frames = SseFramer().feed(b"".join(map(encoder.encode, events)))
    return [loads_object(each.data) for each in frames if each.data != b"[DONE]"]


def test_a_chat_keeps_log_probabilities_and_what_its_server_says_of_itself() -> None:
    assert written(CHAT, read(CHAT, CHUNKS)) == CHUNKS


def test_a_message_keeps_citations_details_and_counts() -> None:
    again = written(MESSAGES, read(MESSAGES, EVENTS))
    kinds = [each["type"] for each in again]
    assert kinds == [each["type"] for each in EVENTS]
    # What is only counted at the end is said there; the SDKs merge both.
    start = _message(diagnostics={"a": 1}, x_own=1)
    counts = start["usage"]
    assert isinstance(counts, dict)
    del counts["server_tool_use"]
    assert again[0] == _event("message_start", message=start)
    assert again[1:-2] == EVENTS[1:-2]
    assert again[-2]["delta"] == ENDING
    usage = again[-2]["usage"]
    assert isinstance(usage, dict)
    told = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    assert usage == {
        **{name: counts[name] for name in told},
        "output_tokens": 5,
        "server_tool_use": USAGE["server_tool_use"],
    }


@pytest.mark.parametrize("codec", [CHAT, MESSAGES], ids=lambda codec: codec.api)
def test_what_came_whole_and_goes_out_as_a_stream_keeps_it_too(codec: ChatCodec) -> None:
    if codec is CHAT:
        choice: JsonObject = {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": PROBABLE,
            "message": {"role": "assistant", "content": "Hi", "annotations": [{"a": 1}]},
        }
        whole: JsonObject = {**CHUNKS[0], "object": "chat.completion", "choices": [choice]}
        kept: list[JsonValue] = [PROBABLE, [{"a": 1}], "fp_1", {"a": 1}]
    else:
        text: JsonObject = {"type": "text", "text": "Hi", "citations": [CITATION]}
        whole = {**_message(content=[text]), **ENDING}
        kept = [CITATION, ENDING["stop_details"], ENDING["container"], USAGE["server_tool_use"]]
    frames = written(codec, list(events_of(codec.decode_response(whole))))
    wire = b"".join(map(dumps, frames))
    assert all(dumps(each) in wire for each in kept)
