"""Requests of Ollama clients, read."""

from __future__ import annotations

import base64

import pytest

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.requests import (
    Completion,
    Effort,
    Image,
    InlineData,
    OutputFormat,
    OutputKind,
    Reasoning,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    user_turn,
)
from forebay.protocol.dialects.ollama import (
    OLLAMA,
    LoadAction,
    OllamaChatCodec,
    OllamaGenerateCodec,
    load_reply,
)
from forebay.protocol.jsontext import JsonObject, JsonValue

CHAT = OllamaChatCodec()
GENERATE = OllamaGenerateCodec()
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and pixels").decode()


def asking(**fields: JsonValue) -> JsonObject:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}


@pytest.mark.parametrize("codec", [CHAT, GENERATE])
def test_trap_44_what_does_not_say_stream_streams(
    codec: OllamaChatCodec | OllamaGenerateCodec,
) -> None:
    assert codec.decode_request({"model": "m"}).stream is True
    assert codec.decode_request({"model": "m", "stream": None}).stream is True
    assert codec.decode_request({"model": "m", "stream": False}).stream is False


@pytest.mark.parametrize("codec", [CHAT, GENERATE])
@pytest.mark.parametrize("model", [{}, {"model": ""}, {"model": None}])
def test_a_request_without_a_model_is_told_so(
    codec: OllamaChatCodec | OllamaGenerateCodec, model: JsonObject
) -> None:
    with pytest.raises(ApiFailure, match=r"^model is required$") as failure:
        codec.decode_request(model)
    assert failure.value.error.param == "model"
    assert failure.value.error.kind is ErrorKind.BAD_REQUEST


def test_a_message_becomes_a_turn_with_thinking_images_text_and_calls() -> None:
    request = CHAT.decode_request(
        {
            "model": "m",
            "messages": [
                {"role": "System", "content": "be kind"},
                {"role": "user", "content": "what is it?", "images": [PNG]},
                {
                    "role": "assistant",
                    "content": "let me see",
                    "thinking": "hm",
                    "tool_calls": [
                        {"id": "c1", "function": {"name": "look", "arguments": {"at": 1}}}
                    ],
                },
            ],
        }
    )
    system, user, assistant = request.turns
    assert (system.role, system.parts) == (Role.SYSTEM, (Text("be kind"),))
    assert (user.role, user.parts) == (
        Role.USER,
        (
            Image(source=InlineData(base64=PNG, media_type="image/png")),
            Text("what is it?"),
        ),
    )
    assert (assistant.role, assistant.parts) == (
        Role.ASSISTANT,
        (
            Thinking(text="hm"),
            Text("let me see"),
            ToolCall(id="c1", name="look", arguments='{"at":1}'),
        ),
    )


def test_trap_27_arguments_of_a_call_become_text() -> None:
    call: JsonObject = {"function": {"name": "f", "arguments": {"städte": ["Köln", 1.5, None]}}}
    request = CHAT.decode_request(
        {"model": "m", "messages": [{"role": "assistant", "tool_calls": [call]}]}
    )
    (part,) = request.turns[0].parts
    assert isinstance(part, ToolCall)
    assert part.arguments == '{"städte":["Köln",1.5,null]}'


def test_trap_24_results_find_their_calls_by_name_and_order() -> None:
    def call(name: str) -> JsonObject:
        return {"function": {"name": name, "arguments": {}}}

    def result(text: str, **said: JsonValue) -> JsonObject:
        return {"role": "tool", "content": text, **said}

    request = CHAT.decode_request(
        {
            "model": "m",
            "messages": [
                {"role": "assistant", "tool_calls": [call("a"), call("b"), call("a")]},
                result("of b", tool_name="b"),
                result("of the first a", tool_name="a"),
                result("of the second a", tool_name="a"),
                {"role": "user", "content": "so?"},
            ],
        }
    )
    calls, results, user = request.turns
    ids = [part.id for part in calls.parts if isinstance(part, ToolCall)]
    assert len({*ids}) == 3
    assert all(ids)
    assert results.role is Role.USER
    answered = {
        part.content[0].text: part.call_id
        for part in results.parts
        if isinstance(part, ToolResult) and isinstance(part.content[0], Text)
    }
    assert answered == {
        "of b": ids[1],
        "of the first a": ids[0],
        "of the second a": ids[2],
    }
    assert user.parts == (Text("so?"),)


def test_trap_24_a_result_that_says_nothing_belongs_to_the_next_open_call() -> None:
    call: JsonObject = {"function": {"name": "f"}}
    request = CHAT.decode_request(
        {
            "model": "m",
            "messages": [
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "content": "done"},
            ],
        }
    )
    (called,) = request.turns[0].parts
    (result,) = request.turns[1].parts
    assert isinstance(called, ToolCall)
    assert isinstance(result, ToolResult)
    assert result.call_id == called.id != ""
    assert result.name == "f"
    assert called.arguments == "{}"


def test_options_are_sampling_where_other_dialects_know_them_and_raw_elsewhere() -> None:
    request = CHAT.decode_request(
        asking(
            options={
                "num_predict": 12.7,
                "temperature": 0,
                "top_p": 0.5,
                "top_k": 40,
                "min_p": 0.1,
                "seed": 3,
                "stop": ["END", "\n"],
                "repeat_penalty": 1.1,
                "presence_penalty": 0.2,
                "frequency_penalty": 0.3,
                "num_ctx": 8192,
                "num_gpu": None,
            },
            logprobs=True,
            top_logprobs=5,
        )
    )
    sampling = request.sampling
    assert request.max_output_tokens == 12
    assert request.stop == ("END", "\n")
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0, 0.5, 40)
    assert (sampling.min_p, sampling.seed, sampling.repeat_penalty) == (0.1, 3, 1.1)
    assert (sampling.presence_penalty, sampling.frequency_penalty) == (0.2, 0.3)
    assert (sampling.logprobs, sampling.top_logprobs) == (True, 5)
    assert request.extras == {OLLAMA: {"options": {"num_ctx": 8192}}}


@pytest.mark.parametrize("unlimited", [-1, -2, 0])
def test_an_unlimited_answer_has_no_limit_elsewhere(unlimited: int) -> None:
    request = CHAT.decode_request(asking(options={"num_predict": unlimited, "seed": -1}))
    assert request.max_output_tokens is None
    assert request.sampling.seed is None
    assert request.extra(OLLAMA, "options") == {"num_predict": unlimited, "seed": -1}


def test_one_stop_string_needs_no_list() -> None:
    assert CHAT.decode_request(asking(options={"stop": "END"})).stop == ("END",)


@pytest.mark.parametrize(
    ("value", "output"),
    [
        (None, OutputFormat(kind=OutputKind.TEXT)),
        ("", OutputFormat(kind=OutputKind.TEXT)),
        ("json", OutputFormat(kind=OutputKind.JSON)),
        (
            {"type": "object"},
            OutputFormat(kind=OutputKind.JSON_SCHEMA, schema={"type": "object"}),
        ),
    ],
)
def test_format_is_text_json_or_a_schema(value: JsonValue, output: OutputFormat) -> None:
    assert CHAT.decode_request(asking(format=value)).output == output


@pytest.mark.parametrize(
    ("value", "reasoning"),
    [
        (None, None),
        (True, Reasoning(enabled=True)),
        (False, Reasoning(enabled=False)),
        ("low", Reasoning(enabled=True, effort=Effort.LOW)),
        ("max", Reasoning(enabled=True, effort=Effort.MAX)),
    ],
)
def test_think_is_a_switch_or_a_level(value: JsonValue, reasoning: Reasoning | None) -> None:
    assert CHAT.decode_request(asking(think=value)).reasoning == reasoning


@pytest.mark.parametrize("value", ["weird", "", "none", 1, []])
def test_trap_45_think_is_nothing_else(value: JsonValue) -> None:
    with pytest.raises(ApiFailure, match="think") as failure:
        CHAT.decode_request(asking(think=value))
    assert failure.value.error.param == "think"


@pytest.mark.parametrize(
    "value", [300, 0, -1, 1.5, "5m", "1h30m", "-1s", "0", "0s", "1.5h", ".5s", "+10ms", "100µs"]
)
def test_trap_42_keep_alive_is_taken_in_all_its_forms(value: JsonValue) -> None:
    request = CHAT.decode_request(asking(keep_alive=value))
    assert request.extra(OLLAMA, "keep_alive") == value


@pytest.mark.parametrize(
    "value", ["-1", "5", "5 m", "5d", "", "m", "1.5.2s", True, [5], "1" * 9000]
)
def test_trap_42_a_duration_without_its_unit_is_refused(value: JsonValue) -> None:
    with pytest.raises(ApiFailure, match="keep_alive"):
        CHAT.decode_request(asking(keep_alive=value))


@pytest.mark.parametrize("messages", [{}, {"messages": []}, {"messages": None}])
def test_trap_43_a_chat_without_messages_loads_the_model(messages: JsonObject) -> None:
    request = CHAT.decode_request({"model": "m", **messages})
    assert load_reply(request) is LoadAction.LOAD


@pytest.mark.parametrize("zero", [0, 0.0, "0", "0s", "0h0m", "-0s"])
def test_trap_42_a_chat_without_messages_and_without_time_unloads_it(zero: JsonValue) -> None:
    request = CHAT.decode_request({"model": "m", "messages": [], "keep_alive": zero})
    assert load_reply(request) is LoadAction.UNLOAD


def test_trap_43_an_empty_prompt_loads_and_unloads() -> None:
    load = GENERATE.decode_request({"model": "m", "system": "be kind", "keep_alive": -1})
    unload = GENERATE.decode_request({"model": "m", "prompt": "", "keep_alive": 0})
    assert load_reply(load) is LoadAction.LOAD
    assert load_reply(unload) is LoadAction.UNLOAD


def test_what_asks_for_an_answer_loads_nothing() -> None:
    assert load_reply(CHAT.decode_request(asking(keep_alive=0))) is None
    assert load_reply(GENERATE.decode_request({"model": "m", "prompt": "hi"})) is None
    only_system: JsonObject = {"model": "m", "messages": [{"role": "system", "content": ""}]}
    assert load_reply(CHAT.decode_request(only_system)) is None


def test_generate_is_a_system_prompt_and_a_prompt_with_images() -> None:
    request = GENERATE.decode_request(
        {"model": "m", "system": "be kind", "prompt": "what is it?", "images": [PNG]}
    )
    system, user = request.turns
    assert (system.role, system.parts) == (Role.SYSTEM, (Text("be kind"),))
    assert user.parts == (
        Image(source=InlineData(base64=PNG, media_type="image/png")),
        Text("what is it?"),
    )


@pytest.mark.parametrize(
    ("said", "completion"),
    [
        ({}, None),
        ({"raw": False, "suffix": ""}, None),
        ({"template": "", "context": []}, None),
        ({"template": "{{ .Prompt }}"}, Completion(prompts=("hi",), template="{{ .Prompt }}")),
        ({"context": [1, 2]}, Completion(prompts=("hi",), context=(1, 2))),
        ({"raw": True}, Completion(prompts=("hi",), raw=True)),
        ({"suffix": "return x"}, Completion(prompts=("hi",), suffix="return x")),
        (
            {"suffix": "return x", "raw": True},
            Completion(prompts=("hi",), suffix="return x", raw=True),
        ),
    ],
)
def test_a_prompt_in_other_surroundings_than_the_models_own_is_a_completion(
    said: JsonObject, completion: Completion | None
) -> None:
    request = GENERATE.decode_request({"model": "m", "prompt": "hi", **said})
    assert request.completion == completion
    assert request.turns == (user_turn("hi"),)
    assert request.extras == {}


def test_a_request_to_load_the_model_completes_nothing() -> None:
    request = GENERATE.decode_request({"model": "m", "raw": True, "suffix": "x"})
    assert request.completion is None
    assert load_reply(request) is LoadAction.LOAD


def test_raw_mode_and_a_system_prompt_exclude_each_other() -> None:
    with pytest.raises(ApiFailure, match="raw mode does not support"):
        GENERATE.decode_request({"model": "m", "prompt": "hi", "raw": True, "system": "s"})


@pytest.mark.parametrize(
    ("start", "media_type"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", None),
        (b"?", None),
    ],
)
def test_an_image_is_known_by_its_first_bytes(start: bytes, media_type: str | None) -> None:
    data = base64.b64encode(start).decode()
    request = GENERATE.decode_request({"model": "m", "prompt": "hi", "images": [data + "\r\n"]})
    assert request.turns[0].parts[0] == Image(source=InlineData(base64=data, media_type=media_type))


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"model": 1}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"truncate": 1}, "truncate"),
        ({"messages": {}}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "wizard"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "images": ["%%%"]}]}, "messages[0].images[0]"),
        ({"messages": [{"role": "user", "images": ["AAAA%"]}]}, "messages[0].images[0]"),
        ({"messages": [{"role": "user", "images": [""]}]}, "messages[0].images[0]"),
        (
            {"messages": [{"role": "user", "images": [f"data:image/png;base64,{PNG}"]}]},
            "messages[0].images[0]",
        ),
        ({"messages": [{"role": "tool", "tool_name": 1}]}, "messages[0].tool_name"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{}]}]},
            "messages[0].tool_calls[0].function",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": ""}}]}]},
            "messages[0].tool_calls[0].function.name",
        ),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}],
                    }
                ]
            },
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        (
            {"tools": [{"function": {"name": "f", "parameters": []}}]},
            "tools[0].function.parameters",
        ),
        ({"format": "xml"}, "format"),
        ({"format": True}, "format"),
        ({"options": []}, "options"),
        ({"options": {"temperature": "hot"}}, "options.temperature"),
        ({"options": {"num_predict": "1"}}, "options.num_predict"),
        ({"options": {"stop": 3}}, "options.stop"),
        ({"options": {"stop": ["a", 3]}}, "options.stop[1]"),
        ({"logprobs": 1}, "logprobs"),
        ({"top_logprobs": 21}, "top_logprobs"),
    ],
)
def test_a_wrong_type_is_refused_by_the_name_of_its_field(wrong: JsonObject, param: str) -> None:
    with pytest.raises(ApiFailure) as failure:
        CHAT.decode_request(asking(**wrong))
    error = failure.value.error
    assert (error.kind, error.param) == (ErrorKind.BAD_REQUEST, param)
    assert param in error.message


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"prompt": ["hi"]}, "prompt"),
        ({"system": 1}, "system"),
        ({"raw": "yes"}, "raw"),
        ({"suffix": 1}, "suffix"),
        ({"template": {}}, "template"),
        ({"context": ["a"]}, "context[0]"),
        ({"images": "abc"}, "images"),
    ],
)
def test_a_wrong_type_in_generate_is_refused_by_the_name_of_its_field(
    wrong: JsonObject, param: str
) -> None:
    with pytest.raises(ApiFailure) as failure:
        GENERATE.decode_request({"model": "m", "prompt": "hi", **wrong})
    assert failure.value.error.param == param


def test_arguments_nested_beyond_all_measure_are_refused_not_a_crash() -> None:
    deep: JsonObject = {}
    for _ in range(400):
        deep = {"a": deep}
    call: JsonObject = {"function": {"name": "f", "arguments": deep}}
    with pytest.raises(ApiFailure, match="arguments"):
        CHAT.decode_request(asking(messages=[{"role": "assistant", "tool_calls": [call]}]))


def test_unknown_fields_wait_for_an_ollama_server() -> None:
    request = CHAT.decode_request(
        asking(
            shift=False,
            novelty={"a": 1},
            messages=[{"role": "user", "content": "hi", "mood": "calm"}],
        )
    )
    assert request.extras == {OLLAMA: {"shift": False, "novelty": {"a": 1}}}
    assert request.turns[0].extras == {OLLAMA: {"mood": "calm"}}
