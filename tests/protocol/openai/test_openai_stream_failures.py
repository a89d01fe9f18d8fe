"""Streams of upstreams that fail, in their own words or in silence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import pytest

from forebay.protocol.canonical.errors import ErrorKind
from forebay.protocol.canonical.events import (
    StreamError,
    StreamEvent,
    Usage,
    UsageReport,
)
from forebay.protocol.dialects.openai import OpenAIChatCodec
from forebay.protocol.framing import DEFAULT_FRAME_LIMIT
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps

_DONE = b"[DONE]"
_USAGE: JsonObject = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
_COUNTED = Usage(input_uncached=5, output=3)


class DecodesStream(Protocol):
    def __call__(self, stream: bytes) -> list[StreamEvent]: ...


Sse = Callable[[Sequence[bytes]], bytes]


def _chunk(delta: JsonValue = None, finish: JsonValue = None, **fields: JsonValue) -> bytes:
    choice: JsonObject = {"index": 0, "delta": {} if delta is None else delta}
    choice["finish_reason"] = finish
    return dumps({"id": "chatcmpl-1", "created": 7, "model": "m", "choices": [choice], **fields})


def _usage_chunk(usage: JsonObject = _USAGE) -> bytes:
    return dumps({"id": "chatcmpl-1", "choices": [], "usage": usage})


def _failure(events: list[StreamEvent]) -> StreamError:
    last = events[-1]
    assert isinstance(last, StreamError)
    return last


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"data: [DONE]\n\n",
        b": only comments\n\n",
        b"data: " + _chunk({"role": "assistant"}) + b"\n\n",
        b"data: " + _chunk({"content": "a"}) + b"\n\ndata: [DONE]\n\n",
        b"data: " + _chunk({"content": "a"}) + b'\n\ndata: {"choices":[{"del',
        b"data: " + _usage_chunk() + b"\n\ndata: [DONE]\n\n",
    ],
)
def test_a_stream_without_a_finish_reason_has_failed_trap_86(
    decoded: DecodesStream, stream: bytes
) -> None:
    error = _failure(decoded(stream)).error
    assert error.kind is ErrorKind.UPSTREAM_ERROR
    assert "before it was complete" in error.message


def test_what_was_used_is_reported_also_when_the_stream_breaks(
    decoded: DecodesStream, sse: Sse
) -> None:
    events = decoded(sse([_chunk({"content": "a"}, usage=_USAGE)]))
    assert events[-2] == UsageReport(_COUNTED)
    assert isinstance(events[-1], StreamError)


@pytest.mark.parametrize(
    ("frame", "kind", "status", "message"),
    [
        (
            b'data: {"error":{"message":"Rate limit reached","code":"rate_limit_exceeded"}}\n\n',
            ErrorKind.RATE_LIMITED,
            429,
            "Rate limit reached",
        ),
        (
            b'data: {"error":{"message":"Overloaded","type":"overloaded_error"}}\n\n',
            ErrorKind.UNAVAILABLE,
            503,
            "Overloaded",
        ),
        (
            b'data: {"id":"gen-1","error":{"code":529,"message":"busy"},'
            b'"choices":[{"delta":{"content":""},"finish_reason":"error"}]}\n\n',
            ErrorKind.UNAVAILABLE,
            529,
            "busy",
        ),
        (
            b'data: {"choices":[{"delta":{},"finish_reason":"error",'
            b'"error":{"code":502,"message":"provider died"}}]}\n\n',
            ErrorKind.UPSTREAM_ERROR,
            502,
            "provider died",
        ),
        (
            b'data: {"error":"Model is overloaded","error_type":"overloaded"}\n\n',
            ErrorKind.UNAVAILABLE,
            503,
            "Model is overloaded",
        ),
        (
            b'data: {"error":"out of memory","error_type":"generation"}\n\n',
            ErrorKind.UPSTREAM_ERROR,
            None,
            "out of memory",
        ),
        (
            b'{"error": "Mediapipe execution failed"}',
            ErrorKind.UPSTREAM_ERROR,
            None,
            "Mediapipe execution failed",
        ),
        (
            b'event: error\ndata: {"message":"too long","code":"context_length_exceeded"}\n\n',
            ErrorKind.CONTEXT_OVERFLOW,
            None,
            "too long",
        ),
        (b"event: error\ndata: boom\n\n", ErrorKind.UPSTREAM_ERROR, None, "boom"),
        (
            b'data: {"object":"error","message":"bad","type":"BadRequestError","code":400}\n\n',
            ErrorKind.BAD_REQUEST,
            400,
            "bad",
        ),
        (
            b'data: [{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}]\n\n',
            ErrorKind.UNAVAILABLE,
            503,
            "overloaded",
        ),
    ],
)
def test_an_error_inside_the_stream_ends_it_trap_76(
    decoded: DecodesStream,
    sse: Sse,
    frame: bytes,
    kind: ErrorKind,
    status: int | None,
    message: str,
) -> None:
    for before in (b"", sse([_chunk({"content": "a"})])):
        for after in (b"", sse([_chunk({}, "stop"), _DONE])):
            failure = _failure(decoded(before + frame.rstrip() + b"\n\n" + after))
            assert (failure.error.kind, failure.status) == (kind, status)
            assert failure.error.message == message


@pytest.mark.parametrize(
    "frame", [b"data: hello", b"data: <html>", b"data: 5", b"data: null", b'data: {"choices"']
)
def test_garbage_is_an_error_of_the_upstream(
    decoded: DecodesStream, sse: Sse, frame: bytes
) -> None:
    failure = _failure(decoded(frame + b"\n\n" + sse([_chunk({}, "stop"), _DONE])))
    assert failure.error.kind is ErrorKind.UPSTREAM_ERROR


@pytest.mark.parametrize("word", ["error", "abort", "network_error"])
def test_a_finish_reason_that_is_none_is_an_error(
    decoded: DecodesStream, sse: Sse, word: str
) -> None:
    failure = _failure(decoded(sse([_chunk({"content": "a"}), _chunk({}, word), _DONE])))
    assert failure.error.kind is ErrorKind.UPSTREAM_ERROR
    assert word in failure.error.message


def test_a_frame_without_end_is_an_error_not_a_growing_buffer(codec: OpenAIChatCodec) -> None:
    decoder = codec.stream_decoder()
    events: list[StreamEvent] = []
    megabyte = b"x" * (1 << 20)
    decoder.feed(b"data: ")
    for _ in range(DEFAULT_FRAME_LIMIT // len(megabyte) + 1):
        events += decoder.feed(megabyte)
    assert _failure(events).error.kind is ErrorKind.UPSTREAM_ERROR
    assert decoder.close() == []
