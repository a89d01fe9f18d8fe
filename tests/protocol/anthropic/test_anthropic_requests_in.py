"""Requests of Anthropic clients, read."""

from __future__ import annotations

import pytest

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.requests import (
    Document,
    Effort,
    FileSource,
    Image,
    InlineData,
    Opaque,
    OpaqueTool,
    OutputKind,
    Reasoning,
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
from forebay.protocol.dialects.anthropic import (
    ANTHROPIC,
    AnthropicMessagesCodec,
)
from forebay.protocol.jsontext import JsonObject, JsonValue


def body(**fields: JsonValue) -> JsonObject:
    return {
        "model": "claude",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hi"}],
        **fields,
    }


def user(*blocks: JsonValue) -> JsonObject:
    return body(messages=[{"role": "user", "content": list(blocks)}])


def assistant(*blocks: JsonValue) -> JsonObject:
    return body(messages=[{"role": "assistant", "content": list(blocks)}])


def test_the_smallest_request(codec: AnthropicMessagesCodec) -> None:
    request = codec.decode_request(body())
    assert request.model == "claude"
    assert request.max_output_tokens == 100
    assert request.turns == (Turn(role=Role.USER, parts=(Text("Hi"),)),)
    assert request.stream is False
    assert request.extras == {ANTHROPIC: {}}


def test_every_setting_finds_its_place(codec: AnthropicMessagesCodec) -> None:
    request = codec.decode_request(
        body(
            stream=True,
            temperature=0.5,
            top_p=0.9,
            top_k=7,
            stop_sequences=["END", "\n\n"],
            metadata={"user_id": "u1", "team": "red"},
            service_tier="standard_only",
            container="c1",
            output_config={
                "effort": "high",
                "format": {"type": "json_schema", "schema": {"type": "object"}},
                "task_budget": {"total": 5},
            },
        )
    )
    assert request.stream
    assert request.stream_usage
    assert request.sampling == Sampling(temperature=0.5, top_p=0.9, top_k=7)
    assert request.stop == ("END", "\n\n")
    assert request.user_id == "u1"
    assert request.service_tier == "standard_only"
    assert request.output.kind is OutputKind.JSON_SCHEMA
    assert request.output.schema == {"type": "object"}
    assert request.reasoning == Reasoning(effort=Effort.HIGH, extras={ANTHROPIC: {}})
    assert request.extras == {
        ANTHROPIC: {
            "container": "c1",
            "metadata": {"team": "red"},
            "output_config": {"task_budget": {"total": 5}},
        }
    }


def test_the_old_output_format_is_still_read(codec: AnthropicMessagesCodec) -> None:
    schema: JsonObject = {"type": "object", "properties": {}}
    request = codec.decode_request(body(output_format={"type": "json_schema", "schema": schema}))
    assert request.output.schema == schema
    assert request.extras == {ANTHROPIC: {}}


@pytest.mark.parametrize(
    ("system", "parts"),
    [
        ("Be brief.", (Text("Be brief."),)),
        (
            [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}],
            (Text("a", extras={ANTHROPIC: {"cache_control": {"type": "ephemeral"}}}),),
        ),
    ],
)
def test_system_becomes_the_leading_turn(
    codec: AnthropicMessagesCodec, system: JsonValue, parts: tuple[Text, ...]
) -> None:
    turns = codec.decode_request(body(system=system)).turns
    assert turns[0] == Turn(role=Role.SYSTEM, parts=parts)
    assert turns[1].role is Role.USER


@pytest.mark.parametrize("system", ["", [], None])
def test_an_empty_system_is_no_turn(codec: AnthropicMessagesCodec, system: JsonValue) -> None:
    assert len(codec.decode_request(body(system=system)).turns) == 1


def test_a_system_message_in_the_midst_stays_there(codec: AnthropicMessagesCodec) -> None:
    request = codec.decode_request(
        body(
            messages=[
                {"role": "user", "content": "Hi"},
                {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
            ]
        )
    )
    assert [turn.role for turn in request.turns] == [Role.USER, Role.SYSTEM]
    assert request.turns[1].text == "Be kind."


def test_images_and_documents(codec: AnthropicMessagesCodec) -> None:
    source: JsonObject = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    pdf: JsonObject = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    turn = codec.decode_request(
        user(
            {"type": "image", "source": source, "transformations": {"oversized_image": "error"}},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            {"type": "image", "source": {"type": "file", "file_id": "f1"}},
            {"type": "document", "source": pdf, "title": "T", "citations": {"enabled": True}},
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "abc"},
            },
        )
    ).turns[0]
    assert turn.parts == (
        Image(
            source=InlineData(base64="aGk=", media_type="image/png"),
            extras={ANTHROPIC: {"transformations": {"oversized_image": "error"}}},
        ),
        Image(source=UrlSource("https://example.com/a.png")),
        Image(source=FileSource("f1"), extras={ANTHROPIC: {}}),
        Document(
            source=InlineData(base64="JVBERi0=", media_type="application/pdf"),
            title="T",
            extras={ANTHROPIC: {"citations": {"enabled": True}}},
        ),
        Document(source=Text("abc")),
    )


def test_thinking_keeps_what_only_anthropic_can_check(codec: AnthropicMessagesCodec) -> None:
    turn = codec.decode_request(
        assistant(
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "b3BhcXVl"},
            {"type": "thinking", "thinking": "Of another model.", "signature": ""},
        )
    ).turns[0]
    assert turn.parts == (
        Thinking(text="Hm.", signature="c2ln", extras={ANTHROPIC: {}}),
        Thinking(text="", redacted="b3BhcXVl", extras={ANTHROPIC: {}}),
        Thinking(text="Of another model.", extras={ANTHROPIC: {}}),
    )


def test_tool_calls_and_results(codec: AnthropicMessagesCodec) -> None:
    turns = codec.decode_request(
        body(
            messages=[
                {
                    "role": "assistant",
                    "content": [
                        {"type": "tool_use", "id": "t1", "name": "f", "input": {"b": 1, "a": "ü"}},
                        {"type": "tool_use", "id": "t2", "name": "g"},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "t1", "content": "18C"},
                        {
                            "type": "tool_result",
                            "tool_use_id": "t2",
                            "is_error": True,
                            "content": [{"type": "text", "text": "no"}],
                            "cache_control": {"type": "ephemeral"},
                        },
                        {"type": "tool_result", "tool_use_id": "t3"},
                    ],
                },
            ]
        )
    ).turns
    assert turns[0].parts == (
        ToolCall(id="t1", name="f", arguments='{"b":1,"a":"ü"}'),
        ToolCall(id="t2", name="g", arguments="{}"),
    )
    assert turns[1].parts == (
        ToolResult(call_id="t1", content=(Text("18C"),)),
        ToolResult(
            call_id="t2",
            content=(Text("no"),),
            is_error=True,
            extras={ANTHROPIC: {"cache_control": {"type": "ephemeral"}}},
        ),
        ToolResult(call_id="t3", content=()),
    )


def test_a_search_result_inside_a_tool_result_is_text_to_others_and_raw_to_anthropic(
    codec: AnthropicMessagesCodec,
) -> None:
    content: list[JsonValue] = [
        {
            "type": "search_result",
            "title": "Rain",
            "source": "https://example.com",
            "content": [{"type": "text", "text": "It rains."}],
        }
    ]
    turn = codec.decode_request(
        user({"type": "tool_result", "tool_use_id": "t1", "content": content})
    ).turns[0]
    assert turn.parts == (
        ToolResult(
            call_id="t1",
            content=(Text("Rain\nhttps://example.com\nIt rains."),),
            extras={ANTHROPIC: {"content": content}},
        ),
    )


def test_blocks_of_server_tools_stay_raw(codec: AnthropicMessagesCodec) -> None:
    block: JsonObject = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}
    assert codec.decode_request(assistant(block)).turns[0].parts == (Opaque(ANTHROPIC, block),)


def test_tools_of_the_client_and_of_the_server(codec: AnthropicMessagesCodec) -> None:
    search: JsonObject = {"type": "web_search_20260318", "name": "web_search", "max_uses": 2}
    request = codec.decode_request(
        body(
            tools=[
                {
                    "type": "custom",
                    "name": "f",
                    "description": "d",
                    "input_schema": {"type": "object"},
                    "strict": True,
                },
                search,
            ]
        )
    )
    assert request.tools == (
        Tool(
            name="f",
            description="d",
            parameters={"type": "object"},
            strict=True,
            extras={ANTHROPIC: {"type": "custom"}},
        ),
        OpaqueTool(ANTHROPIC, search),
    )


@pytest.mark.parametrize(
    ("said", "choice", "parallel"),
    [
        ({"type": "auto"}, ToolChoice(ToolChoiceMode.AUTO), None),
        (
            {"type": "any", "disable_parallel_tool_use": True},
            ToolChoice(ToolChoiceMode.REQUIRED),
            False,
        ),
        (
            {"type": "tool", "name": "f", "disable_parallel_tool_use": False},
            ToolChoice(ToolChoiceMode.NAMED, "f"),
            True,
        ),
        ({"type": "none"}, ToolChoice(ToolChoiceMode.NONE), None),
    ],
)
def test_tool_choice(
    codec: AnthropicMessagesCodec, said: JsonObject, choice: ToolChoice, parallel: bool | None
) -> None:
    request = codec.decode_request(body(tool_choice=said))
    assert request.tool_choice == choice
    assert request.parallel_tool_calls is parallel


@pytest.mark.parametrize(
    ("said", "reasoning"),
    [
        (
            {"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
            Reasoning(enabled=True, budget_tokens=2000, extras={ANTHROPIC: {"display": "omitted"}}),
        ),
        ({"type": "adaptive"}, Reasoning(enabled=True, adaptive=True, extras={ANTHROPIC: {}})),
        ({"type": "disabled"}, Reasoning(enabled=False, extras={ANTHROPIC: {}})),
        (
            {"type": "between_tools"},
            Reasoning(extras={ANTHROPIC: {"type": "between_tools"}}),
        ),
    ],
)
def test_thinking_settings(
    codec: AnthropicMessagesCodec, said: JsonObject, reasoning: Reasoning
) -> None:
    assert codec.decode_request(body(thinking=said)).reasoning == reasoning


def test_max_tokens_of_zero_warms_the_cache(codec: AnthropicMessagesCodec) -> None:
    assert codec.decode_request(body(max_tokens=0)).max_output_tokens == 0


@pytest.mark.parametrize(
    ("faulty", "param"),
    [
        ({"max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}, "model"),
        ({"model": "m", "messages": [{"role": "user", "content": "x"}]}, "max_tokens"),
        ({"model": "m", "max_tokens": 1}, "messages"),
        (body(messages=[]), "messages"),
        (body(messages={}), "messages"),
        (body(messages=["x"]), "messages[0]"),
        (body(messages=[{"content": "x"}]), "messages[0].role"),
        (body(messages=[{"role": "tool", "content": "x"}]), "messages[0].role"),
        (body(messages=[{"role": "user"}]), "messages[0].content"),
        (body(messages=[{"role": "user", "content": 5}]), "messages[0].content"),
        (user("x"), "messages[0].content[0]"),
        (user({"text": "x"}), "messages[0].content[0].type"),
        (user({"type": "text"}), "messages[0].content[0].text"),
        (user({"type": "text", "text": None}), "messages[0].content[0].text"),
        (user({"type": "image"}), "messages[0].content[0].source"),
        (
            user({"type": "image", "source": {"type": "ftp"}}),
            "messages[0].content[0].source.type",
        ),
        (
            user({"type": "image", "source": {"type": "text", "data": "x"}}),
            "messages[0].content[0].source.type",
        ),
        (
            user({"type": "image", "source": {"type": "base64", "data": "data:image/png;x"}}),
            "messages[0].content[0].source.data",
        ),
        (
            user({"type": "image", "source": {"type": "url", "url": "file:///etc/x"}}),
            "messages[0].content[0].source.url",
        ),
        (
            user({"type": "document", "source": {"type": "ftp"}}),
            "messages[0].content[0].source.type",
        ),
        (user({"type": "tool_use", "id": "a", "name": "f", "input": {}}), "messages[0].content[0]"),
        (assistant({"type": "tool_result", "tool_use_id": "a"}), "messages[0].content[0]"),
        (assistant({"type": "tool_use", "name": "f"}), "messages[0].content[0].id"),
        (
            assistant({"type": "tool_use", "id": "a", "name": "f", "input": "{}"}),
            "messages[0].content[0].input",
        ),
        (user({"type": "tool_result"}), "messages[0].content[0].tool_use_id"),
        (body(max_tokens="9"), "max_tokens"),
        (body(max_tokens=-1), "max_tokens"),
        (body(max_tokens=1.5), "max_tokens"),
        (body(temperature="0"), "temperature"),
        (body(top_k=1.5), "top_k"),
        (body(stream="yes"), "stream"),
        (body(system=5), "system"),
        (body(system=[{"type": "text"}]), "system[0].text"),
        (body(stop_sequences="x"), "stop_sequences"),
        (body(stop_sequences=[5]), "stop_sequences[0]"),
        (body(tools=[{"name": "f"}]), "tools[0].input_schema"),
        (body(tools=[{"input_schema": {}}]), "tools[0].name"),
        (body(tool_choice="auto"), "tool_choice"),
        (body(tool_choice={"type": "required"}), "tool_choice.type"),
        (body(tool_choice={"type": "tool"}), "tool_choice.name"),
        (body(thinking={"type": "enabled"}), "thinking.budget_tokens"),
        (body(thinking={}), "thinking.type"),
        (body(output_config={"effort": "huge"}), "output_config.effort"),
        (body(output_config={"format": {"type": "xml"}}), "output_config.format.type"),
        (body(output_config={"format": {"type": "json_schema"}}), "output_config.format.schema"),
        (body(metadata={"user_id": 5}), "metadata.user_id"),
    ],
)
def test_a_faulty_field_is_named(
    codec: AnthropicMessagesCodec, faulty: JsonObject, param: str
) -> None:
    with pytest.raises(ApiFailure) as caught:
        codec.decode_request(faulty)
    error = caught.value.error
    assert error.kind is ErrorKind.BAD_REQUEST
    assert error.param == param
    assert param in error.message


def test_arguments_nested_beyond_writing_are_refused(codec: AnthropicMessagesCodec) -> None:
    nested: JsonObject = {}
    for _ in range(300):
        nested = {"a": nested}
    with pytest.raises(ApiFailure, match="can't be read") as caught:
        codec.decode_request(
            assistant({"type": "tool_use", "id": "a", "name": "f", "input": nested})
        )
    assert caught.value.error.param == "messages[0].content[0].input"
