"""Bad requests of clients, and which field each is told to mend."""

from __future__ import annotations

import pytest

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.dialects.openai import OpenAIChatCodec
from forebay.protocol.jsontext import JsonObject, JsonValue

_HI: JsonObject = {"role": "user", "content": "Hi"}
_TOOL: JsonObject = {"type": "function", "function": {"name": "f"}}


def _body(**fields: JsonValue) -> JsonObject:
    return {"model": "m", "messages": [_HI], **fields}


def _messages(*messages: JsonValue) -> JsonObject:
    return {"model": "m", "messages": [*messages]}


def _user(*content: JsonValue) -> JsonObject:
    return _messages({"role": "user", "content": [*content]})


def _calls(call: JsonValue) -> JsonObject:
    return _messages({"role": "assistant", "tool_calls": [call]})


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "model"),
        ({"model": "", "messages": [_HI]}, "model"),
        ({"model": 5, "messages": [_HI]}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": None}, "messages"),
        ({"model": "m", "messages": "hi"}, "messages"),
        ({"model": "m", "messages": {"role": "user"}}, "messages"),
        (_messages(), "messages"),
        (_messages("hi"), "messages[0]"),
        (_messages(_HI, {"content": "x"}), "messages[1].role"),
        (_messages({"role": "wizard", "content": "x"}), "messages[0].role"),
        (_messages({"role": ["user"], "content": "x"}), "messages[0].role"),
        (_messages({"role": "user"}), "messages[0].content"),
        (_messages({"role": "user", "content": None}), "messages[0].content"),
        (_messages({"role": "user", "content": 5}), "messages[0].content"),
        (_messages({"role": "user", "content": []}), "messages[0].content"),
        (_messages({"role": "user", "content": "x", "name": 5}), "messages[0].name"),
        (_messages({"role": "assistant"}), "messages[0].content"),
        (_messages({"role": "assistant", "content": None}), "messages[0].content"),
        (_messages({"role": "assistant", "tool_calls": []}), "messages[0].content"),
        (_messages({"role": "tool", "content": "x"}), "messages[0].tool_call_id"),
        (_messages({"role": "tool", "tool_call_id": "c"}), "messages[0].content"),
        (
            _messages({"role": "tool", "tool_call_id": "c", "content": [{"type": "video_url"}]}),
            "messages[0].content[0].type",
        ),
        (_messages({"role": "function", "content": "x"}), "messages[0].name"),
        (_user("x"), "messages[0].content[0]"),
        (_user({"text": "x"}), "messages[0].content[0].type"),
        (_user({"type": "text"}), "messages[0].content[0].text"),
        (_user({"type": "text", "text": 5}), "messages[0].content[0].text"),
        (_user({"type": "image_url"}), "messages[0].content[0].image_url"),
        (_user({"type": "image_url", "image_url": {}}), "messages[0].content[0].image_url.url"),
        (
            _user({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}),
            "messages[0].content[0].image_url.url",
        ),
        (
            _user({"type": "image_url", "image_url": {"url": "data:image/png,x"}}),
            "messages[0].content[0].image_url.url",
        ),
        (_user({"type": "input_audio"}), "messages[0].content[0].input_audio"),
        (
            _user({"type": "input_audio", "input_audio": {"data": "x"}}),
            "messages[0].content[0].input_audio.format",
        ),
        (_user({"type": "file", "file": {}}), "messages[0].content[0].file.file_data"),
        (_calls("x"), "messages[0].tool_calls[0]"),
        (_calls({"function": {"name": "f"}}), "messages[0].tool_calls[0].id"),
        (_calls({"id": "c"}), "messages[0].tool_calls[0].type"),
        (_calls({"id": "c", "type": "function"}), "messages[0].tool_calls[0].function"),
        (_calls({"id": "c", "function": {}}), "messages[0].tool_calls[0].function.name"),
        (
            _calls({"id": "c", "function": {"name": "f", "arguments": {}}}),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (_body(temperature="hot"), "temperature"),
        (_body(temperature=True), "temperature"),
        (_body(max_tokens="many"), "max_tokens"),
        (_body(max_tokens=1.5), "max_tokens"),
        (_body(max_tokens=0), "max_tokens"),
        (_body(max_completion_tokens=-1), "max_completion_tokens"),
        (_body(n=0), "n"),
        (_body(n=129), "n"),
        (_body(stop=5), "stop"),
        (_body(stop=["a", 5]), "stop[1]"),
        (_body(stream="yes"), "stream"),
        (_body(stream_options={"include_usage": True}), "stream_options"),
        (
            _body(stream=True, stream_options={"include_usage": 1}),
            "stream_options.include_usage",
        ),
        (_body(top_logprobs=2), "top_logprobs"),
        (_body(logit_bias={"5": "x"}), "logit_bias.5"),
        (_body(logit_bias={"5": None}), "logit_bias.5"),
        (_body(metadata={"k": 5}), "metadata.k"),
        (_body(reasoning_effort="much"), "reasoning_effort"),
        (_body(response_format="json"), "response_format"),
        (_body(response_format={}), "response_format.type"),
        (_body(response_format={"type": "xml"}), "response_format.type"),
        (_body(response_format={"type": "json_schema"}), "response_format.json_schema"),
        (
            _body(response_format={"type": "json_schema", "json_schema": {"schema": {}}}),
            "response_format.json_schema.name",
        ),
        (
            _body(response_format={"type": "json_schema", "json_schema": {"name": "n"}}),
            "response_format.json_schema.schema",
        ),
        (_body(tools={}), "tools"),
        (_body(tools=["f"]), "tools[0]"),
        (_body(tools=[{}]), "tools[0].type"),
        (_body(tools=[{"type": "function"}]), "tools[0].function"),
        (_body(tools=[{"type": "function", "function": {}}]), "tools[0].function.name"),
        (
            _body(tools=[{"type": "function", "function": {"name": "f", "parameters": "x"}}]),
            "tools[0].function.parameters",
        ),
        (_body(tool_choice="required"), "tool_choice"),
        (_body(tools=[_TOOL], tool_choice="any"), "tool_choice"),
        (_body(tools=[_TOOL], tool_choice=5), "tool_choice"),
        (_body(tools=[_TOOL], tool_choice={"type": "tool"}), "tool_choice.type"),
        (_body(tools=[_TOOL], tool_choice={"type": "function"}), "tool_choice.function"),
        (
            _body(tools=[_TOOL], tool_choice={"type": "function", "function": {"name": "g"}}),
            "tool_choice",
        ),
        (
            _body(
                tools=[_TOOL],
                tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "some"}},
            ),
            "tool_choice.allowed_tools.mode",
        ),
        (_body(functions=[{"name": "f"}], function_call="required"), "function_call"),
        (_body(functions=[{}]), "functions[0].name"),
    ],
)
def test_a_bad_request_is_told_which_field_is_at_fault(
    codec: OpenAIChatCodec, body: JsonObject, param: str
) -> None:
    with pytest.raises(ApiFailure) as failure:
        codec.decode_request(body)
    error = failure.value.error
    assert (error.kind, error.param) == (ErrorKind.BAD_REQUEST, param)
    assert f"'{param}'" in error.message
