"""Requests for upstreams of the Responses API, and of its clients for upstreams of other APIs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Opaque,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from forebay.protocol.dialects.anthropic import AnthropicMessagesCodec
from forebay.protocol.dialects.base import ChatCodec, UpstreamTraits
from forebay.protocol.dialects.ollama import OllamaChatCodec
from forebay.protocol.dialects.openai import OPENAI, OpenAIChatCodec, OpenAIResponsesCodec
from forebay.protocol.jsontext import JsonObject, JsonValue

_CODEC = OpenAIResponsesCodec()
_CHAT = OpenAIChatCodec()
_ANTHROPIC = AnthropicMessagesCodec()
_OLLAMA = OllamaChatCodec()
_OTHERS: list[ChatCodec] = [_CHAT, _ANTHROPIC, _OLLAMA]
_HI: JsonObject = {"role": "user", "content": "Hi"}


def _asked(**fields: JsonValue) -> ChatRequest:
    return _CODEC.decode_request({"model": "m", "input": "Hi", **fields})


def _from_chat(**fields: JsonValue) -> ChatRequest:
    return _CHAT.decode_request({"model": "m", "messages": [_HI], **fields})


def _sent(request: ChatRequest, to: ChatCodec = _CODEC) -> JsonObject:
    return to.encode_request(request, UpstreamTraits()).body


def _dropped(request: ChatRequest, to: ChatCodec = _CODEC) -> set[str]:
    return set(to.encode_request(request, UpstreamTraits()).dropped)


def _refused(request: ChatRequest, to: ChatCodec) -> ApiFailure:
    with pytest.raises(ApiFailure) as caught:
        to.encode_request(request, UpstreamTraits())
    assert caught.value.error.kind is ErrorKind.BAD_REQUEST
    return caught.value


# From other dialects


def test_a_chat_becomes_instructions_and_items() -> None:
    body = _sent(
        _from_chat(
            messages=[
                {"role": "system", "content": "a"},
                {"role": "developer", "content": "b"},
                {"role": "user", "content": [{"type": "text", "text": "c"}]},
                {"role": "assistant", "content": "d"},
                {"role": "system", "content": "e"},
            ]
        )
    )
    assert body == {
        "model": "m",
        "instructions": "a\n\nb",
        "input": [
            {"role": "user", "content": "c"},
            {"role": "assistant", "content": "d"},
            {"role": "system", "content": "e"},
        ],
        "store": False,
    }


def test_calls_and_results_become_items() -> None:
    body = _sent(
        _from_chat(
            messages=[
                _HI,
                {
                    "role": "assistant",
                    "content": "wait",
                    "tool_calls": [
                        {
                            "id": "a",
                            "type": "function",
                            "function": {"name": "f", "arguments": "{}"},
                        },
                        {"id": "b", "type": "function", "function": {"name": "g"}},
                    ],
                },
                {"role": "tool", "tool_call_id": "a", "content": "1"},
                {"role": "tool", "tool_call_id": "b", "content": "2"},
            ],
            tools=[{"type": "function", "function": {"name": "f"}}],
        )
    )
    assert body["input"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "wait"},
        {"type": "function_call", "name": "f", "call_id": "a", "arguments": "{}"},
        {"type": "function_call", "name": "g", "call_id": "b", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "function_call_output", "call_id": "b", "output": "2"},
    ]


def test_functions_of_other_dialects_are_not_strict_trap_34() -> None:
    body = _sent(
        _from_chat(
            tools=[
                {"type": "function", "function": {"name": "f"}},
                {"type": "function", "function": {"name": "g", "strict": True}},
            ],
            tool_choice={"type": "function", "function": {"name": "f"}},
        )
    )
    assert body["tools"] == [
        {
            "type": "function",
            "name": "f",
            "parameters": {"type": "object", "properties": {}},
            "strict": False,
        },
        {
            "type": "function",
            "name": "g",
            "parameters": {"type": "object", "properties": {}},
            "strict": True,
        },
    ]
    assert body["tool_choice"] == {"type": "function", "name": "f"}


def test_a_schema_is_flattened_trap_35() -> None:
    schema: JsonObject = {"type": "object"}
    body = _sent(
        _from_chat(
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": schema, "strict": True},
            }
        )
    )
    assert body["text"] == {
        "format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}
    }


def test_images_and_files_change_their_form() -> None:
    body = _sent(
        _from_chat(
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "a"},
                        {
                            "type": "image_url",
                            "image_url": {"url": "https://example.com/a.png", "detail": "low"},
                        },
                        {"type": "file", "file": {"file_id": "file-1"}},
                    ],
                }
            ]
        )
    )
    [message] = body["input"] if isinstance(body["input"], list) else []
    assert isinstance(message, dict)
    assert message["content"] == [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
        {"type": "input_file", "file_id": "file-1"},
    ]


def test_reasoning_effort_and_limits() -> None:
    body = _sent(
        _from_chat(reasoning_effort="xhigh", max_completion_tokens=99, safety_identifier="u" * 65)
    )
    assert body["reasoning"] == {"effort": "xhigh"}
    assert body["max_output_tokens"] == 99
    assert len(str(body["safety_identifier"])) == 64
    assert _sent(_from_chat(max_tokens=3))["max_output_tokens"] == 16


def test_what_only_tunes_is_dropped_and_told() -> None:
    request = _from_chat(seed=1, logit_bias={"1": 1}, presence_penalty=1, top_k=3)
    assert {"seed", "logit_bias", "presence_penalty", "top_k"} <= _dropped(request)


@pytest.mark.parametrize(
    ("fields", "param"), [({"n": 2}, "n"), ({"stop": ["x"]}, "stop")], ids=["n", "stop"]
)
def test_what_would_change_the_meaning_is_refused(fields: JsonObject, param: str) -> None:
    assert _refused(_from_chat(**fields), _CODEC).error.param == param


def test_long_call_ids_fit_and_stay_apart_trap_23() -> None:
    ids = ["x" * 70 + end for end in "ab"]
    turns = (
        Turn(
            role=Role.ASSISTANT,
            parts=tuple(ToolCall(id=one, name="f", arguments="{}") for one in ids),
        ),
        Turn(
            role=Role.USER,
            parts=tuple(ToolResult(call_id=one, content=(Text("r"),)) for one in ids),
        ),
    )
    items = _sent(ChatRequest(model="m", turns=turns))["input"]
    assert isinstance(items, list)
    sent = [item["call_id"] for item in items if isinstance(item, dict)]
    assert sent[:2] == sent[2:]
    assert len(set(sent)) == 2
    assert all(len(str(one)) <= 64 for one in sent)


def test_failed_results_say_so_in_words() -> None:
    parts = (ToolResult(call_id="a", content=(Text("no"),), is_error=True),)
    items = _sent(ChatRequest(model="m", turns=(Turn(role=Role.USER, parts=parts),)))["input"]
    assert items == [{"type": "function_call_output", "call_id": "a", "output": "Error: no"}]


def test_thinking_of_other_providers_is_not_sent() -> None:
    turn = Turn(role=Role.ASSISTANT, parts=(Thinking(text="hm", signature="sig"), Text("a")))
    items = _sent(ChatRequest(model="m", turns=(turn,)))["input"]
    assert items == [{"role": "assistant", "content": "a"}]


def test_parts_and_tools_of_other_dialects_are_refused_by_name() -> None:
    part = Opaque(OPENAI, {"type": "video_url"})
    request = ChatRequest(model="m", turns=(Turn(role=Role.USER, parts=(part,)),))
    assert "video_url" in _refused(request, _CODEC).error.message
    custom: JsonObject = {"type": "custom", "custom": {"name": "sql"}}
    refusal = _refused(_from_chat(tools=[custom]), _CODEC).error
    assert refusal.param == "tools"
    assert "custom" in refusal.message


def test_misfit_names_of_tools_get_stand_ins() -> None:
    asked = _ANTHROPIC.decode_request(
        {
            "model": "m",
            "max_tokens": 99,
            "messages": [_HI],
            "tools": [{"name": "git/log", "input_schema": {"type": "object"}}],
        }
    )
    tools = _sent(asked)["tools"]
    assert isinstance(tools, list)
    [tool] = tools
    assert isinstance(tool, dict)
    assert str(tool["name"]).startswith("git_log_")


# From this API to others


def test_a_conversation_goes_to_a_chat_upstream() -> None:
    body = _sent(
        _asked(
            instructions="Be brief.",
            input=[
                {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
                {"type": "message", "role": "assistant", "content": "wait"},
                {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
                {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "a", "output": "1"},
                {"type": "function_call_output", "call_id": "b", "output": "2"},
            ],
            tools=[{"type": "function", "name": "f", "parameters": {"type": "object"}}],
            tool_choice={"type": "function", "name": "f"},
            max_output_tokens=9,
            text={"format": {"type": "json_object"}},
        ),
        to=_CHAT,
    )
    assert body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": "wait",
                "tool_calls": [
                    {
                        "id": "a",
                        "type": "function",
                        "function": {"name": "f", "arguments": "{}"},
                    },
                    {
                        "id": "b",
                        "type": "function",
                        "function": {"name": "f", "arguments": "{}"},
                    },
                ],
            },
            {"role": "tool", "tool_call_id": "a", "content": "1"},
            {"role": "tool", "tool_call_id": "b", "content": "2"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "max_tokens": 9,
        "response_format": {"type": "json_object"},
    }


def test_an_images_link_becomes_an_object_for_chat_trap_48() -> None:
    body = _sent(
        _asked(
            input=[
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "input_image",
                            "image_url": "https://example.com/a.png",
                            "detail": "high",
                        }
                    ],
                }
            ]
        ),
        to=_CHAT,
    )
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {
                    "type": "image_url",
                    "image_url": {"url": "https://example.com/a.png", "detail": "high"},
                }
            ],
        }
    ]


def test_only_a_developer_message_is_served_by_anthropic() -> None:
    body = _sent(_asked(input=[{"role": "developer", "content": "Say hi."}]), to=_ANTHROPIC)
    assert body["system"] == [{"type": "text", "text": "Say hi."}]
    assert body["messages"]


def test_effort_reaches_other_dialects_trap_59() -> None:
    asked = _asked(reasoning={"effort": "xhigh"})
    assert _sent(asked, to=_CHAT)["reasoning_effort"] == "high"
    config = _sent(asked, to=_ANTHROPIC)["output_config"]
    assert isinstance(config, dict)
    assert config["effort"] == "xhigh"


def test_custom_and_namespaced_tools_are_functions_elsewhere() -> None:
    asked = _asked(
        input=[
            {"role": "user", "content": "Hi"},
            {"type": "custom_tool_call", "call_id": "a", "name": "patch", "input": "x"},
            {"type": "custom_tool_call_output", "call_id": "a", "output": "done"},
        ],
        tools=[
            {"type": "custom", "name": "patch"},
            {
                "type": "namespace",
                "name": "git",
                "description": "",
                "tools": [{"type": "function", "name": "log"}],
            },
        ],
    )
    body = _sent(asked, to=_ANTHROPIC)
    tools = body["tools"]
    assert isinstance(tools, list)
    assert [tool["name"] for tool in tools if isinstance(tool, dict)] == ["patch", "git__log"]
    messages = body["messages"]
    assert isinstance(messages, list)
    assert messages[1] == {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "a", "name": "patch", "input": {"input": "x"}}],
    }


@pytest.mark.parametrize("other", _OTHERS, ids=lambda codec: str(codec.api))
def test_tools_of_the_provider_are_refused_by_name_elsewhere(other: ChatCodec) -> None:
    refusal = _refused(_asked(tools=[{"type": "web_search"}]), other).error
    assert refusal.param == "tools"
    assert "web_search" in refusal.message


@pytest.mark.parametrize("other", _OTHERS, ids=lambda codec: str(codec.api))
def test_items_of_the_provider_are_refused_by_name_elsewhere(other: ChatCodec) -> None:
    asked = _asked(input=[_HI, {"type": "local_shell_call", "call_id": "a", "id": "x"}])
    assert "local_shell_call" in _refused(asked, other).error.message


@pytest.mark.parametrize("other", _OTHERS, ids=lambda codec: str(codec.api))
@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id", "previous_response_not_found"),
        ({"conversation": "conv_1"}, "conversation", "unsupported_parameter"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt", "unsupported_parameter"),
        ({"background": True}, "background", "unsupported_parameter"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input", "item_not_found"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_only_a_keeping_server_can_serve_is_refused_trap_46(
    other: ChatCodec, fields: JsonObject, param: str, code: str
) -> None:
    error = _refused(_asked(**fields), other).error
    assert (error.param, error.code) == (param, code)


@pytest.mark.parametrize("other", _OTHERS, ids=lambda codec: str(codec.api))
def test_what_the_gateway_keeps_itself_is_no_reason_to_refuse(other: ChatCodec) -> None:
    asked = _asked(previous_response_id="resp_1", background=True)
    assert asked.state is not None
    served = replace(asked, state=replace(asked.state, kept_here=True))
    assert _sent(served, to=other)


@pytest.mark.parametrize("other", _OTHERS, ids=lambda codec: str(codec.api))
def test_only_what_was_lost_is_told(other: ChatCodec) -> None:
    harmless = _asked(
        store=False,
        truncation="disabled",
        user="u",
        include=["reasoning.encrypted_content"],
        top_logprobs=0,
        stream_options={"include_obfuscation": False},
    )
    assert not _dropped(harmless, other) - {"user", "user_id", "name"}
    asked = _asked(truncation="auto", prompt_cache_key="k", text={"verbosity": "low"})
    assert {"truncation", "prompt_cache_key", "text"} <= _dropped(asked, other)


# Back to this API


def test_everything_goes_to_an_upstream_of_this_api_as_it_came() -> None:
    body: JsonObject = {
        "model": "m",
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"type": "item_reference", "id": "msg_1"},
        ],
        "previous_response_id": "resp_1",
        "prompt": {"id": "pmpt_1"},
        "background": True,
        "store": True,
        "tools": [{"type": "web_search"}],
        "tool_choice": {"type": "web_search"},
        "top_logprobs": 2,
        "text": {"verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["message.output_text.logprobs"],
        "chat_template_kwargs": {"a": 1},
    }
    encoded = _CODEC.encode_request(_CODEC.decode_request(body), UpstreamTraits())
    assert encoded.body == body
    assert encoded.dropped == ()


def test_what_the_gateway_keeps_is_not_told_to_an_upstream_of_this_api() -> None:
    asked = _asked(previous_response_id="resp_1", background=True, store=True)
    assert asked.state is not None
    served = replace(asked, state=replace(asked.state, kept_here=True))
    assert _sent(served) == {
        "model": "m",
        "input": [{"role": "user", "content": "Hi"}],
        "store": False,
    }
    assert not _CODEC.can_relay(served)
    assert _CODEC.can_relay(asked)


def test_ids_that_a_gateway_made_are_left_out() -> None:
    items: list[JsonValue] = [
        _HI,
        {
            "type": "message",
            "id": "msg_fb0123abcd_0",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "a", "annotations": []}],
        },
        {
            "type": "function_call",
            "id": "fc_fb0123abcd_1",
            "call_id": "a",
            "name": "f",
            "arguments": "{}",
        },
        {"type": "function_call", "id": "fc_9", "call_id": "b", "name": "f", "arguments": "{}"},
    ]
    sent = _sent(_asked(input=items))["input"]
    assert isinstance(sent, list)
    assert ["id" in item for item in sent if isinstance(item, dict)] == [False, False, False, True]
