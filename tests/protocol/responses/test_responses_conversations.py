"""Conversations that go on from a kept answer."""

from __future__ import annotations

from typing import Protocol

import pytest
from openai.types.responses import ResponseItemList
from pydantic import TypeAdapter

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.events import ChatResponse, FinishReason
from forebay.protocol.canonical.requests import Text, Thinking, ToolCall
from forebay.protocol.dialects.anthropic import ANTHROPIC, AnthropicMessagesCodec
from forebay.protocol.dialects.base import ReplyContext, UpstreamTraits
from forebay.protocol.dialects.openai import OpenAIChatCodec, OpenAIResponsesCodec
from forebay.protocol.dialects.openai.responses import kept_output
from forebay.protocol.dialects.openai.responses.conversations import (
    ItemOrder,
    ItemQuery,
    KeptResponse,
    continued_body,
    continued_input,
    kept_here,
    list_items,
    named_items,
    read_item_query,
)
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps

_CODEC = OpenAIResponsesCodec()


class MakesContext(Protocol):
    def __call__(self, *, asked: JsonObject | None = ..., estimate: int = ...) -> ReplyContext: ...


_OUTPUT: JsonObject = {
    "type": "message",
    "id": "msg_9",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "hello", "annotations": []}],
}
_EARLIER = KeptResponse("resp_1", named_items("Hi", "aa"), (_OUTPUT,))


def _ids(items: object) -> list[object]:
    assert isinstance(items, list | tuple)
    return [item["id"] for item in items]


def test_a_string_is_kept_as_the_message_that_it_is() -> None:
    assert named_items("Hi", "aa") == (
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "Hi"}],
            "id": "msg_fbaai_0",
            "status": "completed",
        },
    )


def test_items_get_a_type_and_an_id_and_keep_what_they_have() -> None:
    items = named_items(
        [
            {"role": "assistant", "content": "a"},
            {"type": "message", "id": "msg_x", "role": "user", "content": []},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "1"},
            {"type": "web_search_call", "id": "ws_1", "status": "failed"},
        ],
        "aa",
    )
    assert _ids(items) == ["msg_fbaai_0", "msg_x", "fc_fbaai_2", "fco_fbaai_3", "ws_1"]
    assert items[0]["content"] == [{"type": "output_text", "text": "a", "annotations": []}]
    assert items[4]["status"] == "failed"


def test_the_full_input_is_what_was_said_before_and_what_is_new() -> None:
    body: JsonObject = {"model": "m", "input": "go on", "previous_response_id": "resp_1"}
    full = continued_input(body, _EARLIER, "bb")
    assert _ids(full) == ["msg_fbaai_0", "msg_9", "msg_fbbbi_0"]
    again = continued_input(
        {"model": "m", "input": "more"}, KeptResponse("resp_2", full, (_OUTPUT,)), "cc"
    )
    assert len(again) == 5
    assert continued_input({"model": "m"}, _EARLIER, "bb") == full[:2]


def test_instructions_are_not_inherited() -> None:
    first: JsonObject = {"model": "m", "instructions": "Be brief.", "input": "Hi"}
    kept = KeptResponse("resp_1", continued_input(first, None, "aa"), (_OUTPUT,))
    second: JsonObject = {"model": "m", "input": "go on", "previous_response_id": "resp_1"}
    body = continued_body(second, continued_input(second, kept, "bb"))
    assert b"brief" not in dumps(body)
    assert "previous_response_id" not in body


def test_a_reference_stands_for_its_item() -> None:
    other: JsonObject = {**_OUTPUT, "id": "msg_8"}
    body: JsonObject = {
        "model": "m",
        "input": [
            {"type": "item_reference", "id": "msg_9"},
            {"type": "item_reference", "id": "msg_8"},
            {"role": "user", "content": "go on"},
        ],
    }
    full = continued_input(body, _EARLIER, "bb", find={"msg_8": other}.get)
    assert _ids(full) == ["msg_fbaai_0", "msg_9", "msg_8", "msg_fbbbi_2"]
    with pytest.raises(ApiFailure) as caught:
        continued_input(body, _EARLIER, "bb")
    error = caught.value.error
    assert (error.kind, error.code) == (ErrorKind.BAD_REQUEST, "item_not_found")
    assert "msg_8" in error.message


@pytest.mark.parametrize("items", [5, [5]])
def test_input_of_another_type_is_refused(items: JsonValue) -> None:
    with pytest.raises(ApiFailure):
        named_items(items, "aa")


def _continued(body: JsonObject, earlier: KeptResponse) -> ReplyContext:
    original = _CODEC.decode_request(body)
    whole = continued_body(body, continued_input(body, earlier, "bb"))
    return ReplyContext(
        request=kept_here(_CODEC.decode_request(whole), original),
        response_id="bb",
        created=1,
        input_tokens_estimate=1,
        elapsed_ns=lambda: 0,
    )


_GO_ON: JsonObject = {"model": "m", "input": "go on", "previous_response_id": "resp_1"}


def test_any_provider_can_serve_what_goes_on() -> None:
    request = _continued(_GO_ON, _EARLIER).request
    body = OpenAIChatCodec().encode_request(request, UpstreamTraits()).body
    assert body["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "go on"},
    ]
    sent = _CODEC.encode_request(request, UpstreamTraits()).body
    assert sent["store"] is False
    assert "previous_response_id" not in sent
    items = sent["input"]
    assert isinstance(items, list)
    assert [item.get("id") for item in items if isinstance(item, dict)] == [None, "msg_9", None]


def test_the_answer_names_what_it_goes_on_from() -> None:
    context = _continued({**_GO_ON, "store": True, "background": True}, _EARLIER)
    answer = ChatResponse(id="", model="m", created=1, parts=(Text("a"),), finish=FinishReason.END)
    response = _CODEC.encode_response(answer, context)
    assert response["previous_response_id"] == "resp_1"
    assert (response["store"], response["background"]) == (True, True)


def test_signed_thinking_is_kept_for_clients_that_never_see_it_trap_54(
    reply_to: MakesContext,
) -> None:
    first = reply_to(asked={})
    answer = ChatResponse(
        id="",
        model="m",
        created=1,
        parts=(
            Thinking(text="", signature="sig", extras={ANTHROPIC: {}}),
            ToolCall(id="a", name="f", arguments="{}"),
        ),
        finish=FinishReason.TOOL_CALLS,
    )
    kept = KeptResponse(
        "resp_1", named_items("Hi", first.response_id), tuple(kept_output(answer, first))
    )
    body: JsonObject = {
        "model": "m",
        "input": [{"type": "function_call_output", "call_id": "a", "output": "1"}],
        "tools": [{"type": "function", "name": "f"}],
        "previous_response_id": "resp_1",
    }
    sent = AnthropicMessagesCodec().encode_request(_continued(body, kept).request, UpstreamTraits())
    messages = sent.body["messages"]
    assert isinstance(messages, list)
    assert messages[1] == {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "", "signature": "sig"},
            {"type": "tool_use", "id": "a", "name": "f", "input": {}},
        ],
    }


# Listing

_LISTED = [{**_OUTPUT, "id": f"msg_{at}"} for at in range(5)]


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        (ItemQuery(), [4, 3, 2, 1, 0], False),
        (ItemQuery(order=ItemOrder.ASCENDING), [0, 1, 2, 3, 4], False),
        (ItemQuery(limit=2), [4, 3], True),
        (ItemQuery(limit=2, after="msg_3"), [2, 1], True),
        (ItemQuery(limit=2, after="msg_2"), [1, 0], False),
        (ItemQuery(order=ItemOrder.ASCENDING, after="msg_3"), [4], False),
        (ItemQuery(after="msg_0"), [], False),
    ],
)
def test_a_page_of_items(query: ItemQuery, ids: list[int], more: bool) -> None:
    page = list_items(_LISTED, query)
    assert _ids(page["data"]) == [f"msg_{at}" for at in ids]
    assert (page["object"], page["has_more"]) == ("list", more)
    if ids:
        assert (page["first_id"], page["last_id"]) == (f"msg_{ids[0]}", f"msg_{ids[-1]}")
        TypeAdapter(ResponseItemList).validate_json(dumps(page), strict=True)


def test_all_kinds_of_kept_items_can_be_listed() -> None:
    items = named_items(
        [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "1"},
            {"type": "custom_tool_call", "call_id": "b", "name": "f", "input": "x"},
            {"type": "custom_tool_call_output", "call_id": "b", "output": "1"},
            {"type": "reasoning", "summary": []},
        ],
        "aa",
    )
    page = list_items(items, ItemQuery())
    listed = TypeAdapter(ResponseItemList).validate_json(dumps(page), strict=True)
    assert len(listed.data) == len(items)


def test_an_unknown_item_to_go_on_after_is_refused() -> None:
    with pytest.raises(ApiFailure) as caught:
        list_items(_LISTED, ItemQuery(after="msg_9"))
    assert caught.value.error.param == "after"


def test_a_query_is_read() -> None:
    assert read_item_query({}) == ItemQuery()
    assert read_item_query({"limit": "3", "order": "asc", "after": "x"}) == ItemQuery(
        limit=3, order=ItemOrder.ASCENDING, after="x"
    )


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"limit": "1" * 5000}, "limit"),
        ({"limit": "000000001" + "0" * 5000}, "limit"),
        ({"order": "up"}, "order"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_wrong_query_names_the_parameter(parameters: dict[str, str], param: str) -> None:
    with pytest.raises(ApiFailure) as caught:
        read_item_query(parameters)
    assert caught.value.error.param == param
