"""Whole answers of upstreams of the Responses API."""

from __future__ import annotations

from typing import Protocol

import pytest

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.events import ChatResponse, FinishReason, Usage
from forebay.protocol.canonical.requests import Opaque, Refusal, Text, Thinking, ToolCall
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai import OpenAIResponsesCodec
from forebay.protocol.jsontext import JsonObject, JsonValue

_CODEC = OpenAIResponsesCodec()


class MakesContext(Protocol):
    def __call__(self, *, asked: JsonObject | None = ..., estimate: int = ...) -> ReplyContext: ...


def _read(*output: JsonValue, **fields: JsonValue) -> ChatResponse:
    body: JsonObject = {
        "id": "resp_1",
        "object": "response",
        "created_at": 7,
        "model": "m",
        "status": "completed",
        "output": list(output),
        **fields,
    }
    return _CODEC.decode_response(body)


_MESSAGE: JsonObject = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [
        {
            "type": "output_text",
            "text": "a",
            "annotations": [
                {
                    "type": "url_citation",
                    "url": "https://example.com",
                    "title": "t",
                    "start_index": 0,
                    "end_index": 1,
                }
            ],
            "logprobs": [],
        },
        {"type": "refusal", "refusal": "no"},
    ],
}
_REASONING: JsonObject = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [
        {"type": "summary_text", "text": "hm"},
        {"type": "summary_text", "text": "so"},
    ],
    "encrypted_content": "gAAAAB",
    "status": "completed",
}
_CALL: JsonObject = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "f",
    "arguments": '{"x":1}',
    "status": "completed",
}
_CUSTOM: JsonObject = {
    "type": "custom_tool_call",
    "id": "ctc_1",
    "status": "completed",
    "call_id": "call_2",
    "name": "patch",
    "input": "x",
}
_SEARCH: JsonObject = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "q"},
}


def test_items_become_parts() -> None:
    answer = _read(_REASONING, _MESSAGE, _CALL, _CUSTOM, _SEARCH)
    reasoning, text, refusal, call, custom, search = answer.parts
    assert isinstance(reasoning, Thinking)
    assert (reasoning.text, reasoning.signature) == ("hm\n\nso", None)
    assert isinstance(text, Text)
    assert text.text == "a"
    assert isinstance(refusal, Refusal)
    assert refusal.text == "no"
    assert isinstance(call, ToolCall)
    assert (call.id, call.name, call.arguments) == ("call_1", "f", '{"x":1}')
    assert isinstance(custom, ToolCall)
    assert (custom.name, custom.arguments) == ("patch", '{"input":"x"}')
    assert isinstance(search, Opaque)
    assert search.raw == _SEARCH
    assert (answer.id, answer.model, answer.created) == ("resp_1", "m", 7)
    assert answer.finish is FinishReason.TOOL_CALLS


def test_a_client_of_this_api_sees_the_items_as_they_were(reply_to: MakesContext) -> None:
    items: list[JsonValue] = [_REASONING, _MESSAGE, _CALL, _CUSTOM, _SEARCH]
    asked: JsonObject = {
        "tools": [{"type": "custom", "name": "patch"}],
        "include": ["reasoning.encrypted_content"],
    }
    response = _CODEC.encode_response(
        _read(*items, service_tier="priority", temperature=1.0), reply_to(asked=asked)
    )
    assert response["output"] == items
    assert (response["service_tier"], response["temperature"]) == ("priority", 1.0)


@pytest.mark.parametrize(
    ("status", "reason", "finish"),
    [
        ("completed", None, FinishReason.END),
        ("incomplete", "max_output_tokens", FinishReason.LENGTH),
        ("incomplete", "content_filter", FinishReason.REFUSAL),
        ("incomplete", None, FinishReason.LENGTH),
        ("queued", None, FinishReason.END),
        (None, None, FinishReason.END),
    ],
)
def test_how_it_ended(status: JsonValue, reason: JsonValue, finish: FinishReason) -> None:
    details: JsonValue = None if reason is None else {"reason": reason}
    text: JsonObject = {"type": "message", "content": [{"type": "output_text", "text": "a"}]}
    assert _read(text, status=status, incomplete_details=details).finish is finish


def test_a_refusal_ends_as_one() -> None:
    refusal: JsonObject = {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}
    assert _read(refusal).finish is FinishReason.REFUSAL


def test_usage_is_taken_apart_trap_61() -> None:
    usage: JsonObject = {
        "input_tokens": 105,
        "input_tokens_details": {"cached_tokens": 90, "cache_write_tokens": 5},
        "output_tokens": 70,
        "output_tokens_details": {"reasoning_tokens": 50},
        "total_tokens": 175,
    }
    assert _read(usage=usage).usage == Usage(
        input_uncached=10, cache_read=90, cache_write=5, output=70, reasoning=50
    )
    assert _read(usage=None).usage is None
    assert _read(usage={"input_tokens": 3, "output_tokens": 4}).usage == Usage(
        input_uncached=3, output=4
    )


def test_open_models_show_what_they_think() -> None:
    item: JsonObject = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "hm"}],
    }
    [thinking] = _read(item).parts
    assert isinstance(thinking, Thinking)
    assert thinking.text == "hm"


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (
            {
                "status": "failed",
                "output": [],
                "error": {"code": "rate_limit_exceeded", "message": "slow"},
            },
            ErrorKind.RATE_LIMITED,
            "slow",
        ),
        ({"status": "failed", "output": []}, ErrorKind.UPSTREAM_ERROR, "failed"),
        ({"error": {"message": "m", "code": 400}}, ErrorKind.BAD_REQUEST, "m"),
        ({"id": "resp_1"}, ErrorKind.UPSTREAM_ERROR, "no output"),
        ({"output": "x"}, ErrorKind.UPSTREAM_ERROR, "no output"),
    ],
)
def test_failures(body: JsonObject, kind: ErrorKind, message: str) -> None:
    with pytest.raises(ApiFailure) as caught:
        _CODEC.decode_response(body)
    assert caught.value.error.kind is kind
    assert message in caught.value.error.message


_JUNK: list[JsonValue] = [None, 5, "x", [], {}, [None], {"type": 5}, {"text": 5}]


@pytest.mark.parametrize("junk", _JUNK, ids=repr)
def test_junk_in_any_place_is_borne(reply_to: MakesContext, junk: JsonValue) -> None:
    items: list[JsonValue] = [junk]
    for item in (_REASONING, _MESSAGE, _CALL, _CUSTOM, _SEARCH):
        items += ({**item, name: junk} for name in item)
    for broken in items:
        answer = _read(broken, broken, usage=junk, created_at=junk, incomplete_details=junk)
        assert _CODEC.encode_response(answer, reply_to(asked={}))["object"] == "response"


def test_an_item_too_deep_to_be_written_is_left_out() -> None:
    nested: JsonValue = None
    for _ in range(252):
        nested = [nested]
    assert _read({**_SEARCH, "action": nested}).parts == ()
