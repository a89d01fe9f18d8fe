"""Conversations of any dialect, made to fit the Messages API's rules."""

from __future__ import annotations

import re
from base64 import b64encode
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from forebay.protocol.dialects.anthropic import ANTHROPIC, AnthropicMessagesCodec
from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps

OTHER = Dialect("openai")
PNG = b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()
JPEG = b64encode(b"\xff\xd8\xff\xe0" + bytes(20)).decode()
GIF = b64encode(b"GIF89a" + bytes(20)).decode()
WEBP = b64encode(b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(20)).decode()
PDF = b64encode(b"%PDF-1.7\n" + bytes(20)).decode()


def turn(role: Role, *parts: Part | str) -> Turn:
    return Turn(
        role=role,
        parts=tuple(Text(part) if isinstance(part, str) else part for part in parts),
    )


def user(*parts: Part | str) -> Turn:
    return turn(Role.USER, *parts)


def assistant(*parts: Part | str) -> Turn:
    return turn(Role.ASSISTANT, *parts)


def system(*parts: Part | str) -> Turn:
    return turn(Role.SYSTEM, *parts)


def call(call_id: str, name: str = "f", arguments: str = "{}") -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments=arguments)


def result(call_id: str, *content: Text | Image | Document | str) -> ToolResult:
    return ToolResult(
        call_id=call_id,
        content=tuple(Text(part) if isinstance(part, str) else part for part in content),
    )


def sent(*turns: Turn) -> JsonObject:
    request = ChatRequest(model="claude", turns=turns)
    return AnthropicMessagesCodec().encode_request(request, UpstreamTraits()).body


def messages(*turns: Turn) -> list[JsonObject]:
    written = sent(*turns)["messages"]
    assert isinstance(written, list)
    return [message for message in written if isinstance(message, dict)]


def blocks(message: JsonObject) -> list[JsonObject]:
    content = message["content"]
    assert isinstance(content, list)
    return [block for block in content if isinstance(block, dict)]


def text(said: str) -> JsonObject:
    return {"type": "text", "text": said}


def refused(*turns: Turn) -> str:
    with pytest.raises(ApiFailure) as caught:
        sent(*turns)
    assert caught.value.error.kind is ErrorKind.BAD_REQUEST
    assert caught.value.error.param == "messages"
    return caught.value.error.message


def test_adjacent_turns_of_a_role_become_one_trap_14() -> None:
    assert messages(user("a"), user("b"), assistant("c"), user("d")) == [
        {"role": "user", "content": [text("a"), text("b")]},
        {"role": "assistant", "content": [text("c")]},
        {"role": "user", "content": [text("d")]},
    ]


def test_a_user_begins_trap_15() -> None:
    assert messages(assistant("c"), user("d")) == [
        {"role": "user", "content": [text(".")]},
        {"role": "assistant", "content": [text("c")]},
        {"role": "user", "content": [text("d")]},
    ]


@pytest.mark.parametrize("blank", ["", " ", "\n\t "])
def test_blank_texts_are_left_out_trap_16(blank: str) -> None:
    assert messages(user(blank, "a"), assistant(blank), user("b")) == [
        {"role": "user", "content": [text("a"), text("b")]},
    ]
    assert messages(user("a"), assistant("b"), user(blank)) == [
        {"role": "user", "content": [text("a")]},
        {"role": "assistant", "content": [text("b")]},
        {"role": "user", "content": [text(".")]},
    ]


def test_leading_system_and_developer_turns_are_the_system_field() -> None:
    body = sent(system("a", "", "b"), turn(Role.DEVELOPER, "c"), user("d"))
    assert body["system"] == [text("a"), text("b"), text("c")]
    assert body["messages"] == [{"role": "user", "content": [text("d")]}]


def test_a_later_system_turn_stays_at_its_place_trap_17() -> None:
    body = sent(
        system("first"), user("a"), assistant("b"), user("c"), turn(Role.DEVELOPER, "x", "y")
    )
    assert body["system"] == [text("first")]
    written = body["messages"]
    assert isinstance(written, list)
    assert written[-1] == {
        "role": "user",
        "content": [text("c"), text("<system>x\n\ny</system>")],
    }


def test_a_system_message_that_an_anthropic_client_wrote_stays_one() -> None:
    own = Turn(role=Role.SYSTEM, parts=(Text("x"),), extras={ANTHROPIC: {"role": "system"}})
    assert messages(user("a"), own, assistant("b"), own, user("c")) == [
        {"role": "user", "content": [text("a")]},
        {"role": "system", "content": [text("x")]},
        {"role": "assistant", "content": [text("b")]},
        # The API wants it after a user's message or a tool's result.
        {"role": "user", "content": [text("<system>x</system>"), text("c")]},
    ]
    answered = messages(user("a"), assistant(call("t1")), own, user(result("t1", "r")))
    assert [message["role"] for message in answered] == ["user", "assistant", "user", "system"]
    assert blocks(answered[2])[0]["tool_use_id"] == "t1"


def test_only_a_developer_message_is_served() -> None:
    body = sent(turn(Role.DEVELOPER, "Say hello."))
    assert body["system"] == [text("Say hello.")]
    assert body["messages"] == [{"role": "user", "content": [text(".")]}]


def test_no_turns_at_all_are_refused() -> None:
    assert "messages" in refused()


def test_results_come_first_in_the_order_of_the_calls_trap_19() -> None:
    written = messages(
        user("a"),
        assistant("b", call("t1"), call("t2")),
        user(result("t2", "two")),
        user(result("t1", "one")),
        user("c"),
    )
    assert [message["role"] for message in written] == ["user", "assistant", "user"]
    assert blocks(written[2]) == [
        {"type": "tool_result", "tool_use_id": "t1", "content": [text("one")]},
        {"type": "tool_result", "tool_use_id": "t2", "content": [text("two")]},
        text("c"),
    ]


def test_text_that_comes_before_a_result_is_put_after_it() -> None:
    written = messages(assistant(call("t1")), user("c", result("t1", "one")))
    assert [block["type"] for block in blocks(written[-1])] == ["tool_result", "text"]


@pytest.mark.parametrize("more", [(user("c"),), ()])
def test_a_missing_result_is_made_up_as_an_error_trap_20(more: tuple[Turn, ...]) -> None:
    written = messages(user("a"), assistant(call("t1"), call("t2")), user(result("t1")), *more)
    first, second, *_ = blocks(written[2])
    assert first == {"type": "tool_result", "tool_use_id": "t1"}
    assert second == {
        "type": "tool_result",
        "tool_use_id": "t2",
        "content": [text("no result")],
        "is_error": True,
    }


def test_calls_at_the_very_end_are_answered_too_trap_20() -> None:
    written = messages(user("a"), assistant(call("t1")))
    assert [message["role"] for message in written] == ["user", "assistant", "user"]
    assert blocks(written[2])[0]["is_error"] is True


def test_a_result_without_its_call_becomes_text_trap_21() -> None:
    orphan = ToolResult(call_id="zz", name="f", content=(Text("18C"),))
    failed = ToolResult(call_id="yy", content=(Text("boom"),), is_error=True)
    assert messages(user("a"), assistant("b"), user(orphan, failed, "c"))[2] == {
        "role": "user",
        "content": [
            text("Tool result of f:"),
            text("18C"),
            text("Tool error:"),
            text("boom"),
            text("c"),
        ],
    }


def test_a_result_that_comes_too_late_becomes_text_trap_21() -> None:
    written = messages(assistant(call("t1")), user("a"), assistant("b"), user(result("t1", "r")))
    assert blocks(written[2])[0]["is_error"] is True
    assert blocks(written[4]) == [text("Tool result:"), text("r")]


def test_the_last_of_several_results_counts() -> None:
    written = messages(assistant(call("t1")), user(result("t1", "old"), result("t1", "new")))
    assert blocks(written[2]) == [
        {"type": "tool_result", "tool_use_id": "t1", "content": [text("new")]}
    ]


@pytest.mark.parametrize("given_id", ["functions.Bash:0", "ü", "a b", "x" * 65])
def test_ids_are_made_to_fit_alike_for_call_and_result_trap_22(given_id: str) -> None:
    turns = (user("a"), assistant(call(given_id)), user(result(given_id, "r")))
    written = messages(*turns)
    fitted = blocks(written[1])[0]["id"]
    assert isinstance(fitted, str)
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", fitted)
    assert blocks(written[2])[0]["tool_use_id"] == fitted
    later = messages(*turns, assistant("b"), user("c"))
    assert later[:3] == written, "a longer conversation keeps the ids of the shorter one"


def test_missing_ids_are_made_up_and_paired_trap_24() -> None:
    def unnamed(name: str, content: str) -> ToolResult:
        return ToolResult(call_id="", name=name, content=(Text(content),))

    written = messages(
        assistant(call("", "f"), call("", "g"), call("", "f")),
        user(unnamed("g", "of g"), unnamed("f", "first f"), unnamed("f", "second f")),
    )
    calls, results = blocks(written[1]), blocks(written[2])
    assert [block["id"] for block in calls] == [block["tool_use_id"] for block in results]
    assert len({str(block["id"]) for block in calls}) == 3
    assert [block["content"] for block in results] == [
        [text("first f")],
        [text("of g")],
        [text("second f")],
    ]


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ("", {}),
        ("  ", {}),
        ('{"a": 1}', {"a": 1}),
        ('{"a": ', {"_raw": '{"a": '}),
        ("[1]", {"_raw": "[1]"}),
        ('"x"', {"_raw": '"x"'}),
        ("null", {"_raw": "null"}),
        ('{"a":' * 248 + "1" + "}" * 248, {"_raw": '{"a":' * 248 + "1" + "}" * 248}),
    ],
)
def test_arguments_become_an_object_traps_25_and_26(arguments: str, written: JsonValue) -> None:
    block = blocks(messages(assistant(call("t1", arguments=arguments)))[1])[0]
    assert block["input"] == written


@pytest.mark.parametrize(
    ("data", "said", "media_type"),
    [
        (JPEG, "image/png", "image/jpeg"),
        (PNG, "image/jpeg", "image/png"),
        (GIF, None, "image/gif"),
        (WEBP, "application/octet-stream", "image/webp"),
        ("AAAA", "image/png", "image/png"),
    ],
)
def test_the_bytes_decide_the_type_of_an_image_trap_41(
    data: str, said: str | None, media_type: str
) -> None:
    image = Image(source=InlineData(base64=data, media_type=said))
    assert blocks(messages(user(image))[0]) == [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": media_type, "data": data},
        }
    ]


@pytest.mark.parametrize("said", [None, "image/bmp"])
def test_an_image_of_a_type_that_the_api_lacks_is_refused(said: str | None) -> None:
    message = refused(user(Image(source=InlineData(base64="AAAA", media_type=said))))
    assert "image/png" in message


def test_images_by_url() -> None:
    image = Image(source=UrlSource("https://example.com/a.png"), detail="low")
    assert blocks(messages(user(image))[0]) == [
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    ]
    assert "https" in refused(user(Image(source=UrlSource("http://example.com/a.png"))))


def test_files_of_another_provider_are_refused() -> None:
    assert "file-1" in refused(user(Image(source=FileSource("file-1"))))
    assert "file-1" in refused(user(Document(source=FileSource("file-1"))))


def test_documents() -> None:
    pdf = Document(source=InlineData(base64=PDF), title="T")
    plain = Document(source=InlineData(base64="YWJj", media_type="text/markdown"))
    typed = Document(source=Text("abc"))
    linked = Document(source=UrlSource("https://example.com/a.pdf"))
    inline: JsonObject = {"type": "text", "media_type": "text/plain", "data": "abc"}
    assert blocks(messages(user(pdf, plain, typed, linked))[0]) == [
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
            "title": "T",
        },
        {"type": "document", "source": inline},
        {"type": "document", "source": inline},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
    ]


@pytest.mark.parametrize(
    "source",
    [
        InlineData(base64="AAAA", media_type="application/msword"),
        InlineData(base64="/w==", media_type="text/plain"),
        UrlSource("http://example.com/a.pdf"),
    ],
)
def test_documents_that_the_api_lacks_are_refused(source: InlineData | UrlSource) -> None:
    assert "document" in refused(user(Document(source=source)))


def test_audio_is_refused() -> None:
    assert "audio" in refused(user(Audio(base64="AAAA", format="wav")))


def test_parts_of_another_dialect_are_refused_and_own_ones_go_back_raw() -> None:
    raw: JsonObject = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    assert blocks(messages(assistant(Opaque(ANTHROPIC, raw)))[1]) == [raw]
    assert "computer_call" in refused(assistant(Opaque(OTHER, {"type": "computer_call"})))


def test_images_inside_a_result() -> None:
    image = Image(source=InlineData(base64=PNG, media_type="image/png"))
    written = messages(assistant(call("t1")), user(result("t1", "see", "", image)))
    content = blocks(written[2])[0]["content"]
    assert isinstance(content, list)
    assert [block["type"] for block in content if isinstance(block, dict)] == ["text", "image"]


def test_a_refusal_in_the_history_is_text() -> None:
    assert blocks(messages(user("a"), assistant(Refusal("No.")), user("b"))[1]) == [text("No.")]


def test_only_thinking_that_anthropic_signed_is_sent_back_trap_53() -> None:
    foreign = Thinking(text="of another model", extras={OTHER: {"x": 1}})
    unsigned = Thinking(text="shown with an empty signature", extras={ANTHROPIC: {}})
    unmarked = Thinking(text="signed by someone", signature="c2ln")
    signed = Thinking(text="own", signature="c2ln", extras={ANTHROPIC: {}})
    redacted = Thinking(text="", redacted="b3BhcXVl", extras={ANTHROPIC: {}})
    written = messages(
        user("a"), assistant(foreign, unsigned, unmarked, signed, redacted, "b"), user("c")
    )
    assert blocks(written[1]) == [
        {"type": "thinking", "thinking": "own", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        text("b"),
    ]


def test_a_turn_of_nothing_but_foreign_thinking_is_left_out() -> None:
    assert len(messages(user("a"), assistant(Thinking(text="x")), user("b"))) == 1


def test_white_space_at_the_end_of_a_prefill_is_cut() -> None:
    assert messages(user("a"), assistant("So: \n"))[1]["content"] == [text("So:")]
    assert messages(user("a"), assistant("So: \n"), user("b"))[1]["content"] == [text("So: \n")]


def test_results_and_calls_on_the_wrong_side_are_refused() -> None:
    assert "tool result" in refused(assistant(result("t1")))
    assert "tool call" in refused(user(call("t1")))


words = st.sampled_from(["", " ", "a", "b c", "d\n"])
ids = st.sampled_from(["", "t1", "t2", "functions.f:0", "x" * 70])
texts = st.builds(Text, words)
calls = st.builds(call, ids, st.sampled_from(["f", "g"]), st.sampled_from(["", "{}", "[", "1"]))
results = st.builds(
    lambda call_id, name, content: ToolResult(call_id=call_id, name=name, content=tuple(content)),
    ids,
    st.sampled_from([None, "f", "g"]),
    st.lists(texts, max_size=2),
)
thoughts = st.builds(
    Thinking,
    text=words,
    signature=st.sampled_from([None, "c2ln"]),
    extras=st.sampled_from([{}, {ANTHROPIC: {}}]),
)
turns = st.one_of(
    st.builds(
        lambda parts: assistant(*parts), st.lists(st.one_of(texts, calls, thoughts), max_size=4)
    ),
    st.builds(lambda parts: user(*parts), st.lists(st.one_of(texts, results), max_size=4)),
    st.builds(
        lambda role, parts, extras: Turn(role=role, parts=tuple(parts), extras=extras),
        st.sampled_from([Role.SYSTEM, Role.DEVELOPER]),
        st.lists(texts, max_size=2),
        st.sampled_from([{}, {ANTHROPIC: {"role": "system"}}]),
    ),
)


@given(st.lists(turns, min_size=1, max_size=8))
def test_any_conversation_obeys_the_rules_of_the_api(conversation: list[Turn]) -> None:
    written = messages(*conversation)
    assert dumps([*written]) == dumps([*messages(*conversation)])
    assert written[0]["role"] == "user"
    roles = [message["role"] for message in written]
    assert all(one != other or one == "system" for one, other in pairwise(roles))
    open_ids: list[JsonValue] = []
    used: set[str] = set()
    for at, message in enumerate(written):
        said = blocks(message)
        assert said
        assert all(str(block["text"]).strip() for block in said if block["type"] == "text")
        if message["role"] == "system":
            assert written[at - 1]["role"] in {"user", "system"}
            continue
        answered = [block["tool_use_id"] for block in said if block["type"] == "tool_result"]
        if message["role"] == "assistant":
            assert not answered
            open_ids = [block["id"] for block in said if block["type"] == "tool_use"]
            for name in map(str, open_ids):
                assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name)
                assert name not in used
                used.add(name)
        else:
            assert answered == open_ids
            assert all(block["type"] == "tool_result" for block in said[: len(answered)])
            open_ids = []
    assert not open_ids
    last = blocks(written[-1])[-1]
    if written[-1]["role"] == "assistant" and last["type"] == "text":
        assert last["text"] == str(last["text"]).rstrip()
