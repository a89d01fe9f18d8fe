"""Turns of any dialect, as the messages that an upstream of this one reads."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.requests import (
    Audio,
    ChatRequest,
    Dialect,
    Document,
    FileSource,
    Image,
    InlineData,
    Opaque,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    UrlSource,
)
from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.openai import OPENAI, OpenAIChatCodec
from forebay.protocol.jsontext import JsonObject, JsonValue

_OTHER = Dialect("anthropic")
_COMPATIBLE = UpstreamTraits()
_OPENAI = UpstreamTraits(max_output_field="max_completion_tokens", developer_role=True)
_PNG = InlineData(base64="iVBORw0KGgo=", media_type="image/png")
_PNG_PART: JsonObject = {
    "type": "image_url",
    "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="},
}


def _user(*parts: Part) -> Turn:
    return Turn(role=Role.USER, parts=parts)


def _assistant(*parts: Part) -> Turn:
    return Turn(role=Role.ASSISTANT, parts=parts)


def _call(call_id: str, name: str = "f", arguments: str = "{}") -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments=arguments)


def _messages(
    codec: OpenAIChatCodec, *turns: Turn, traits: UpstreamTraits = _COMPATIBLE
) -> list[JsonObject]:
    """The messages for turns that came in another dialect."""
    body = codec.encode_request(ChatRequest(model="m", turns=turns), traits).body
    assert isinstance(body["messages"], list)
    return [message for message in body["messages"] if isinstance(message, dict)]


def _resent(
    codec: OpenAIChatCodec, messages: Sequence[JsonValue], traits: UpstreamTraits = _COMPATIBLE
) -> JsonValue:
    """The messages for messages that came in this dialect."""
    request = codec.decode_request({"model": "m", "messages": [*messages]})
    return codec.encode_request(request, traits).body["messages"]


def test_developer_is_said_only_to_servers_that_know_it_trap_18(codec: OpenAIChatCodec) -> None:
    turn = Turn(role=Role.DEVELOPER, parts=(Text("be brief"),))
    assert _messages(codec, turn) == [{"role": "system", "content": "be brief"}]
    assert _messages(codec, turn, traits=_OPENAI) == [{"role": "developer", "content": "be brief"}]


def test_blocks_of_text_become_one_string_that_every_server_takes(codec: OpenAIChatCodec) -> None:
    assert _messages(
        codec,
        Turn(role=Role.SYSTEM, parts=(Text("a", {_OTHER: {"cache_control": {}}}), Text("b"))),
        _user(Text("c"), Text("d")),
        _assistant(Text("e"), Text("f")),
    ) == [
        {"role": "system", "content": "a\n\nb"},
        {"role": "user", "content": "c\n\nd"},
        {"role": "assistant", "content": "ef"},
    ]


def test_an_empty_turn_is_an_empty_text_and_never_null(codec: OpenAIChatCodec) -> None:
    assert _messages(codec, _user(), _assistant(), _assistant(Thinking(text="hm"))) == [
        {"role": "user", "content": ""},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": ""},
    ]


def test_images_audio_and_documents_are_said(codec: OpenAIChatCodec) -> None:
    [message] = _messages(
        codec,
        _user(
            Text("look"),
            Image(source=_PNG, detail="high"),
            Image(source=UrlSource("https://example.com/a.png")),
            Image(source=InlineData(base64="/9j/4AAQ")),
            Audio(base64="UklG", format="wav"),
            Document(source=InlineData(base64="JVBERi0=", media_type="application/pdf")),
            Document(source=Text("all of it"), title="Notes"),
        ),
    )
    assert message["content"] == [
        {"type": "text", "text": "look"},
        {
            "type": "image_url",
            "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "high"},
        },
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/4AAQ"}},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
        {
            "type": "file",
            "file": {
                "file_data": "data:application/pdf;base64,JVBERi0=",
                "filename": "document.pdf",
            },
        },
        {"type": "text", "text": "Notes\n\nall of it"},
    ]


def test_calls_come_with_their_results_right_after_them_and_text_last_trap_19(
    codec: OpenAIChatCodec,
) -> None:
    assert _messages(
        codec,
        _assistant(Text("let me see"), _call("a", arguments='{"x": 1}'), _call("b")),
        _user(
            Text("and be quick"),
            ToolResult(call_id="a", content=(Text("1"), Text("2"))),
            ToolResult(call_id="b", name="f", content=()),
        ),
    ) == [
        {
            "role": "assistant",
            "content": "let me see",
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"x": 1}'},
                },
                {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "1\n2"},
        {"role": "tool", "tool_call_id": "b", "content": "", "name": "f"},
        {"role": "user", "content": "and be quick"},
    ]


def test_results_in_several_user_turns_still_come_before_any_text(codec: OpenAIChatCodec) -> None:
    messages = _messages(
        codec,
        _assistant(_call("a"), _call("b")),
        _user(ToolResult(call_id="a", content=(Image(source=_PNG),)), Text("one")),
        _user(ToolResult(call_id="b", content=(Text("2"),)), Text("two")),
    )
    assert [message["role"] for message in messages] == [
        "assistant",
        "tool",
        "tool",
        "user",
        "user",
    ]


def test_images_of_results_follow_in_a_user_message_after_all_results_trap_29(
    codec: OpenAIChatCodec,
) -> None:
    _, first, second, user = _messages(
        codec,
        _assistant(_call("a"), _call("b")),
        _user(
            ToolResult(call_id="a", content=(Text("a picture"), Image(source=_PNG))),
            ToolResult(call_id="b", content=(Text("none"),)),
            Text("what is it?"),
        ),
    )
    assert first == {
        "role": "tool",
        "tool_call_id": "a",
        "content": "a picture\n[1 attached: see the next user message]",
    }
    assert second == {"role": "tool", "tool_call_id": "b", "content": "none"}
    assert user == {
        "role": "user",
        "content": [
            {"type": "text", "text": "[attached to the result of a]"},
            _PNG_PART,
            {"type": "text", "text": "what is it?"},
        ],
    }


def test_images_of_results_get_a_user_message_where_there_is_none_trap_29(
    codec: OpenAIChatCodec,
) -> None:
    _, _, user, after = _messages(
        codec,
        _assistant(_call("a")),
        _user(ToolResult(call_id="a", content=(Image(source=_PNG),))),
        _assistant(Text("a dot")),
    )
    assert user["role"] == "user"
    assert after == {"role": "assistant", "content": "a dot"}


@pytest.mark.parametrize(
    ("content", "said"), [((Text("no such file"),), "Error: no such file"), ((), "Error")]
)
def test_a_failed_result_says_so_in_its_text_trap_30(
    codec: OpenAIChatCodec, content: tuple[Text, ...], said: str
) -> None:
    _, result = _messages(
        codec,
        _assistant(_call("a")),
        _user(ToolResult(call_id="a", content=content, is_error=True)),
    )
    assert result["content"] == said


def test_ids_are_made_to_fit_alike_for_a_call_and_its_result_trap_23(
    codec: OpenAIChatCodec,
) -> None:
    long_id = "toolu_" + "x" * 60
    assistant, result = _messages(
        codec,
        _assistant(_call(long_id)),
        _user(ToolResult(call_id=long_id, content=(Text("1"),))),
    )
    assert re.fullmatch(r"call_[0-9a-f]{24}", str(result["tool_call_id"]))
    assert assistant["tool_calls"] == [
        {
            "id": result["tool_call_id"],
            "type": "function",
            "function": {"name": "f", "arguments": "{}"},
        }
    ]


def test_calls_without_ids_get_some_and_pair_with_their_results_trap_24(
    codec: OpenAIChatCodec,
) -> None:
    assistant, first, second = _messages(
        codec,
        _assistant(_call("", "f"), _call("", "g")),
        _user(
            ToolResult(call_id="", name="g", content=(Text("g"),)),
            ToolResult(call_id="", name="f", content=(Text("f"),)),
        ),
    )
    calls = assistant["tool_calls"]
    assert isinstance(calls, list)
    ids = [call["id"] for call in calls if isinstance(call, dict)]
    assert [second["tool_call_id"], first["tool_call_id"]] == ids
    assert len(set(ids)) == 2


def test_empty_arguments_are_an_empty_object_and_invalid_ones_stay_trap_25(
    codec: OpenAIChatCodec,
) -> None:
    [message] = _messages(
        codec, _assistant(_call("a", arguments=""), _call("b", arguments='{"x": '))
    )
    calls = message["tool_calls"]
    assert message["content"] is None
    assert isinstance(calls, list)
    assert [call["function"] for call in calls if isinstance(call, dict)] == [
        {"name": "f", "arguments": "{}"},
        {"name": "f", "arguments": '{"x": '},
    ]


def test_reasoning_of_another_dialect_is_left_out(codec: OpenAIChatCodec) -> None:
    assert _messages(
        codec,
        _assistant(Thinking(text="hm", signature="s"), Thinking(text="", redacted="r"), Text("a")),
    ) == [{"role": "assistant", "content": "a"}]


def test_a_refusal_of_another_dialect_is_what_the_assistant_said(codec: OpenAIChatCodec) -> None:
    assert _messages(codec, _assistant(Refusal("no"))) == [{"role": "assistant", "content": "no"}]


@pytest.mark.parametrize(
    ("turn", "named"),
    [
        (_user(Opaque(_OTHER, {"type": "search_result"})), "search_result"),
        (_assistant(Opaque(_OTHER, {"type": "server_tool_use"})), "server_tool_use"),
        (_user(Image(source=FileSource("file-1"))), "file id"),
        (_user(Document(source=FileSource("file-1"))), "file id"),
        (_user(Document(source=UrlSource("https://example.com/a.pdf"))), "link"),
        (_assistant(Image(source=_PNG)), "image"),
        (_user(_call("a")), "tool call"),
        (_assistant(ToolResult(call_id="a", content=())), "result"),
        (
            Turn(role=Role.SYSTEM, parts=(ToolResult(call_id="a", content=()),)),
            "result",
        ),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(
    codec: OpenAIChatCodec, turn: Turn, named: str
) -> None:
    with pytest.raises(ApiFailure, match=named) as failure:
        _messages(codec, turn)
    error = failure.value.error
    assert (error.kind, error.param) == (ErrorKind.BAD_REQUEST, "messages")


def test_messages_of_this_dialect_keep_their_shape(codec: OpenAIChatCodec) -> None:
    messages: list[JsonValue] = [
        {
            "role": "system",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": ""}],
        },
        {
            "role": "user",
            "content": [{"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}],
            "name": "ann",
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "x"}},
                {
                    "id": "d",
                    "type": "function",
                    "function": {"name": "f", "arguments": "{}"},
                    "extra_content": {"signature": "s"},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "1"}] * 2},
        {"role": "tool", "tool_call_id": "d", "content": "2", "cache_control": {}},
        {"role": "assistant", "content": None, "refusal": "no"},
        {"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]},
        {"role": "assistant", "content": None, "audio": {"id": "audio-1"}},
        {
            "role": "user",
            "content": [{"type": "video_url", "video_url": {"url": "https://example.com/v"}}],
        },
    ]
    assert _resent(codec, messages) == messages


def test_reasoning_goes_back_as_it_came_but_not_to_openai_traps_56_57(
    codec: OpenAIChatCodec,
) -> None:
    answer: JsonObject = {
        "role": "assistant",
        "content": "a",
        "reasoning": "hm",
        "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s"}],
    }
    assert _resent(codec, [answer]) == [answer]
    assert _resent(codec, [answer], _OPENAI) == [{"role": "assistant", "content": "a"}]
    silent: JsonObject = {"role": "assistant", "content": None, "reasoning_content": "hm"}
    assert _resent(codec, [silent]) == [silent]
    assert _resent(codec, [silent], _OPENAI) == [{"role": "assistant", "content": ""}]


def test_the_form_before_tools_becomes_calls_with_ids(codec: OpenAIChatCodec) -> None:
    messages = _resent(
        codec,
        [
            {
                "role": "assistant",
                "content": None,
                "function_call": {"name": "f", "arguments": "{}"},
            },
            {"role": "function", "name": "f", "content": "1"},
        ],
    )
    match messages:
        case [
            {"role": "assistant", "tool_calls": [{"id": str(call_id), "type": "function"}]},
            {"role": "tool", "tool_call_id": str(answered), "name": "f", "content": "1"},
        ]:
            assert call_id == answered
        case _:
            pytest.fail(f"unexpected messages: {messages}")


def test_parts_of_this_dialect_are_known_by_its_name(codec: OpenAIChatCodec) -> None:
    raw: JsonObject = {"type": "video_url", "video_url": {"url": "https://example.com/v"}}
    [message] = _messages(codec, _user(Opaque(OPENAI, raw)))
    assert message["content"] == [raw]
