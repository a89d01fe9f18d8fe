"""Answers of ``POST /v1/completions``: whole and streamed, in both roles, and joined."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol, cast

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import Completion

from forebay.protocol.canonical.assembly import assemble, events_of
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.events import (
    AnswerPart,
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
from forebay.protocol.canonical.requests import Refusal, Text, Thinking
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.ollama import OllamaGenerateCodec
from forebay.protocol.dialects.openai import OpenAICompletionsCodec
from forebay.protocol.jsontext import JsonObject, JsonValue, loads_object

CODEC = OpenAICompletionsCodec()
SERVERS = ("llamacpp-0.7.0-b11669", "vllm-0.32.0-cpu", "transformers-serve-5.23")
WITH_USAGE: JsonObject = {"stream": True, "stream_options": {"include_usage": True}}
START = Start(id="msg_1", model="up", created=0)
SAID = ", the city of Nova Haven was a thriving metropolis, with"
"""What the captured servers said; llama.cpp's model is quantised and said ``New``."""


class Captured(Protocol):
    def __call__(self, name: str) -> Answer: ...


class Answer(Protocol):
    @property
    def status(self) -> int: ...

    @property
    def body(self) -> bytes: ...


ChunksOf = Callable[[bytes], list[JsonObject]]


def reply_to(asked: JsonObject | None = None, *, estimate: int = 42) -> ReplyContext:
    return ReplyContext(
        request=CODEC.decode_request({"model": "house/model", "prompt": "Once", **(asked or {})}),
        response_id="0123abcd",
        created=1_795_000_000,
        input_tokens_estimate=estimate,
        elapsed_ns=lambda: 0,
    )


def response(
    *parts: AnswerPart, finish: FinishReason = FinishReason.END, usage: Usage | None = None
) -> ChatResponse:
    return ChatResponse(id="msg_1", model="up", created=0, parts=parts, finish=finish, usage=usage)


def choices_of(body: JsonObject) -> list[JsonObject]:
    return cast("list[JsonObject]", body["choices"])


def decoded(stream: bytes, cuts: Iterable[int] = ()) -> list[StreamEvent]:
    decoder = CODEC.stream_decoder()
    events: list[StreamEvent] = []
    for start, end in itertools.pairwise([0, *sorted(cuts), len(stream)]):
        events += decoder.feed(stream[start:end])
    events += decoder.close()
    assert isinstance(events[-1], Finish | StreamError)
    assert not any(isinstance(event, Finish | StreamError) for event in events[:-1])
    return events


def streamed(context: ReplyContext, *events: StreamEvent) -> bytes:
    encoder = CODEC.stream_encoder(context)
    return b"".join(encoder.encode(event) for event in events)


def text_of(answer: ChatResponse) -> str:
    return "".join(part.text for part in answer.parts if isinstance(part, Text))


# Whole answers to clients


def test_an_answer_has_every_field_that_openai_sends() -> None:
    written = CODEC.encode_response(
        response(
            Thinking(text="hm"),
            Text(" upon"),
            Text(" a time"),
            usage=Usage(input_uncached=10, cache_read=90, output=70, reasoning=50),
        ),
        reply_to(),
    )
    assert written == {
        "id": "cmpl-0123abcd",
        "object": "text_completion",
        "created": 1_795_000_000,
        "model": "house/model",
        "choices": [
            {"text": " upon a time", "index": 0, "logprobs": None, "finish_reason": "stop"}
        ],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 70,
            "total_tokens": 170,
            "prompt_tokens_details": {"cached_tokens": 90},
            "completion_tokens_details": {"reasoning_tokens": 50},
        },
    }
    Completion.model_validate(written, strict=True)


@pytest.mark.parametrize("reason", FinishReason)
def test_the_api_knows_three_ends(reason: FinishReason) -> None:
    """Traps 67, 68 and 69: whatever the upstream called it."""
    written = CODEC.encode_response(response(Text("x"), finish=reason), reply_to())
    assert choices_of(written)[0]["finish_reason"] == {
        FinishReason.LENGTH: "length",
        FinishReason.CONTEXT_FULL: "length",
        FinishReason.REFUSAL: "content_filter",
    }.get(reason, "stop")
    Completion.model_validate(written, strict=True)


def test_a_refusal_is_text_to_a_client_of_this_api() -> None:
    written = CODEC.encode_response(response(Refusal("No.")), reply_to())
    assert choices_of(written)[0]["text"] == "No."


def test_trap_63_usage_that_the_upstream_left_out_is_estimated() -> None:
    written = CODEC.encode_response(
        response(Thinking(text="1234"), Text("12345")), reply_to(estimate=7)
    )
    usage = cast("JsonObject", written["usage"])
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (7, 3)


# Whole answers of upstreams


def answered(choice: JsonObject, **fields: JsonValue) -> JsonObject:
    return {"object": "text_completion", "choices": [choice], **fields}


@pytest.mark.parametrize("server", SERVERS)
def test_answers_of_real_servers_are_read(captured: Captured, server: str) -> None:
    answer = CODEC.decode_response(loads_object(captured(f"{server}/completions").body))
    assert text_of(answer).replace("New", "Nova") == SAID
    assert answer.finish is FinishReason.LENGTH
    assert answer.usage == Usage(input_uncached=4, output=12)
    again = CODEC.encode_response(answer, reply_to())
    Completion.model_validate(again, strict=True)
    assert CODEC.decode_response(again).parts == answer.parts


def test_probabilities_of_the_api_go_to_its_clients_as_they_came() -> None:
    logprobs: JsonObject = {
        "tokens": [" upon"],
        "token_logprobs": [-0.1],
        "top_logprobs": [{" upon": -0.1, " more": -2.5}],
        "text_offset": [4],
    }
    upstream = answered(
        {"text": " upon", "index": 0, "logprobs": logprobs, "finish_reason": "stop"},
        id="cmpl-up",
        created=5,
        model="up",
        system_fingerprint="fp",
        usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    )
    written = CODEC.encode_response(CODEC.decode_response(upstream), reply_to({"logprobs": 2}))
    assert written["id"] == "cmpl-up"
    assert written["created"] == 5
    assert written["system_fingerprint"] == "fp"
    assert choices_of(written) == [
        {"text": " upon", "index": 0, "logprobs": logprobs, "finish_reason": "stop"}
    ]
    Completion.model_validate(written, strict=True)


@pytest.mark.parametrize(
    ("stop_reason", "finish", "sequence"),
    [(None, FinishReason.END, None), ("END", FinishReason.STOP_SEQUENCE, "END")],
)
def test_vllms_stop_reason_is_kept(
    stop_reason: str | None, finish: FinishReason, sequence: str | None
) -> None:
    choice: JsonObject = {"text": "x", "finish_reason": "stop", "stop_reason": stop_reason}
    answer = CODEC.decode_response(answered(choice))
    assert (answer.finish, answer.stop_sequence) == (finish, sequence)
    written = choices_of(CODEC.encode_response(answer, reply_to()))[0]
    assert written.get("stop_reason") == sequence


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": []},
        {"choices": ["x"]},
        answered({"index": 0}),
        answered({"text": None}),
        answered({"text": "x", "finish_reason": "error"}),
        {"error": {"message": "no"}},
        {"error": "no", "choices": [{"text": "x"}]},
    ],
)
def test_what_is_no_completion_is_the_upstreams_fault(body: JsonObject) -> None:
    with pytest.raises(ApiFailure) as failure:
        CODEC.decode_response(body)
    assert failure.value.error.kind is ErrorKind.UPSTREAM_ERROR


def test_an_empty_completion_is_one() -> None:
    answer = CODEC.decode_response(answered({"text": "", "finish_reason": "stop"}))
    assert choices_of(CODEC.encode_response(answer, reply_to()))[0]["text"] == ""


# Streams of upstreams


@pytest.mark.parametrize("server", SERVERS)
def test_streams_of_real_servers_are_read(captured: Captured, server: str) -> None:
    stream = captured(f"{server}/completions-stream").body
    answer = assemble(decoded(stream))
    assert text_of(answer).replace("New", "Nova") == SAID
    assert answer.finish is FinishReason.LENGTH


@pytest.mark.parametrize("server", SERVERS)
def test_trap_78_a_stream_may_be_cut_anywhere(captured: Captured, server: str) -> None:
    stream = captured(f"{server}/completions-stream").body
    whole = decoded(stream)
    for cut in range(1, len(stream), 7):
        assert decoded(stream, (cut, min(cut + 1, len(stream)))) == whole


def test_trap_86_a_stream_without_its_end_has_failed() -> None:
    events = decoded(b'data: {"choices":[{"index":0,"text":"x","finish_reason":null}]}\n\n')
    assert isinstance(events[-1], StreamError)


def test_other_choices_of_a_stream_are_not_mixed_in() -> None:
    stream = b"".join(
        b'data: {"choices":[{"index":%d,"text":"%b","finish_reason":%b}]}\n\n' % frame
        for frame in (
            (1, b"no", b"null"),
            (0, b"yes", b"null"),
            (0, b"", b'"stop"'),
            (1, b"no", b'"length"'),
        )
    )
    answer = assemble(decoded(stream + b"data: [DONE]\n\n"))
    assert (text_of(answer), answer.finish) == ("yes", FinishReason.END)


def test_an_error_inside_a_stream_is_its_end() -> None:
    events = decoded(b'data: {"error":{"message":"no","code":503}}\n\n')
    assert events == [
        StreamError(ApiError(kind=ErrorKind.UNAVAILABLE, message="no", code="503"), 503)
    ]


# Streams to clients


def test_a_stream_has_the_frames_that_openai_sends(chunks_of: ChunksOf) -> None:
    chunks = chunks_of(
        streamed(
            reply_to({"stream": True}),
            START,
            PartStart(index=0, kind=PartKind.TEXT),
            TextDelta(0, " upon"),
            TextDelta(0, ""),
            TextDelta(0, " a time"),
            PartStop(0),
            UsageReport(Usage(input_uncached=1, output=2)),
            Finish(reason=FinishReason.STOP_SEQUENCE, stop_sequence="END"),
        )
    )
    identity: JsonObject = {
        "id": "cmpl-0123abcd",
        "object": "text_completion",
        "created": 1_795_000_000,
        "model": "house/model",
    }
    assert chunks == [
        {**identity, "choices": [choice]}
        for choice in (
            {"text": " upon", "index": 0, "logprobs": None, "finish_reason": None},
            {"text": " a time", "index": 0, "logprobs": None, "finish_reason": None},
            {
                "text": "",
                "index": 0,
                "logprobs": None,
                "finish_reason": "stop",
                "stop_reason": "END",
            },
        )
    ]


@pytest.mark.parametrize("wanted", [False, True])
def test_trap_77_usage_comes_once_and_only_where_it_is_asked_for(
    chunks_of: ChunksOf, wanted: bool
) -> None:
    context = reply_to(WITH_USAGE if wanted else {"stream": True})
    usage = Usage(input_uncached=1, output=2)
    chunks = chunks_of(streamed(context, *events_of(response(Text("x"), usage=usage))))
    assert [chunk for chunk in chunks if not chunk["choices"]] == chunks[2:]
    assert len(chunks) == (3 if wanted else 2)
    if wanted:
        assert [chunk["usage"] for chunk in chunks[:2]] == [None, None]
        assert cast("JsonObject", chunks[2]["usage"])["total_tokens"] == 3
        assert chunks[2]["id"] == chunks[0]["id"]
    else:
        assert not any("usage" in chunk for chunk in chunks)


def test_thoughts_have_no_place_in_a_stream(chunks_of: ChunksOf) -> None:
    thinking = (
        START,
        PartStart(index=0, kind=PartKind.THINKING),
        ThinkingDelta(0, "hm"),
        SignatureDelta(0, "s"),
        PartStop(0),
        PartStart(index=1, kind=PartKind.TOOL_CALL, call_id="c", call_name="f"),
        ArgumentsDelta(1, "{}"),
        PartStop(1),
    )
    assert streamed(reply_to({"stream": True}), *thinking) == b""
    events = (*thinking, Finish(reason=FinishReason.END))
    [*chunks, last] = chunks_of(streamed(reply_to(WITH_USAGE), *events))
    assert [choice["text"] for chunk in chunks for choice in choices_of(chunk)] == [""]
    # But they were written, and cost.
    assert cast("JsonObject", last["usage"])["completion_tokens"] == 1


def test_trap_87_an_error_ends_a_stream_without_done() -> None:
    error = ApiError(kind=ErrorKind.UPSTREAM_ERROR, message="it broke")
    stream = streamed(
        reply_to({"stream": True}), START, TextDelta(0, "x"), StreamError(error), TextDelta(0, "y")
    )
    *_, last, rest = stream.split(b"\n\n")
    assert b"it broke" in last
    assert rest == b""
    assert b"[DONE]" not in stream


def test_trap_95_a_waiting_client_is_sent_whole_comments() -> None:
    encoder = CODEC.stream_encoder(reply_to({"stream": True}))
    assert encoder.keepalive() == b": queued\n\n"
    encoder.encode(START)
    assert encoder.keepalive() == b": waiting\n\n"


# Joined


def test_whole_answers_are_joined_in_order_with_the_sum_of_their_usage() -> None:
    context = reply_to({"prompt": ["a", "b"], "n": 2})
    responses = [
        response(Text(f"{at}"), finish=finish, usage=Usage(input_uncached=2, output=at))
        for at, finish in enumerate(
            [FinishReason.END, FinishReason.LENGTH, FinishReason.REFUSAL, FinishReason.END]
        )
    ]
    assert len(responses) == len(CODEC.split(context.request))
    written = CODEC.join(responses, context)
    assert [
        (choice["index"], choice["text"], choice["finish_reason"]) for choice in choices_of(written)
    ] == [(0, "0", "stop"), (1, "1", "length"), (2, "2", "content_filter"), (3, "3", "stop")]
    usage = cast("JsonObject", written["usage"])
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (8, 6)
    Completion.model_validate(written, strict=True)


def test_a_sum_that_lacks_a_part_is_estimated_whole() -> None:
    context = reply_to({"prompt": ["a", "b"]}, estimate=11)
    written = CODEC.join(
        [response(Text("1234"), usage=Usage(input_uncached=2)), response(Text("5678"))], context
    )
    usage = cast("JsonObject", written["usage"])
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (11, 2)


def joined(context: ReplyContext, *events: tuple[int, StreamEvent], count: int) -> bytes:
    stream = CODEC.joined_stream(context, count)
    return b"".join(stream.encode(index, event) for index, event in events)


def test_streams_are_joined_as_their_events_come(chunks_of: ChunksOf) -> None:
    """Section Z: every index arrives whole, under one id, with one usage chunk and one end."""
    chunks = chunks_of(
        joined(
            reply_to({"prompt": ["a", "b"], **WITH_USAGE}),
            (1, replace(START, id="cmpl-up")),
            (1, TextDelta(0, "x")),
            (0, replace(START, id="cmpl-other", created=5)),
            (0, TextDelta(0, "y")),
            (1, UsageReport(Usage(input_uncached=1, output=1))),
            (1, Finish(reason=FinishReason.LENGTH)),
            (1, TextDelta(0, "too late")),
            (0, TextDelta(0, "z")),
            (0, UsageReport(Usage(input_uncached=2, output=2))),
            (0, Finish(reason=FinishReason.END)),
            count=2,
        )
    )
    assert {chunk["id"] for chunk in chunks} == {"cmpl-up"}
    assert {chunk["created"] for chunk in chunks} == {1_795_000_000}
    assert [
        (choice["index"], choice["text"], choice["finish_reason"])
        for chunk in chunks
        for choice in choices_of(chunk)
    ] == [
        (1, "x", None),
        (0, "y", None),
        (1, "", "length"),
        (0, "z", None),
        (0, "", "stop"),
    ]
    assert cast("JsonObject", chunks[-1]["usage"])["total_tokens"] == 6


def test_one_failure_is_that_of_the_whole_joined_stream() -> None:
    error = ApiError(kind=ErrorKind.UPSTREAM_ERROR, message="it broke")
    stream = joined(
        reply_to({"prompt": ["a", "b"], "stream": True}),
        (0, START),
        (0, TextDelta(0, "x")),
        (0, Finish(reason=FinishReason.END)),
        (1, StreamError(error)),
        (1, START),
        (1, TextDelta(0, "y")),
        count=2,
    )
    assert b"it broke" in stream
    assert b'"y"' not in stream
    assert b"[DONE]" not in stream


_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
_ANSWER = st.builds(
    lambda texts, finish, tokens: response(
        Text("".join(texts)), finish=finish, usage=Usage(input_uncached=1, output=tokens)
    ),
    st.lists(_TEXT, max_size=4),
    st.sampled_from([FinishReason.END, FinishReason.LENGTH, FinishReason.REFUSAL]),
    st.integers(0, 9),
)


@given(st.lists(_ANSWER, min_size=1, max_size=4), st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=80, deadline=None)
def test_joined_streams_say_what_the_joined_answers_say(
    answers: list[ChatResponse], random: Order, usage: bool
) -> None:
    """In whatever order the events of the answers come."""
    context = reply_to(
        {"prompt": ["p"] * len(answers), **(WITH_USAGE if usage else {"stream": True})}
    )
    waiting = [list(events_of(answer)) for answer in answers]
    stream = CODEC.joined_stream(context, len(answers))
    frames: list[bytes] = []
    while any(waiting):
        index = random.choice([at for at, events in enumerate(waiting) if events])
        frames.append(stream.encode(index, waiting[index].pop(0)))
    *said, done, rest = b"".join(frames).split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    texts = [""] * len(answers)
    reasons: list[JsonValue] = [None] * len(answers)
    chunks = [loads_object(frame.removeprefix(b"data: ")) for frame in said]
    for choice in (choice for chunk in chunks for choice in choices_of(chunk)):
        index = cast("int", choice["index"])
        texts[index] += cast("str", choice["text"])
        reasons[index] = choice["finish_reason"]
    whole = CODEC.join(answers, context)
    assert [(choice["text"], choice["finish_reason"]) for choice in choices_of(whole)] == list(
        zip(texts, reasons, strict=True)
    )
    if usage:
        assert chunks[-1]["usage"] == whole["usage"]
    for chunk in chunks:
        for choice in choices_of(chunk):
            # The client's types know no chunk that is not the last, its reader does.
            choice["finish_reason"] = choice["finish_reason"] or "stop"
        Completion.model_validate(chunk, strict=True)


class Order(Protocol):
    def choice(self, seq: Sequence[int], /) -> int: ...


@given(_ANSWER)
@settings(max_examples=40, deadline=None)
def test_what_we_stream_we_can_read(answer: ChatResponse) -> None:
    events = decoded(streamed(reply_to(WITH_USAGE), *events_of(answer)))
    again = assemble(events)
    assert (text_of(again), again.finish, again.usage) == (
        text_of(answer),
        answer.finish,
        answer.usage,
    )


# The official client, and the other API


@pytest.mark.parametrize("stream", [False, True])
def test_the_official_client_reads_us(stream: bool) -> None:
    def respond(request: httpx2.Request) -> httpx2.Response:
        decoded_request = CODEC.decode_request(loads_object(request.content))
        context = replace(reply_to(), request=decoded_request)
        parts = CODEC.split(decoded_request)
        answers = [
            response(Text(f" after {part.turns[0].text}"), usage=Usage(output=1)) for part in parts
        ]
        if not stream:
            return httpx2.Response(200, json=CODEC.join(answers, context))
        writer = CODEC.joined_stream(context, len(parts))
        body = b"".join(
            writer.encode(index, event)
            for index, answer in enumerate(answers)
            for event in events_of(answer)
        )
        headers = {"content-type": CODEC.stream_content_type}
        return httpx2.Response(200, headers=headers, content=writer.keepalive() + body)

    client = openai.OpenAI(
        api_key="k",
        base_url="http://gateway.invalid/v1",
        http_client=openai.DefaultHttpxClient(transport=httpx2.MockTransport(respond)),
    )
    texts = {0: "", 1: "", 2: "", 3: ""}
    tokens = 0
    completions: Iterable[Completion]
    if stream:
        completions = client.completions.create(
            model="m",
            prompt=["a", "b"],
            n=2,
            stream=True,
            stream_options={"include_usage": True},
        )
    else:
        completions = [client.completions.create(model="m", prompt=["a", "b"], n=2)]
    for completion in completions:
        assert completion.object == "text_completion"
        for choice in completion.choices:
            texts[choice.index] += choice.text
        tokens += completion.usage.completion_tokens if completion.usage else 0
    assert texts == {0: " after a", 1: " after a", 2: " after b", 3: " after b"}
    assert tokens == 4


def test_an_ollama_client_reads_the_completion_of_an_openai_server(captured: Captured) -> None:
    generate = OllamaGenerateCodec()
    request = generate.decode_request({"model": "m", "prompt": "Once", "raw": True})
    answer = CODEC.decode_response(loads_object(captured("vllm-0.32.0-cpu/completions").body))
    written = generate.encode_response(answer, replace(reply_to(), request=request))
    assert (written["response"], written["done_reason"], written["eval_count"]) == (
        SAID,
        "length",
        12,
    )
