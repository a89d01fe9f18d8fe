"""Requests of any dialect, written for an Ollama server."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ollama._types import GenerateRequest

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.requests import (
    Audio,
    ChatRequest,
    Completion,
    Dialect,
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
    user_turn,
)
from forebay.protocol.dialects.base import EncodedRequest, UpstreamTraits
from forebay.protocol.dialects.ollama import OllamaChatCodec, OllamaGenerateCodec
from forebay.protocol.jsontext import JsonObject, JsonValue

CHAT = OllamaChatCodec()
GENERATE = OllamaGenerateCodec()
FOREIGN = Dialect("elsewhere")
HI = Turn(role=Role.USER, parts=(Text("hi"),))
ASKING = ChatRequest(model="m", turns=(HI,))
LOOK = Tool(name="look", description="d", parameters={"type": "object", "properties": {}})
WALK = Tool(name="walk")


def sent(request: ChatRequest) -> EncodedRequest:
    return CHAT.encode_request(request, UpstreamTraits())


def messages_of(*turns: Turn) -> JsonValue:
    return sent(replace(ASKING, turns=turns)).body["messages"]


def test_trap_44_stream_is_always_said() -> None:
    assert sent(ASKING).body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": False,
    }
    assert sent(replace(ASKING, stream=True)).body["stream"] is True
    assert GENERATE.encode_request(ASKING, UpstreamTraits()).body == {
        "model": "m",
        "prompt": "hi",
        "stream": False,
    }


def test_system_and_developer_turns_stay_where_they_are() -> None:
    assert messages_of(
        Turn(role=Role.DEVELOPER, parts=(Text("first"), Text("second"))),
        HI,
        Turn(role=Role.SYSTEM, parts=(Text("later"),)),
    ) == [
        {"role": "system", "content": "first\n\nsecond"},
        {"role": "user", "content": "hi"},
        {"role": "system", "content": "later"},
    ]


def test_results_follow_their_calls_by_name_and_id_and_come_before_the_users_words() -> None:
    assert messages_of(
        Turn(
            role=Role.ASSISTANT,
            parts=(
                Thinking(text="hm"),
                Text("wait"),
                ToolCall(id="c1", name="look", arguments='{"at":1}'),
                ToolCall(id="c2", name="walk", arguments=""),
            ),
        ),
        Turn(
            role=Role.USER,
            parts=(
                ToolResult(call_id="c1", content=(Text("a"), Text("b"))),
                ToolResult(call_id="c2", content=(Text("fell"),), is_error=True),
                Text("and now?"),
            ),
        ),
    ) == [
        {
            "role": "assistant",
            "content": "wait",
            "thinking": "hm",
            "tool_calls": [
                {"id": "c1", "function": {"name": "look", "arguments": {"at": 1}}},
                {"id": "c2", "function": {"name": "walk", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": "a\nb", "tool_name": "look", "tool_call_id": "c1"},
        {"role": "tool", "content": "Error: fell", "tool_name": "walk", "tool_call_id": "c2"},
        {"role": "user", "content": "and now?"},
    ]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", {}),
        ("  ", {}),
        ('{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
        ('{"a": ', {"_raw": '{"a": '}),
        ("[1]", {"_raw": "[1]"}),
        ('"words"', {"_raw": '"words"'}),
    ],
)
def test_trap_25_and_26_arguments_go_as_an_object_whatever_they_are(
    text: str, arguments: JsonObject
) -> None:
    call = ToolCall(id="c", name="f", arguments=text)
    assert messages_of(Turn(role=Role.ASSISTANT, parts=(call,))) == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": arguments}}],
        }
    ]


def test_images_go_inline_also_those_of_results() -> None:
    image = Image(source=InlineData(base64="AAAA", media_type="image/png"))
    assert messages_of(
        Turn(role=Role.USER, parts=(Text("what"), image, Text("is it?"))),
        Turn(role=Role.ASSISTANT, parts=(ToolCall(id="c", name="f", arguments="{}"),)),
        Turn(role=Role.USER, parts=(ToolResult(call_id="c", content=(image,)),)),
    ) == [
        {"role": "user", "content": "what\nis it?", "images": ["AAAA"]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {}}}],
        },
        {
            "role": "tool",
            "content": "",
            "tool_name": "f",
            "tool_call_id": "c",
            "images": ["AAAA"],
        },
    ]


@pytest.mark.parametrize("source", [UrlSource("https://x/y.png"), FileSource("file-1")])
def test_trap_40_a_linked_image_is_refused_with_the_mend(source: UrlSource | FileSource) -> None:
    turn = Turn(role=Role.USER, parts=(Image(source=source),))
    with pytest.raises(ApiFailure, match="takes only inline images") as failure:
        messages_of(turn)
    assert failure.value.error.kind is ErrorKind.BAD_REQUEST


@pytest.mark.parametrize(
    ("part", "word"),
    [
        (Audio(base64="AAAA", format="wav"), "audio"),
        (Document(source=Text("t")), "documents"),
        (Opaque(FOREIGN, {"type": "server_thing"}), "server_thing"),
        (ToolResult(call_id="c", content=(Document(source=Text("t")),)), "documents"),
    ],
)
def test_what_no_ollama_message_can_hold_is_refused(part: Part, word: str) -> None:
    with pytest.raises(ApiFailure, match=word) as failure:
        messages_of(Turn(role=Role.USER, parts=(part,)))
    assert failure.value.error.kind is ErrorKind.BAD_REQUEST


def test_refusals_are_text_and_redacted_thinking_is_left_out() -> None:
    parts = (Thinking(text="", redacted="secret"), Refusal("no"))
    assert messages_of(Turn(role=Role.ASSISTANT, parts=parts)) == [
        {"role": "assistant", "content": "no"}
    ]


def test_options_are_assembled() -> None:
    request = replace(
        ASKING,
        max_output_tokens=9,
        stop=("END",),
        sampling=Sampling(
            temperature=0.0,
            top_p=0.9,
            top_k=5,
            min_p=0.1,
            seed=1,
            frequency_penalty=0.2,
            presence_penalty=0.3,
            repeat_penalty=1.1,
            logprobs=True,
            top_logprobs=2,
        ),
    )
    encoded = sent(request)
    assert encoded.body["options"] == {
        "num_predict": 9,
        "temperature": 0.0,
        "top_p": 0.9,
        "top_k": 5,
        "min_p": 0.1,
        "seed": 1,
        "stop": ["END"],
        "repeat_penalty": 1.1,
        "presence_penalty": 0.3,
        "frequency_penalty": 0.2,
    }
    assert encoded.body["logprobs"] is True
    assert encoded.body["top_logprobs"] == 2
    assert encoded.dropped == ()


@pytest.mark.parametrize(
    ("choice", "names", "dropped"),
    [
        (None, ["look", "walk"], ()),
        (ToolChoice(ToolChoiceMode.AUTO), ["look", "walk"], ()),
        (ToolChoice(ToolChoiceMode.NONE), None, ()),
        (ToolChoice(ToolChoiceMode.REQUIRED), ["look", "walk"], ("tool_choice",)),
        (ToolChoice(ToolChoiceMode.NAMED, "walk"), ["walk"], ("tool_choice",)),
    ],
)
def test_the_choice_of_tools_is_said_by_the_tools(
    choice: ToolChoice | None, names: list[str] | None, dropped: tuple[str, ...]
) -> None:
    encoded = sent(replace(ASKING, tools=(LOOK, WALK), tool_choice=choice))
    tools = encoded.body.get("tools")
    assert encoded.dropped == dropped
    if names is None:
        assert tools is None
        return
    assert isinstance(tools, list)
    assert [tool["function"]["name"] for tool in tools] == names  # type: ignore[call-overload,index]


def test_a_tool_is_nested_and_a_strict_one_reported() -> None:
    encoded = sent(replace(ASKING, tools=(replace(LOOK, strict=True),)))
    assert encoded.body["tools"] == [
        {
            "type": "function",
            "function": {"name": "look", "description": "d", "parameters": LOOK.parameters},
        }
    ]
    assert encoded.dropped == ("tools.strict",)


def test_a_chosen_tool_that_is_not_there_is_refused() -> None:
    choice = ToolChoice(ToolChoiceMode.NAMED, "fly")
    with pytest.raises(ApiFailure, match="'fly'"):
        sent(replace(ASKING, tools=(LOOK,), tool_choice=choice))


def test_a_tool_of_another_provider_is_refused_by_its_type() -> None:
    tool = OpaqueTool(FOREIGN, {"type": "web_search"})
    with pytest.raises(ApiFailure, match="web_search") as failure:
        sent(replace(ASKING, tools=(tool,)))
    assert failure.value.error.param == "tools"


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (OutputFormat(kind=OutputKind.TEXT), None),
        (OutputFormat(kind=OutputKind.JSON), "json"),
        (
            OutputFormat(kind=OutputKind.JSON_SCHEMA, schema={"type": "array"}, name="n"),
            {"type": "array"},
        ),
    ],
)
def test_trap_35_a_schema_goes_bare(output: OutputFormat, said: JsonValue) -> None:
    assert sent(replace(ASKING, output=output)).body.get("format") == said


@pytest.mark.parametrize(
    ("reasoning", "think"),
    [
        (None, None),
        (Reasoning(), None),
        (Reasoning(adaptive=True, enabled=True), None),
        (Reasoning(enabled=True), True),
        (Reasoning(enabled=False), False),
        (Reasoning(enabled=False, effort=Effort.HIGH), False),
        (Reasoning(budget_tokens=1024), True),
        (Reasoning(effort=Effort.NONE), False),
        (Reasoning(effort=Effort.MINIMAL), "low"),
        (Reasoning(effort=Effort.LOW), "low"),
        (Reasoning(effort=Effort.MEDIUM), "medium"),
        (Reasoning(effort=Effort.HIGH), "high"),
        (Reasoning(effort=Effort.XHIGH), "max"),
        (Reasoning(effort=Effort.MAX), "max"),
    ],
)
def test_reasoning_becomes_think(reasoning: Reasoning | None, think: JsonValue) -> None:
    assert sent(replace(ASKING, reasoning=reasoning)).body.get("think") == think


def test_what_only_tunes_is_dropped_and_reported() -> None:
    request = replace(
        ASKING,
        turns=(replace(HI, name="anna"),),
        parallel_tool_calls=False,
        sampling=Sampling(logit_bias={"1": 2.0}),
        user_id="u",
        metadata={"k": "v"},
        service_tier="flex",
        output=OutputFormat(kind=OutputKind.JSON_SCHEMA, schema={}, strict=True),
        extras={FOREIGN: {"verbosity": "low"}},
    )
    encoded = sent(request)
    assert encoded.dropped == (
        "parallel_tool_calls",
        "logit_bias",
        "user",
        "metadata",
        "service_tier",
        "strict",
        "name",
        "verbosity",
    )
    assert encoded.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": False,
        "format": {},
    }


def test_trap_36_more_than_one_answer_is_refused_by_name() -> None:
    with pytest.raises(ApiFailure, match="'n'") as failure:
        sent(replace(ASKING, choices=2))
    assert failure.value.error.param == "n"


def test_fields_of_an_ollama_client_come_back() -> None:
    body: JsonObject = {
        "model": "m",
        "messages": [{"role": "control", "content": "thinking", "mood": "calm"}],
        "tools": [
            {"type": "function", "x": 1, "function": {"name": "f", "parameters": {}, "y": 2}}
        ],
        "stream": True,
        "options": {"num_ctx": 4096, "num_predict": -1, "temperature": 0.5},
        "keep_alive": "5m",
        "truncate": False,
    }
    assert sent(CHAT.decode_request(body)).body == body


@pytest.mark.parametrize("name", ["context", "template"])
def test_what_only_generate_can_do_is_not_asked_of_chat(name: str) -> None:
    completion = Completion(prompts=("hi",), template="x")
    if name == "context":
        completion = Completion(prompts=("hi",), context=(1, 2))
    request = replace(ASKING, completion=completion)
    with pytest.raises(ApiFailure, match="/api/generate") as failure:
        sent(request)
    assert failure.value.error.param == name
    body = GENERATE.encode_request(request, UpstreamTraits()).body
    assert body[name] == ("x" if name == "template" else [1, 2])
    assert "raw" not in body


@pytest.mark.parametrize(
    ("completion", "said"),
    [
        # OpenAI's completions: the prompt as it stands.
        (Completion(prompts=("def f(",)), {"raw": True}),
        (Completion(prompts=("def f(",), raw=True), {"raw": True}),
        # Only the model's template knows where to fill in.
        (Completion(prompts=("def f(",), suffix="return x"), {"suffix": "return x"}),
        (
            Completion(prompts=("def f(",), suffix="return x", raw=True),
            {"suffix": "return x", "raw": True},
        ),
    ],
)
def test_generate_completes_a_text_as_it_stands(completion: Completion, said: JsonObject) -> None:
    request = replace(ASKING, turns=(user_turn("def f("),), completion=completion)
    body = GENERATE.encode_request(request, UpstreamTraits()).body
    assert body == {"model": "m", "prompt": "def f(", "stream": False, **said}
    GenerateRequest.model_validate(body, strict=True)
    assert GENERATE.decode_request(body).completion == replace(completion, raw="raw" in said)


def test_generate_says_system_prompt_and_images() -> None:
    image = Image(source=InlineData(base64="AAAA"))
    request = replace(
        ASKING,
        turns=(
            Turn(role=Role.SYSTEM, parts=(Text("be kind"),)),
            Turn(role=Role.USER, parts=(image, Text("what is it?"))),
        ),
    )
    assert GENERATE.encode_request(request, UpstreamTraits()).body == {
        "model": "m",
        "prompt": "what is it?",
        "system": "be kind",
        "images": ["AAAA"],
        "stream": False,
    }


@pytest.mark.parametrize(
    "request_",
    [
        replace(ASKING, turns=(HI, Turn(role=Role.ASSISTANT, parts=(Text("yes?"),)))),
        replace(ASKING, turns=(HI, HI)),
        replace(ASKING, turns=(HI, Turn(role=Role.SYSTEM, parts=()))),
        replace(
            ASKING,
            turns=(Turn(role=Role.USER, parts=(ToolResult(call_id="c", content=()),)),),
        ),
        replace(ASKING, tools=(LOOK,)),
    ],
)
def test_generate_refuses_a_conversation(request_: ChatRequest) -> None:
    with pytest.raises(ApiFailure, match="use /api/chat"):
        GENERATE.encode_request(request_, UpstreamTraits())
