from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.protocol.framing import FrameTooLong, LineFramer

_STREAMS = st.lists(
    st.sampled_from([b'{"a":1}', b"\n", b"\r\n", b"\r", b" ", b"\xe2\x80\xa8"])
    | st.binary(max_size=6),
    max_size=24,
).map(b"".join)


def _outcome(stream: bytes, cuts: list[int], *, limit: int) -> list[object]:
    framer = LineFramer(limit=limit)
    said: list[object] = []
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    try:
        for start, end in itertools.pairwise(edges):
            said += framer.feed(stream[start:end])
        said += framer.close()
    except FrameTooLong:
        said.append("too long")
    return said


@given(
    stream=_STREAMS,
    cuts=st.lists(st.integers(min_value=0, max_value=200), max_size=8),
    limit=st.sampled_from([3, 9, 1000]),
)
def test_any_split_gives_the_same_lines_trap_78(stream: bytes, cuts: list[int], limit: int) -> None:
    whole = _outcome(stream, [], limit=limit)
    assert _outcome(stream, cuts, limit=limit) == whole
    assert _outcome(stream, list(range(len(stream))), limit=limit) == whole


def test_only_a_line_feed_ends_a_line() -> None:
    line = '{"text":"one\u2028two\u0085three\rfour"}'.encode()
    assert LineFramer().feed(line + b"\n") == [line]


def test_blank_lines_are_skipped_and_carriage_returns_dropped() -> None:
    assert LineFramer().feed(b"\n\r\n  \na\r\nb\n") == [b"a", b"b"]


def test_a_last_line_without_its_end_comes_at_the_close() -> None:
    framer = LineFramer()
    assert framer.feed(b'{"done":') == []
    assert framer.feed(b"true}") == []
    assert framer.close() == [b'{"done":true}']
    assert framer.close() == []


def test_lines_before_one_that_is_too_long_are_handed_out_first() -> None:
    framer = LineFramer(limit=5)
    assert framer.feed(b"12345\n123456\n1\n") == [b"12345"]
    with pytest.raises(FrameTooLong, match="5 bytes"):
        framer.feed(b"1\n")
    with pytest.raises(FrameTooLong, match="5 bytes"):
        framer.close()


def test_an_endless_line_is_an_error_not_a_growing_buffer() -> None:
    framer = LineFramer(limit=100)
    for _ in range(100):
        assert framer.feed(b"x") == []
    with pytest.raises(FrameTooLong):
        framer.feed(b"x")
