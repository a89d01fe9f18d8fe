"""Streams of the Messages API, written: for strict readers and for Anthropic's own SDK."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import anthropic
import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st

from forebay.protocol.canonical.assembly import assemble, events_of
from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.events import (
    ArgumentsDelta,
    ChatResponse,
    Finish,
    FinishReason,
    PartKind,
    PartStart,
    PartStop,
    SignatureDelta,
    Start,
    StreamError,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Usage,
    UsageReport,
)
from forebay.protocol.canonical.requests import Dialect, Opaque, Text, Thinking, ToolCall
from forebay.protocol.dialects.anthropic import ANTHROPIC, AnthropicMessagesCodec
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.jsontext import JsonObject, JsonValue

ReadStrictly = Callable[[bytes], list[JsonObject]]
ReadBySdk = Callable[[bytes], Message]

CODEC = AnthropicMessagesCodec()
CONTEXT = ReplyContext(
    request=CODEC.decode_request(
        {"model": "claude", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    ),
    response_id="0123abcd",
    created=0,
    input_tokens_estimate=42,
    elapsed_ns=lambda: 0,
)
START = Start(id="chatcmpl-1", model="m", created=5)
END = Finish(reason=FinishReason.END)
ESTIMATE: JsonObject = {
    "input_tokens": 42,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 0,
}


def written(*events: StreamEvent) -> bytes:
    encoder = CODEC.stream_encoder(CONTEXT)
    return b"".join(encoder.encode(event) for event in events)


def text(index: int, *said: str) -> list[StreamEvent]:
    return [
        PartStart(index=index, kind=PartKind.TEXT),
        *(TextDelta(index, piece) for piece in said),
        PartStop(index),
    ]


def call(index: int, call_id: str = "toolu_1") -> PartStart:
    return PartStart(index=index, kind=PartKind.TOOL_CALL, call_id=call_id, call_name="f")


def test_a_stream_of_text(read_strictly: ReadStrictly, read_by_sdk: ReadBySdk) -> None:
    usage = Usage(input_uncached=10, cache_read=90, cache_write=5, output=7, reasoning=2)
    stream = written(START, *text(0, "Hi", "", "."), UsageReport(usage), END)
    spoken: JsonObject = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 90,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 2},
    }
    assert read_strictly(stream) == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_0123abcd",
                "type": "message",
                "role": "assistant",
                "model": "claude",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": ESTIMATE,
            },
        },
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        },
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "Hi"},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "."}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": spoken,
        },
        {"type": "message_stop"},
    ]
    message = read_by_sdk(stream)
    assert message.usage.input_tokens == 10
    assert message.usage.cache_read_input_tokens == 90
    assert message.stop_reason == "end_turn"


def test_every_event_is_written_as_it_comes() -> None:
    encoder = CODEC.stream_encoder(CONTEXT)
    assert encoder.encode(START).startswith(b"event: message_start\n")
    assert encoder.encode(PartStart(index=0, kind=PartKind.TEXT)) == b""
    first = encoder.encode(TextDelta(0, "Hi"))
    assert [line for line in first.split(b"\n") if line.startswith(b"event")] == [
        b"event: content_block_start",
        b"event: content_block_delta",
    ]
    assert b'"text":"there"' in encoder.encode(TextDelta(0, "there"))
    assert b"content_block_stop" in encoder.encode(PartStop(0))


def test_the_ids_and_counts_of_anthropic_are_kept(read_strictly: ReadStrictly) -> None:
    known = Usage(input_uncached=5, output=1)
    events = read_strictly(written(Start(id="msg_own", model="m", created=0, usage=known), END))
    message = events[0]["message"]
    assert isinstance(message, dict)
    assert message["id"] == "msg_own"
    assert message["usage"] == {**ESTIMATE, "input_tokens": 5, "output_tokens": 1}
    assert events[-2]["usage"] == message["usage"]


def test_no_usage_at_all_is_an_estimate_never_null_trap_63(read_strictly: ReadStrictly) -> None:
    assert read_strictly(written(START, END))[-2]["usage"] == ESTIMATE


def test_interleaved_calls_are_shown_one_after_the_other_trap_80(
    read_strictly: ReadStrictly, read_by_sdk: ReadBySdk
) -> None:
    stream = written(
        START,
        call(0, "a"),
        ArgumentsDelta(0, '{"x"'),
        call(1, "b"),
        ArgumentsDelta(1, '{"y"'),
        ArgumentsDelta(0, ":1}"),
        ArgumentsDelta(1, ":2}"),
        PartStop(1),
        *text(2, "Late."),
        PartStop(0),
        Finish(reason=FinishReason.TOOL_CALLS),
    )
    read_strictly(stream)
    message = read_by_sdk(stream)
    assert [block.to_dict(exclude_unset=True) for block in message.content] == [
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "b", "name": "f", "input": {"y": 2}},
        {"type": "text", "text": "Late."},
    ]
    assert message.stop_reason == "tool_use"


def test_what_is_held_back_comes_as_soon_as_it_is_its_turn() -> None:
    encoder = CODEC.stream_encoder(CONTEXT)
    encoder.encode(START)
    encoder.encode(call(0, "a"))
    assert encoder.encode(call(1, "b")) == b""
    assert encoder.encode(ArgumentsDelta(1, "{}")) == b""
    freed = encoder.encode(PartStop(0))
    assert b"content_block_stop" in freed
    assert b'"partial_json":"{}"' in freed
    assert b'"partial_json":" "' in encoder.encode(ArgumentsDelta(1, " "))


def test_thinking_comes_before_text_and_ends_with_its_signature_trap_55(
    read_strictly: ReadStrictly, read_by_sdk: ReadBySdk
) -> None:
    stream = written(
        START,
        PartStart(index=0, kind=PartKind.THINKING),
        SignatureDelta(0, "c2ln"),
        ThinkingDelta(0, "Hm."),
        PartStop(0),
        PartStart(index=1, kind=PartKind.THINKING),
        ThinkingDelta(1, "Of another model."),
        PartStop(1),
        PartStart(index=2, kind=PartKind.THINKING, redacted="b3BhcXVl"),
        PartStop(2),
        *text(3, "Hi."),
        END,
    )
    events = read_strictly(stream)
    assert [event["delta"] for event in events if event["type"] == "content_block_delta"][:3] == [
        {"type": "thinking_delta", "thinking": "Hm."},
        {"type": "signature_delta", "signature": "c2ln"},
        {"type": "thinking_delta", "thinking": "Of another model."},
    ]
    assert [block.to_dict(exclude_unset=True) for block in read_by_sdk(stream).content] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "thinking", "thinking": "Of another model.", "signature": ""},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {"type": "text", "text": "Hi."},
    ]


def test_a_signature_without_text_is_a_block(read_by_sdk: ReadBySdk) -> None:
    stream = written(
        START,
        PartStart(index=0, kind=PartKind.THINKING),
        SignatureDelta(0, "c2ln"),
        PartStop(0),
        END,
    )
    assert [block.to_dict(exclude_unset=True) for block in read_by_sdk(stream).content] == [
        {"type": "thinking", "thinking": "", "signature": "c2ln"}
    ]


def test_parts_that_say_nothing_get_no_block(read_strictly: ReadStrictly) -> None:
    stream = written(
        START,
        *text(0, ""),
        PartStart(index=1, kind=PartKind.THINKING),
        PartStop(1),
        PartStart(index=2, kind=PartKind.OPAQUE, opaque=Opaque(Dialect("openai"), {"type": "x"})),
        PartStop(2),
        *text(3, "Hi."),
        END,
    )
    starts = [event for event in read_strictly(stream) if event["type"] == "content_block_start"]
    assert [event["index"] for event in starts] == [0]


def test_blocks_of_server_tools_are_shown_whole(
    read_strictly: ReadStrictly, read_by_sdk: ReadBySdk
) -> None:
    raw: JsonObject = {
        "type": "server_tool_use",
        "id": "s",
        "name": "web_search",
        "input": {"query": "rain"},
    }
    stream = written(
        START,
        PartStart(index=0, kind=PartKind.OPAQUE, opaque=Opaque(ANTHROPIC, raw)),
        PartStop(0),
        END,
    )
    read_strictly(stream)
    assert read_by_sdk(stream).content[0].to_dict(exclude_unset=True) == raw


def test_calls_without_ids_get_one_each(read_by_sdk: ReadBySdk) -> None:
    stream = written(START, call(0, ""), PartStop(0), call(1, ""), PartStop(1), END)
    content = read_by_sdk(stream).content
    ids = {block.id for block in content if block.type == "tool_use"}
    assert len(ids) == 2
    assert "" not in ids
    whole = CODEC.encode_response(assemble([START, call(0, ""), call(1, ""), END]), CONTEXT)
    blocks = whole["content"]
    assert isinstance(blocks, list)
    assert {block["id"] for block in blocks if isinstance(block, dict)} == ids


@pytest.mark.parametrize(
    ("finish", "stop_sequence", "spoken"),
    [
        (FinishReason.LENGTH, None, ("max_tokens", None)),
        (FinishReason.STOP_SEQUENCE, "END", ("stop_sequence", "END")),
        (FinishReason.STOP_SEQUENCE, None, ("end_turn", None)),
        (FinishReason.TOOL_CALLS, None, ("end_turn", None)),
        (FinishReason.PAUSE, None, ("pause_turn", None)),
        (FinishReason.CONTEXT_FULL, None, ("model_context_window_exceeded", None)),
    ],
)
def test_stop_reasons(
    read_by_sdk: ReadBySdk,
    finish: FinishReason,
    stop_sequence: str | None,
    spoken: tuple[str, str | None],
) -> None:
    message = read_by_sdk(written(START, Finish(reason=finish, stop_sequence=stop_sequence)))
    assert (message.stop_reason, message.stop_sequence) == spoken


def test_an_end_with_calls_waits_for_their_results_traps_65_and_66(
    read_by_sdk: ReadBySdk,
) -> None:
    assert read_by_sdk(written(START, call(0), PartStop(0), END)).stop_reason == "tool_use"


def test_a_refusal_is_text_and_a_reason(read_by_sdk: ReadBySdk) -> None:
    stream = written(
        START,
        PartStart(index=0, kind=PartKind.REFUSAL),
        TextDelta(0, "No."),
        PartStop(0),
        END,
    )
    message = read_by_sdk(stream)
    assert message.stop_reason == "refusal"
    assert [block.to_dict(exclude_unset=True) for block in message.content] == [
        {"type": "text", "text": "No."}
    ]


def test_a_second_start_is_not_shown_trap_85(read_strictly: ReadStrictly) -> None:
    events = read_strictly(written(START, replace(START, id="again"), *text(0, "Hi"), END))
    assert [event["type"] for event in events].count("message_start") == 1


@pytest.mark.parametrize("before", [[], [START], [START, *text(0, "Hi")[:2]]])
def test_an_error_inside_the_stream_raises_in_the_sdk_trap_88(
    read_strictly: ReadStrictly, read_by_sdk: ReadBySdk, before: list[StreamEvent]
) -> None:
    error = ApiError(kind=ErrorKind.RATE_LIMITED, message="waited in vain", retry_after=5)
    stream = written(*before, StreamError(error, 429), TextDelta(0, "more"), END)
    assert read_strictly(stream)[-1] == {
        "type": "error",
        "error": {
            "type": "rate_limit_error",
            "message": "waited in vain",
            "retry_after": 5.0,
        },
    }
    with pytest.raises(anthropic.APIStatusError, match="waited in vain"):
        read_by_sdk(stream)


def test_pings_are_borne_anywhere_trap_96(
    read_strictly: ReadStrictly, read_by_sdk: ReadBySdk
) -> None:
    encoder = CODEC.stream_encoder(CONTEXT)
    ping = encoder.keepalive()
    assert ping.startswith(b"event: ping\ndata: ")
    assert json.loads(ping.split(b"data: ")[1]) == {"type": "ping"}
    stream = ping
    for event in [START, *text(0, "Hi"), call(1), PartStop(1), END]:
        stream += encoder.encode(event) + encoder.keepalive()
    read_strictly(stream)
    assert read_by_sdk(stream).stop_reason == "tool_use"


@pytest.mark.parametrize(
    "name",
    [
        "llamacpp-0.7.0-b11669/messages-stream",
        "llamacpp-0.7.0-b11669/messages-stream-pings",
        "llamacpp-tools-template/messages-toolcall-stream",
        "vllm-0.32.0-cpu/messages-stream",
        "vllm-0.32.0-cpu/messages-tools-stream",
    ],
)
def test_captured_streams_are_written_anew(
    answer: Callable[[str], tuple[int, bytes]],
    read_strictly: ReadStrictly,
    read_by_sdk: ReadBySdk,
    name: str,
) -> None:
    _, captured = answer(name)
    decoder = CODEC.stream_decoder()
    events = decoder.feed(captured) + decoder.close()
    stream = written(*events)
    read_strictly(stream)
    read_by_sdk(stream)
    again = CODEC.stream_decoder()
    reread = assemble(again.feed(stream) + again.close())
    original = assemble(events)
    assert reread == replace(original, id="msg_0123abcd", model="claude")


fragments = st.lists(st.text(max_size=4), max_size=3)


@st.composite
def parts(draw: st.DrawFn, index: int) -> list[StreamEvent]:
    kind = draw(st.sampled_from(PartKind))
    pieces = draw(fragments)
    stop = PartStop(index)
    match kind:
        case PartKind.TEXT | PartKind.REFUSAL:
            deltas: list[StreamEvent] = [TextDelta(index, piece) for piece in pieces]
            return [PartStart(index=index, kind=kind), *deltas, stop]
        case PartKind.THINKING:
            redacted = draw(st.none() | st.text(max_size=4))
            start = PartStart(index=index, kind=kind, redacted=redacted)
            if redacted is not None:
                return [start, stop]
            deltas = [ThinkingDelta(index, piece) for piece in pieces]
            signature: list[StreamEvent] = [SignatureDelta(index, draw(st.text(max_size=4)))]
            return [start, *deltas, *draw(st.sampled_from([[], signature])), stop]
        case PartKind.TOOL_CALL:
            deltas = [ArgumentsDelta(index, piece) for piece in draw(arguments)]
            start = PartStart(
                index=index, kind=kind, call_id=draw(st.text(max_size=3)), call_name="f"
            )
            return [start, *deltas, stop]
        case _:
            opaque = Opaque(
                draw(st.sampled_from([ANTHROPIC, Dialect("openai")])),
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            )
            return [PartStart(index=index, kind=kind, opaque=opaque), stop]


arguments = st.sampled_from([[], [""], ["{}"], ['{"a"', ":1}"], ['{"a":[', "", '"é"]}']])
counts = st.integers(0, 10**6)
reports = st.builds(
    UsageReport, st.builds(Usage, input_uncached=counts, cache_read=counts, output=counts)
)


@st.composite
def streams(draw: st.DrawFn) -> list[StreamEvent]:
    """Any well-formed stream: parts begin in order, their events interleave at will."""
    waiting = [draw(parts(index)) for index in range(draw(st.integers(0, 4)))]
    open_parts: list[list[StreamEvent]] = []
    events: list[StreamEvent] = [START]
    while waiting or open_parts:
        if waiting and (not open_parts or draw(st.booleans())):
            open_parts.append(waiting.pop(0))
            chosen = open_parts[-1]
        else:
            chosen = draw(st.sampled_from(open_parts))
        events.append(chosen.pop(0))
        open_parts = [rest for rest in open_parts if rest]
        if draw(st.integers(0, 9)) == 0:
            events.append(draw(reports))
    end: StreamEvent = Finish(
        reason=draw(st.sampled_from(FinishReason)), stop_sequence=draw(st.none() | st.just("x"))
    )
    failed = StreamError(ApiError(kind=draw(st.sampled_from(ErrorKind)), message="x"))
    return [*events, draw(st.sampled_from([end, end, end, failed]))]


def expected_blocks(events: Sequence[StreamEvent]) -> list[JsonValue]:
    """What the blocks of the whole answer would be."""
    body = CODEC.encode_response(assemble(events), CONTEXT)
    content = body["content"]
    assert isinstance(content, list)
    return content


@given(events=streams())
def test_any_stream_is_written_by_the_rules_and_says_what_the_whole_answer_says(
    read_strictly: ReadStrictly, read_by_sdk: ReadBySdk, events: list[StreamEvent]
) -> None:
    stream = written(*events)
    frames = read_strictly(stream)
    if isinstance(events[-1], StreamError):
        assert frames[-1]["type"] == "error"
        return
    assert frames[-1]["type"] == "message_stop"
    message = read_by_sdk(stream)
    content = [block.to_dict(exclude_unset=True) for block in message.content]
    assert content == expected_blocks(events)
    whole = CODEC.encode_response(assemble(events), CONTEXT)
    assert message.stop_reason == whole["stop_reason"]
    assert message.stop_sequence == whole["stop_sequence"]


@given(events=streams())
def test_what_is_written_reads_the_same_again(events: list[StreamEvent]) -> None:
    if isinstance(events[-1], StreamError):
        return
    decoder = CODEC.stream_decoder()
    reread = assemble(decoder.feed(written(*events)) + decoder.close())
    assert CODEC.encode_response(reread, CONTEXT)["content"] == expected_blocks(events)


def test_the_shortest_stream_of_a_whole_answer(read_by_sdk: ReadBySdk) -> None:
    answer = ChatResponse(
        id="msg_1",
        model="m",
        created=0,
        parts=(
            Thinking(text="Hm.", signature="c2ln"),
            Text("Hi."),
            ToolCall(id="t", name="f", arguments=""),
        ),
        finish=FinishReason.END,
    )
    message = read_by_sdk(written(*events_of(answer)))
    assert message.id == "msg_1"
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
