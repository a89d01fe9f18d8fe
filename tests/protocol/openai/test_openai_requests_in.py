"""What clients ask, as the canonical form holds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from forebay.protocol.canonical.requests import (
    TEXT_OUTPUT,
    Audio,
    ChatRequest,
    Document,
    Effort,
    FileSource,
    Image,
    InlineData,
    Opaque,
    OpaqueTool,
    OutputFormat,
    OutputKind,
    Part,
    Reasoning,
    Refusal,
    Role,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
    Turn,
    UrlSource,
)
from forebay.protocol.dialects.openai import OPENAI, OpenAIChatCodec
from forebay.protocol.jsontext import JsonObject, JsonValue, loads_object

_HI: JsonObject = {"role": "user", "content": "Hi"}
_TOOL: JsonObject = {"type": "function", "function": {"name": "f"}}


def _body(**fields: JsonValue) -> JsonObject:
    return {"model": "m", "messages": [_HI], **fields}


def _asked(codec: OpenAIChatCodec, **fields: JsonValue) -> ChatRequest:
    return codec.decode_request(_body(**fields))


def _turns(codec: OpenAIChatCodec, *messages: JsonObject) -> tuple[Turn, ...]:
    return codec.decode_request({"model": "m", "messages": [*messages]}).turns


def _parts(codec: OpenAIChatCodec, *content: JsonValue) -> tuple[Part, ...]:
    [turn] = _turns(codec, {"role": "user", "content": [*content]})
    return turn.parts


def test_the_least_request_has_the_defaults_of_openai_trap_44(codec: OpenAIChatCodec) -> None:
    assert codec.decode_request(_body()) == ChatRequest(
        model="m",
        turns=(Turn(role=Role.USER, parts=(Text("Hi"),)),),
        extras={OPENAI: {}},
    )


def test_every_field_finds_its_place(codec: OpenAIChatCodec) -> None:
    request = _asked(
        codec,
        max_completion_tokens=9,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        min_p=0.1,
        seed=7,
        frequency_penalty=0.1,
        presence_penalty=-0.2,
        repetition_penalty=1.1,
        logit_bias={"50256": -100},
        logprobs=True,
        top_logprobs=3,
        stop=["a", "b"],
        n=2,
        reasoning_effort="low",
        safety_identifier="u1",
        user="u0",
        metadata={"k": "v"},
        service_tier="flex",
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        chat_template_kwargs={"a": 1},
        top_a=0.5,
    )
    assert request.max_output_tokens == 9
    assert request.sampling == Sampling(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        min_p=0.1,
        seed=7,
        frequency_penalty=0.1,
        presence_penalty=-0.2,
        repeat_penalty=1.1,
        logit_bias={"50256": -100},
        logprobs=True,
        top_logprobs=3,
    )
    assert request.stop == ("a", "b")
    assert request.choices == 2
    assert request.reasoning == Reasoning(enabled=True, effort=Effort.LOW)
    assert request.user_id == "u1"
    assert request.metadata == {"k": "v"}
    assert request.service_tier == "flex"
    assert request.stream
    assert request.stream_usage
    assert request.extras[OPENAI] == {
        "safety_identifier": "u1",
        "user": "u0",
        "chat_template_kwargs": {"a": 1},
        "top_a": 0.5,
        "stream_options": {"include_obfuscation": False},
    }


def test_a_single_stop_sequence_and_the_old_limit_are_read(codec: OpenAIChatCodec) -> None:
    request = _asked(codec, stop="x", max_tokens=5)
    assert (request.stop, request.max_output_tokens) == (("x",), 5)


def test_fields_that_are_null_count_as_absent(codec: OpenAIChatCodec) -> None:
    names = [
        "max_tokens",
        "temperature",
        "stop",
        "n",
        "tools",
        "tool_choice",
        "response_format",
        "reasoning_effort",
        "logprobs",
        "stream",
        "stream_options",
        "metadata",
        "user",
        "functions",
        "function_call",
        "logit_bias",
    ]
    request = codec.decode_request({**_body(), **dict.fromkeys(names)})
    assert request.sampling == Sampling()
    assert request.output == TEXT_OUTPUT
    assert not request.tools


# Content


def test_images_come_inline_and_as_links(codec: OpenAIChatCodec) -> None:
    assert _parts(
        codec,
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": "data:IMAGE/JPEG;charset=x;base64,/9j/\r\nAA=="},
    ) == (
        Text("look"),
        Image(source=InlineData(base64="aGk=", media_type="image/png"), detail="low"),
        Image(source=UrlSource("https://example.com/a.png")),
        Image(source=InlineData(base64="/9j/AA==", media_type="image/jpeg")),
    )


def test_audio_and_files_are_read(codec: OpenAIChatCodec) -> None:
    assert _parts(
        codec,
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {
            "type": "file",
            "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"},
        },
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"file_data": "https://example.com/b.pdf"}},
        {"type": "file", "file": {"file_data": "JVBERi0="}},
    ) == (
        Audio(base64="UklGRg==", format="wav"),
        Document(source=InlineData(base64="JVBERi0=", media_type="application/pdf"), title="a.pdf"),
        Document(source=FileSource("file-1")),
        Document(source=UrlSource("https://example.com/b.pdf")),
        Document(source=InlineData(base64="JVBERi0=")),
    )


def test_parts_of_unknown_types_and_unknown_fields_are_kept(codec: OpenAIChatCodec) -> None:
    video: JsonObject = {"type": "video_url", "video_url": {"url": "https://example.com/v"}}
    breakpoint_: JsonObject = {"prompt_cache_breakpoint": {"mode": "explicit"}}
    assert _parts(
        codec,
        video,
        {"type": "text", "text": "x", **breakpoint_},
        {"type": "image_url", "image_url": {"url": "http://x", "fps": 2}, "cache_control": {}},
    ) == (
        Opaque(OPENAI, video),
        Text("x", extras={OPENAI: breakpoint_}),
        Image(
            source=UrlSource("http://x"),
            extras={OPENAI: {"cache_control": {}, "image_url": {"fps": 2}}},
        ),
    )


# Messages


def test_every_role_is_read_with_its_name(codec: OpenAIChatCodec) -> None:
    turns = _turns(
        codec,
        {"role": "system", "content": "s"},
        {"role": "developer", "content": [{"type": "text", "text": "d"}]},
        {"role": "user", "content": "u", "name": "ann", "weight": 1},
        {"role": "assistant", "content": "a"},
    )
    assert turns == (
        Turn(role=Role.SYSTEM, parts=(Text("s"),)),
        Turn(role=Role.DEVELOPER, parts=(Text("d"),)),
        Turn(role=Role.USER, parts=(Text("u"),), name="ann", extras={OPENAI: {"weight": 1}}),
        Turn(role=Role.ASSISTANT, parts=(Text("a"),)),
    )


def test_tool_calls_and_their_results_become_parts(codec: OpenAIChatCodec) -> None:
    custom: JsonObject = {"id": "c3", "type": "custom", "custom": {"name": "sql", "input": "x"}}
    turns = _turns(
        codec,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"b":1, "a":1.0}'},
                },
                {"id": "c2", "function": {"name": "g", "arguments": "not json"}},
                custom,
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "18"},
        {
            "role": "tool",
            "tool_call_id": "c2",
            "name": "g",
            "content": [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}],
        },
        {"role": "user", "content": "and?"},
    )
    assert turns == (
        Turn(
            role=Role.ASSISTANT,
            parts=(
                ToolCall(id="c1", name="f", arguments='{"b":1, "a":1.0}'),
                ToolCall(id="c2", name="g", arguments="not json"),
                Opaque(OPENAI, custom),
            ),
        ),
        Turn(
            role=Role.USER,
            parts=(
                ToolResult(call_id="c1", content=(Text("18"),)),
                ToolResult(call_id="c2", name="g", content=(Text("x"), Text("y"))),
            ),
        ),
        Turn(role=Role.USER, parts=(Text("and?"),)),
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"reasoning": "hm", "reasoning_content": "hm"},
    ],
)
def test_reasoning_of_earlier_answers_is_read_once_and_kept_raw_trap_56(
    codec: OpenAIChatCodec, fields: JsonObject
) -> None:
    [turn] = _turns(codec, {"role": "assistant", "content": "a", **fields})
    assert turn.parts == (Thinking(text="hm"), Text("a"))
    assert turn.extras == {OPENAI: fields}


def test_reasoning_details_are_kept_unmodified_trap_57(codec: OpenAIChatCodec) -> None:
    details: list[JsonValue] = [{"type": "reasoning.encrypted", "data": "x", "index": 0}]
    [turn] = _turns(codec, {"role": "assistant", "content": "a", "reasoning_details": details})
    assert turn.extras[OPENAI]["reasoning_details"] == details


def test_a_refusal_is_a_part_in_either_form(codec: OpenAIChatCodec) -> None:
    in_field, in_content = _turns(
        codec,
        {"role": "assistant", "content": None, "refusal": "no"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    )
    assert in_field.parts == in_content.parts == (Refusal("no"),)


def test_the_form_before_tools_is_read_as_tools(codec: OpenAIChatCodec) -> None:
    request = codec.decode_request(
        {
            "model": "m",
            "messages": [
                _HI,
                {
                    "role": "assistant",
                    "content": None,
                    "function_call": {"name": "f", "arguments": "{}"},
                },
                {"role": "function", "name": "f", "content": "18"},
            ],
            "functions": [{"name": "f", "parameters": {"type": "object"}}],
            "function_call": {"name": "f"},
        }
    )
    assert request.tools == (Tool(name="f", parameters={"type": "object"}),)
    assert request.tool_choice == ToolChoice(ToolChoiceMode.NAMED, "f")
    assert request.turns[1:] == (
        Turn(role=Role.ASSISTANT, parts=(ToolCall(id="", name="f", arguments="{}"),)),
        Turn(role=Role.USER, parts=(ToolResult(call_id="", name="f", content=(Text("18"),)),)),
    )


def test_a_client_that_sends_both_forms_speaks_the_newer(codec: OpenAIChatCodec) -> None:
    request = _asked(codec, tools=[_TOOL], functions=[{"name": "old"}], function_call="auto")
    assert request.tools == (Tool(name="f"),)
    assert request.tool_choice is None
    assert "functions" not in request.extras[OPENAI]


# Tools and output


def test_function_tools_are_read_and_others_kept_raw(codec: OpenAIChatCodec) -> None:
    custom: JsonObject = {"type": "custom", "custom": {"name": "sql"}}
    function: JsonObject = {
        "name": "f",
        "description": "d",
        "parameters": {"type": "object"},
        "strict": True,
        "examples": [],
    }
    tools: list[JsonValue] = [{"type": "function", "function": function}, custom]
    assert _asked(codec, tools=tools).tools == (
        Tool(
            name="f",
            description="d",
            parameters={"type": "object"},
            strict=True,
            extras={OPENAI: {"function": {"examples": []}}},
        ),
        OpaqueTool(OPENAI, custom),
    )


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("none", ToolChoice(ToolChoiceMode.NONE)),
        ("auto", ToolChoice(ToolChoiceMode.AUTO)),
        ("required", ToolChoice(ToolChoiceMode.REQUIRED)),
        (
            {"type": "function", "function": {"name": "f"}},
            ToolChoice(ToolChoiceMode.NAMED, "f"),
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [_TOOL]}},
            ToolChoice(ToolChoiceMode.REQUIRED),
        ),
    ],
)
def test_the_choice_among_tools_is_read(
    codec: OpenAIChatCodec, said: JsonValue, meant: ToolChoice
) -> None:
    assert _asked(codec, tools=[_TOOL], tool_choice=said).tool_choice == meant


def test_the_allowed_tools_stay_raw(codec: OpenAIChatCodec) -> None:
    said: JsonObject = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [_TOOL]},
    }
    request = _asked(codec, tools=[_TOOL], tool_choice=said)
    assert request.extra(OPENAI, "tool_choice") == said


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"type": "text"}, TEXT_OUTPUT),
        ({"type": "json_object"}, OutputFormat(kind=OutputKind.JSON)),
        (
            {"type": "json_object", "schema": {"type": "object"}},
            OutputFormat(kind=OutputKind.JSON_SCHEMA, schema={"type": "object"}),
        ),
        (
            {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {}, "strict": True, "description": "d"},
            },
            OutputFormat(
                kind=OutputKind.JSON_SCHEMA, schema={}, name="n", strict=True, description="d"
            ),
        ),
    ],
)
def test_the_output_format_is_read(
    codec: OpenAIChatCodec, said: JsonObject, meant: OutputFormat
) -> None:
    assert _asked(codec, response_format=said).output == meant


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        ({"reasoning_effort": "none"}, Reasoning(enabled=False, effort=Effort.NONE)),
        ({"reasoning_effort": "max"}, Reasoning(enabled=True, effort=Effort.MAX)),
        ({"reasoning": {"max_tokens": 2000}}, Reasoning(enabled=True, budget_tokens=2000)),
        ({"reasoning": {"enabled": False}}, Reasoning(enabled=False)),
        ({"reasoning": {"effort": "high"}}, Reasoning(enabled=True, effort=Effort.HIGH)),
        ({"thinking": {"type": "disabled"}}, Reasoning(enabled=False)),
    ],
)
def test_reasoning_is_read_in_the_words_of_several_servers(
    codec: OpenAIChatCodec, fields: JsonObject, meant: Reasoning
) -> None:
    reasoning = codec.decode_request({**_body(), **fields}).reasoning
    assert reasoning is not None
    assert (reasoning.enabled, reasoning.effort, reasoning.budget_tokens) == (
        meant.enabled,
        meant.effort,
        meant.budget_tokens,
    )


@pytest.mark.parametrize("fields", [{"reasoning": "x"}, {"reasoning": {}}, {"thinking": {"a": 1}}])
def test_reasoning_in_words_nobody_knows_stays_raw(
    codec: OpenAIChatCodec, fields: JsonObject
) -> None:
    request = codec.decode_request({**_body(), **fields})
    assert request.reasoning is None
    assert request.extras[OPENAI] == fields


@pytest.mark.parametrize(
    "name",
    [
        "chat",
        "chat-image",
        "chat-json-object",
        "chat-json-schema",
        "chat-length",
        "chat-logprobs",
        "chat-n2",
        "chat-stop",
        "chat-stream-usage",
        "chat-tools-auto",
        "chat-tools-named",
        "chat-tools-required",
        "chat-tools-result",
    ],
)
def test_what_a_real_client_sent_is_read_without_loss(
    codec: OpenAIChatCodec, captured_request: Callable[[str], bytes], name: str
) -> None:
    body = loads_object(captured_request(f"llamacpp-0.7.0-b11669/{name}"))
    request = codec.decode_request(body)
    assert request.model == "smollm2"
    assert request.max_output_tokens == body["max_tokens"]
    assert len(request.turns) == len(cast("list[JsonValue]", body["messages"]))
    assert request.extras == {OPENAI: {}}
