"""What lives as long as a stream goes with its last reference, not when a collector comes by: that
is frozen while many streams are held."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest

from forebay.protocol.canonical.assembly import events_of
from forebay.protocol.canonical.events import ChatResponse, FinishReason, Usage
from forebay.protocol.canonical.requests import ChatRequest, Text, Thinking, ToolCall
from forebay.protocol.dialects.base import (
    ChatCodec,
    ReplyContext,
    StreamDecoder,
    StreamEncoder,
)
from forebay.protocol.dialects.registry import CODECS

ANSWER = ChatResponse(
    id="",
    model="m",
    created=0,
    parts=(
        Thinking(text="hm"),
        Text("yes"),
        ToolCall(id="c1", name="f", arguments='{"x":1}'),
        ToolCall(id="c2", name="g", arguments=""),
    ),
    finish=FinishReason.TOOL_CALLS,
    usage=Usage(input_uncached=1, output=2),
)
all_codecs = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())


def encoder_of(codec: ChatCodec) -> StreamEncoder:
    request = ChatRequest(model="m", turns=(), stream=True, stream_usage=True)
    return codec.stream_encoder(
        ReplyContext(
            request=request,
            response_id="0123456789abcdef",
            created=1,
            input_tokens_estimate=1,
            elapsed_ns=lambda: 1,
        )
    )


def stream_of(codec: ChatCodec) -> bytes:
    encoder = encoder_of(codec)
    return b"".join(encoder.encode(event) for event in events_of(ANSWER))


def goes_with_its_last_reference(make: Callable[[], object]) -> bool:
    gc.collect()
    gc.disable()
    try:
        gone = weakref.ref(make())
        return gone() is None
    finally:
        gc.enable()


@all_codecs
def test_a_decoder_goes_with_its_last_reference(codec: ChatCodec) -> None:
    stream = stream_of(codec)

    def unread() -> StreamDecoder:
        return codec.stream_decoder()

    def half_read() -> StreamDecoder:
        decoder = codec.stream_decoder()
        assert decoder.feed(stream[: len(stream) // 2])
        return decoder

    def read() -> StreamDecoder:
        decoder = codec.stream_decoder()
        assert decoder.feed(stream)
        decoder.close()
        return decoder

    for make in (unread, half_read, read):
        assert goes_with_its_last_reference(make)


@all_codecs
def test_an_encoder_goes_with_its_last_reference(codec: ChatCodec) -> None:
    def half_written() -> StreamEncoder:
        encoder = encoder_of(codec)
        for event in list(events_of(ANSWER))[:5]:
            encoder.encode(event)
        return encoder

    def written() -> StreamEncoder:
        encoder = encoder_of(codec)
        for event in events_of(ANSWER):
            encoder.encode(event)
        return encoder

    for make in (half_written, written):
        assert goes_with_its_last_reference(make)
