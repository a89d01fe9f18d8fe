"""Requests of clients of the Responses API, read into the canonical form."""

from __future__ import annotations

import pytest

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.requests import (
    Audio,
    ChatRequest,
    Document,
    Effort,
    FileSource,
    Image,
    InlineData,
    Opaque,
    OpaqueTool,
    OutputKind,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
    UrlSource,
)
from forebay.protocol.dialects.openai import OpenAIResponsesCodec
from forebay.protocol.jsontext import JsonObject, JsonValue

_CODEC = OpenAIResponsesCodec()
_MESSAGE: JsonObject = {"role": "user", "content": "Hi"}


def _read(**fields: JsonValue) -> ChatRequest:
    return _CODEC.decode_request({"model": "m", "input": "Hi", **fields})


def _refused(**fields: JsonValue) -> ApiFailure:
    with pytest.raises(ApiFailure) as caught:
        _read(**fields)
    assert caught.value.error.kind is ErrorKind.BAD_REQUEST
    return caught.value


def _bare(part: Part) -> Part:
    """A part without what it remembers of its item."""
    match part:
        case Text(text=text):
            return Text(text)
        case Refusal(text=text):
            return Refusal(text)
        case Thinking():
            return Thinking(text=part.text, signature=part.signature, redacted=part.redacted)
        case ToolCall():
            return ToolCall(id=part.id, name=part.name, arguments=part.arguments)
        case ToolResult():
            return ToolResult(call_id=part.call_id, content=part.content)
        case _:
            return part


def _turns(*items: JsonValue) -> list[tuple[Role, list[Part]]]:
    request = _read(input=list(items))
    return [(turn.role, [_bare(part) for part in turn.parts]) for turn in request.turns]


# The conversation


def test_a_string_is_what_the_user_says() -> None:
    [turn] = _read().turns
    assert (turn.role, turn.parts) == (Role.USER, (Text("Hi"),))


def test_instructions_come_first_and_are_no_item() -> None:
    system, user = _read(instructions="Be brief.").turns
    assert (system.role, system.text) == (Role.SYSTEM, "Be brief.")
    assert user.text == "Hi"


def test_items_without_a_type_are_messages_trap_47() -> None:
    assert _turns(
        {"role": "developer", "content": "a"},
        {"role": "system", "content": [{"type": "input_text", "text": "b"}]},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d"},
    ) == [
        (Role.DEVELOPER, [Text("a")]),
        (Role.SYSTEM, [Text("b")]),
        (Role.USER, [Text("c")]),
        (Role.ASSISTANT, [Text("d")]),
    ]


def test_an_answer_that_comes_back_is_one_turn_with_its_reasoning_and_calls() -> None:
    assert _turns(
        _MESSAGE,
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "let me see", "annotations": []},
                {"type": "refusal", "refusal": "or not"},
            ],
        },
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": '{"x":1}'},
        {"type": "function_call", "call_id": "b", "name": "g", "arguments": ""},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {
            "type": "function_call_output",
            "call_id": "b",
            "output": [
                {"type": "input_text", "text": "2"},
                {"type": "input_image", "image_url": "https://example.com/a.png"},
            ],
        },
        {"role": "user", "content": "go on"},
    ) == [
        (Role.USER, [Text("Hi")]),
        (
            Role.ASSISTANT,
            [
                Thinking(text="hm"),
                Text("let me see"),
                Refusal("or not"),
                ToolCall(id="a", name="f", arguments='{"x":1}'),
                ToolCall(id="b", name="g", arguments=""),
            ],
        ),
        (
            Role.USER,
            [
                ToolResult(call_id="a", content=(Text("1"),)),
                ToolResult(
                    call_id="b",
                    content=(Text("2"), Image(source=UrlSource("https://example.com/a.png"))),
                ),
            ],
        ),
        (Role.USER, [Text("go on")]),
    ]


def test_a_message_after_a_call_stays_in_its_turn_and_one_after_a_message_does_not() -> None:
    said: JsonObject = {"role": "assistant", "content": "a"}
    call: JsonObject = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
    assert [len(parts) for _, parts in _turns(said, said)] == [1, 1]
    assert [len(parts) for _, parts in _turns(call, said, call)] == [3]
    thought: JsonObject = {"type": "reasoning", "summary": []}
    assert [len(parts) for _, parts in _turns(said, thought, call)] == [1, 2]


def test_calls_that_interleave_with_reasoning_are_one_turn() -> None:
    """Other APIs want all calls in one message before their results."""
    call: JsonObject = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
    thought: JsonObject = {"type": "reasoning", "summary": []}
    output: JsonObject = {"type": "function_call_output", "call_id": "a", "output": ""}
    other: JsonObject = {**call, "call_id": "b"}
    turns = _turns(thought, call, thought, other, output, {**output, "call_id": "b"})
    assert [(role, len(parts)) for role, parts in turns] == [(Role.ASSISTANT, 4), (Role.USER, 2)]


@pytest.mark.parametrize(
    ("part", "read"),
    [
        ({"type": "input_text", "text": ""}, Text("")),
        ({"type": "text", "text": "a"}, Text("a")),
        (
            {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"},
            Image(source=InlineData(base64="aGk=", media_type="image/png"), detail="low"),
        ),
        (
            {"type": "input_image", "file_id": "file-1", "detail": "auto"},
            Image(source=FileSource("file-1"), detail="auto"),
        ),
        (
            {
                "type": "input_file",
                "file_data": "data:application/pdf;base64,aGk=",
                "filename": "a.pdf",
            },
            Document(source=InlineData(base64="aGk=", media_type="application/pdf"), title="a.pdf"),
        ),
        (
            {"type": "input_file", "file_url": "https://example.com/a.pdf"},
            Document(source=UrlSource("https://example.com/a.pdf")),
        ),
        ({"type": "input_file", "file_id": "file-1"}, Document(source=FileSource("file-1"))),
        (
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
            Audio(base64="UklG", format="wav"),
        ),
    ],
)
def test_what_a_user_can_send(part: JsonObject, read: Part) -> None:
    [(role, [found])] = _turns({"role": "user", "content": [part]})
    assert (role, _bare(found)) == (Role.USER, read)


@pytest.mark.parametrize(
    "item",
    [
        {"type": "local_shell_call", "id": "lsh_1", "call_id": "a", "action": {}},
        {"type": "computer_call", "id": "cu_1", "call_id": "a"},
        {"type": "mcp_call", "id": "mcp_1", "name": "f", "arguments": "{}", "server_label": "s"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "compaction", "encrypted_content": "x"},
    ],
    ids=lambda item: str(item["type"]),
)
def test_items_that_only_this_api_has_stay_whole(item: JsonObject) -> None:
    [(role, [part])] = _turns(item)
    assert role is Role.ASSISTANT
    assert isinstance(part, Opaque)
    assert part.raw == item


@pytest.mark.parametrize(
    "item",
    [
        {"type": "local_shell_call_output", "id": "x", "output": "ok"},
        {"type": "computer_call_output", "call_id": "a", "output": {}},
        {"type": "mcp_approval_response", "approval_request_id": "a", "approve": True},
    ],
    ids=lambda item: str(item["type"]),
)
def test_what_answers_such_items_comes_from_the_user(item: JsonObject) -> None:
    [(role, [part])] = _turns(item)
    assert role is Role.USER
    assert isinstance(part, Opaque)
    assert part.raw == item


def test_custom_calls_are_calls_of_a_function_with_one_string() -> None:
    assert _turns(
        {"type": "custom_tool_call", "call_id": "a", "name": "patch", "input": '"x"\n'},
        {"type": "custom_tool_call_output", "call_id": "a", "output": "done"},
    ) == [
        (Role.ASSISTANT, [ToolCall(id="a", name="patch", arguments='{"input":"\\"x\\"\\n"}')]),
        (Role.USER, [ToolResult(call_id="a", content=(Text("done"),))]),
    ]


def test_calls_in_a_namespace_carry_both_names() -> None:
    call: JsonObject = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
    [(_, [first, second])] = _turns(
        {**call, "namespace": "mcp__git__"}, {**call, "call_id": "b", "namespace": "files"}
    )
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert (first.name, second.name) == ("mcp__git__f", "files__f")


# Tools


def test_functions_keep_whether_they_are_strict() -> None:
    tools = _read(
        tools=[
            {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True},
            {"type": "function", "name": "g", "description": "d", "strict": False},
            {"type": "function", "name": "h", "parameters": None},
        ]
    ).tools
    assert tools == (
        Tool(name="f", parameters={"type": "object"}, strict=True),
        Tool(name="g", description="d", strict=False),
        Tool(name="h"),
    )


def test_custom_tools_are_functions_with_one_string_that_say_their_grammar() -> None:
    grammar: JsonObject = {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}
    [tool] = _read(
        tools=[{"type": "custom", "name": "patch", "description": "d", "format": grammar}]
    ).tools
    assert isinstance(tool, Tool)
    assert tool.name == "patch"
    assert tool.description == "d\n\nThe input must follow this lark grammar:\nstart: /a/"
    assert tool.parameters is not None
    assert tool.parameters["required"] == ["input"]


def test_the_tools_of_a_namespace_are_tools() -> None:
    tools = _read(
        tools=[
            {
                "type": "namespace",
                "name": "mcp__git__",
                "description": "d",
                "tools": [
                    {"type": "function", "name": "log", "parameters": {"type": "object"}},
                    {"type": "custom", "name": "patch"},
                ],
            }
        ]
    ).tools
    assert [tool.name for tool in tools if isinstance(tool, Tool)] == [
        "mcp__git__log",
        "mcp__git__patch",
    ]


def test_tools_of_the_provider_stay_opaque() -> None:
    tools = _read(tools=[{"type": "web_search"}, {"type": "mcp", "server_label": "s"}]).tools
    assert [tool.raw["type"] for tool in tools if isinstance(tool, OpaqueTool)] == [
        "web_search",
        "mcp",
    ]


_TOOLS: list[JsonValue] = [
    {"type": "function", "name": "f"},
    {"type": "custom", "name": "patch"},
    {"type": "web_search"},
]


@pytest.mark.parametrize(
    ("choice", "read"),
    [
        ("none", ToolChoice(ToolChoiceMode.NONE)),
        ("auto", ToolChoice(ToolChoiceMode.AUTO)),
        ("required", ToolChoice(ToolChoiceMode.REQUIRED)),
        ({"type": "function", "name": "f"}, ToolChoice(ToolChoiceMode.NAMED, "f")),
        ({"type": "custom", "name": "patch"}, ToolChoice(ToolChoiceMode.NAMED, "patch")),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": []},
            ToolChoice(ToolChoiceMode.AUTO),
        ),
        ({"type": "web_search"}, ToolChoice(ToolChoiceMode.REQUIRED)),
        (None, None),
    ],
)
def test_the_choice_among_tools(choice: JsonValue, read: ToolChoice | None) -> None:
    assert _read(tools=_TOOLS, tool_choice=choice).tool_choice == read


# All else


def test_limits_sampling_and_account_fields() -> None:
    request = _read(
        max_output_tokens=9,
        temperature=0.5,
        top_p=0.9,
        parallel_tool_calls=False,
        service_tier="flex",
        metadata={"a": "b"},
        safety_identifier="s",
        user="u",
        stream=True,
    )
    assert (request.max_output_tokens, request.parallel_tool_calls) == (9, False)
    assert (request.sampling.temperature, request.sampling.top_p) == (0.5, 0.9)
    assert (request.service_tier, request.metadata, request.user_id) == ("flex", {"a": "b"}, "s")
    assert request.stream


def test_a_request_without_stream_does_not_stream_trap_44() -> None:
    assert not _read().stream
    assert not _read(stream=None).stream


def test_log_probabilities_are_asked_for_with_include() -> None:
    asked = _read(include=["message.output_text.logprobs"], top_logprobs=2).sampling
    assert (asked.logprobs, asked.top_logprobs) == (True, 2)
    unasked = _read(top_logprobs=2).sampling
    assert (unasked.logprobs, unasked.top_logprobs) == (None, None)


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ({"format": {"type": "text"}}, OutputKind.TEXT, None),
        ({"verbosity": "low"}, OutputKind.TEXT, None),
        ({"format": {"type": "json_object"}}, OutputKind.JSON, None),
        (
            {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
            OutputKind.JSON_SCHEMA,
            "n",
        ),
    ],
)
def test_what_the_answer_must_look_like(
    text: JsonObject, kind: OutputKind, name: str | None
) -> None:
    output = _read(text=text).output
    assert (output.kind, output.name) == (kind, name)


@pytest.mark.parametrize(
    ("reasoning", "enabled", "effort"),
    [
        ({"effort": "none"}, False, Effort.NONE),
        ({"effort": "xhigh", "summary": "auto"}, True, Effort.XHIGH),
        ({"summary": "auto"}, None, None),
        ({"effort": None, "summary": None}, None, None),
    ],
)
def test_how_much_to_reason(
    reasoning: JsonObject, enabled: bool | None, effort: Effort | None
) -> None:
    read = _read(reasoning=reasoning).reasoning
    assert read is not None
    assert (read.enabled, read.effort) == (enabled, effort)


def test_what_a_server_must_know_or_keep_is_marked() -> None:
    state = _read(
        input=[{"type": "item_reference", "id": "msg_1"}],
        previous_response_id="resp_1",
        background=True,
    ).state
    assert state is not None
    assert state.previous_response_id == "resp_1"
    assert state.item_ids == ("msg_1",)
    assert state.background
    assert state.store  # as OpenAI does it
    assert not state.kept_here
    other = _read(conversation={"id": "conv_1"}, prompt={"id": "pmpt_1"}, store=False).state
    assert other is not None
    assert (other.conversation_id, other.prompt_id, other.store) == ("conv_1", "pmpt_1", False)


def test_there_may_be_no_input_where_the_server_knows_more() -> None:
    body: JsonObject = {"model": "m", "previous_response_id": "resp_1"}
    assert _CODEC.decode_request(body).turns == ()


def test_unknown_fields_are_kept() -> None:
    request = _read(chat_template_kwargs={"a": 1}, truncation="auto")
    [raw] = request.extras.values()
    assert raw == {"chat_template_kwargs": {"a": 1}, "truncation": "auto"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": [{"content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"text": "x"}]}]}, "input[0].content[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
            "input[0].content[0].text",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "input[0].content[0].image_url",
        ),
        (
            {
                "input": [
                    {
                        "role": "user",
                        "content": [{"type": "input_image", "image_url": "file:///etc/passwd"}],
                    }
                ]
            },
            "input[0].content[0].image_url",
        ),
        (
            {
                "input": [
                    {
                        "role": "user",
                        "content": [{"type": "input_file", "file_url": "ftp://x"}],
                    }
                ]
            },
            "input[0].content[0].file_url",
        ),
        (
            {"input": [{"type": "function_call", "name": "f", "call_id": "a"}]},
            "input[0].arguments",
        ),
        (
            {"input": [{"type": "function_call", "name": "f", "arguments": ""}]},
            "input[0].call_id",
        ),
        ({"input": [{"type": "function_call_output", "call_id": "a"}]}, "input[0].output"),
        (
            {
                "input": [
                    {
                        "type": "function_call_output",
                        "call_id": "a",
                        "output": [{"type": "refusal", "refusal": "x"}],
                    }
                ]
            },
            "input[0].output[0].type",
        ),
        ({"input": [{"type": "reasoning", "summary": ["x"]}]}, "input[0].summary[0]"),
        ({"input": [{"type": "item_reference"}]}, "input[0].id"),
        ({"tools": [{"name": "f"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "custom"}]}, "tools[0].name"),
        (
            {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "function"}]}]},
            "tools[0].tools[0].name",
        ),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": 5}, "tool_choice"),
        ({"tools": _TOOLS, "tool_choice": {"type": "function", "name": "x"}}, "tool_choice"),
        ({"tools": _TOOLS, "tool_choice": {"type": "function"}}, "tool_choice.name"),
        (
            {"tools": _TOOLS, "tool_choice": {"type": "allowed_tools", "mode": "x"}},
            "tool_choice.mode",
        ),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"reasoning": "high"}, "reasoning"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": "9"}, "max_output_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"include": [1]}, "include[0]"),
        ({"background": "yes"}, "background"),
        ({"store": 1}, "store"),
        ({"previous_response_id": 5}, "previous_response_id"),
        ({"conversation": 5}, "conversation"),
        ({"conversation": {}}, "conversation.id"),
        ({"prompt": {}}, "prompt.id"),
        ({"truncation": 5}, "truncation"),
        ({"user": 5}, "user"),
        (
            {"previous_response_id": "resp_1", "conversation": "conv_1"},
            "previous_response_id",
        ),
        ({"instructions": 5}, "instructions"),
    ],
)
def test_what_is_wrong_is_named(fields: JsonObject, param: str) -> None:
    error = _refused(**fields).error
    assert error.param == param
    assert param.rsplit(".", 1)[-1].split("[")[0] in error.message


def test_tools_too_deep_to_be_repeated_in_the_answer_are_refused() -> None:
    schema: JsonObject = {"type": "object"}
    for _ in range(260):
        schema = {"items": schema}
    error = _refused(tools=[{"type": "function", "name": "f", "parameters": schema}]).error
    assert "nested too deeply" in error.message
