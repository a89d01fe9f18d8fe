"""How much of what was read may be passed on to Ollama's own clients."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unreadable_lines import DONE, GARBAGE, GOOD, HELLO, UNREADABLE, WORLD

from forebay.protocol.canonical.events import StreamError
from forebay.protocol.dialects.ollama import OllamaChatCodec

_CODEC = OllamaChatCodec()


def readable(stream: bytes, cuts: list[int]) -> bytes:
    """What is left of a stream that is read in pieces."""
    decoder = _CODEC.stream_decoder()
    passed = b""
    edges = [0, *sorted(cuts), len(stream)]
    for start, end in itertools.pairwise(edges):
        events = decoder.feed(stream[start:end])
        passed += stream[start : end - decoder.unreadable]
        if decoder.unreadable:
            assert isinstance(events[-1], StreamError)
            break
    return passed


@given(cuts=st.lists(st.integers(0, len(b"".join(GOOD)))))
def test_a_good_stream_is_readable_to_its_last_byte_however_it_is_split(cuts: list[int]) -> None:
    assert readable(b"".join(GOOD), cuts) == b"".join(GOOD)


@pytest.mark.parametrize("wrong", [name for name in UNREADABLE if name != "aborted"])
def test_no_end_after_a_line_that_cant_be_read_is_readable(wrong: str) -> None:
    stream = b"".join(UNREADABLE[wrong])
    for cut in range(len(stream)):
        passed = readable(stream, [cut])
        assert stream.startswith(passed)
        assert b'"done":true' not in passed


def test_blank_lines_before_a_bad_one_cost_no_good_byte() -> None:
    assert readable(HELLO + b"\n \r\n" + WORLD + b"\n" + GARBAGE + DONE, []).endswith(WORLD)


def test_a_line_that_is_too_long_is_not_readable() -> None:
    decoder = _CODEC.stream_decoder()
    huge = b"x" * (1 << 25)
    (error,) = decoder.feed(huge)
    assert isinstance(error, StreamError)
    assert decoder.unreadable == len(huge)
