from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forebay.protocol.framing import FrameTooLong, SseEvent, SseFramer

_PIECES = st.sampled_from(
    [
        b"data: {}\n\n",
        b"data:x",
        b"data: \xf0\x9f\x98\x80",
        b"data",
        b"event: ping\n",
        b": comment\n\n",
        b": OPENROUTER PROCESSING\n",
        b"id: 7\n",
        b"retry: 1\n",
        b'{"error":"bare"}\n',
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xa8",
        b"\x0b\x0c\x85",
        b" ",
        b"",
    ]
)
_STREAMS = st.lists(_PIECES | st.binary(max_size=6), max_size=24).map(b"".join)


def _outcome(stream: bytes, cuts: list[int], *, limit: int, bare_json: bool) -> list[object]:
    """Everything a framer says of a stream that arrives in pieces, its failure included."""
    framer = SseFramer(limit=limit, bare_json=bare_json)
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
    cuts=st.lists(st.integers(min_value=0, max_value=400), max_size=8),
    limit=st.sampled_from([4, 12, 1000]),
    bare_json=st.booleans(),
)
@example(stream=b"data: a\r\ndata: b\r\n\r\n", cuts=[8, 9, 19], limit=1000, bare_json=False)
@example(stream=b"\xef\xbb\xbfdata: a\n\n", cuts=[1, 2, 3], limit=1000, bare_json=False)
@example(stream=b": a comment that is too long\n\n", cuts=[15], limit=12, bare_json=False)
def test_any_split_gives_the_same_events_trap_78(
    stream: bytes, cuts: list[int], limit: int, bare_json: bool
) -> None:
    whole = _outcome(stream, [], limit=limit, bare_json=bare_json)
    assert _outcome(stream, cuts, limit=limit, bare_json=bare_json) == whole
    every_byte = list(range(len(stream)))
    assert _outcome(stream, every_byte, limit=limit, bare_json=bare_json) == whole


def test_line_separators_inside_the_data_do_not_cut_an_event() -> None:
    data = '{"text":"one\u2028two\u2029three\u0085four\x0bfive\x0csix"}'.encode()
    assert SseFramer().feed(b"data: " + data + b"\n\n") == [SseEvent("", data)]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_every_line_end_of_the_standard_ends_a_line(end: bytes) -> None:
    stream = end.join((b"event: a", b"data: 1", b"data: 2", b"", b"data: 3", b"", b""))
    framer = SseFramer()
    assert framer.feed(stream) + framer.close() == [SseEvent("a", b"1\n2"), SseEvent("", b"3")]


def test_comments_and_unknown_fields_are_skipped_trap_93() -> None:
    stream = b": OPENROUTER PROCESSING\n\n:\n\nid: 1\nretry: 5\nka: 1\n\ndata: x\n: inside\n\n"
    assert SseFramer().feed(stream) == [SseEvent("", b"x")]


def test_one_space_after_the_colon_is_removed_and_no_more() -> None:
    assert SseFramer().feed(b"data:  x\ndata:y\ndata\n\n") == [SseEvent("", b" x\ny\n")]


def test_an_event_without_data_is_not_dispatched_and_its_name_is_forgotten() -> None:
    assert SseFramer().feed(b"event: a\n\ndata: x\n\n") == [SseEvent("", b"x")]


def test_an_event_that_lacks_its_blank_line_comes_at_the_close() -> None:
    framer = SseFramer()
    assert framer.feed(b"data: [DONE]") == []
    assert framer.close() == [SseEvent("", b"[DONE]")]


def test_bare_json_is_an_event_only_where_it_is_asked_for() -> None:
    stream = b'data: 1\n\n{"error":"out of memory"}'
    plain, lenient = SseFramer(), SseFramer(bare_json=True)
    assert plain.feed(stream) + plain.close() == [SseEvent("", b"1")]
    assert lenient.feed(stream) + lenient.close() == [
        SseEvent("", b"1"),
        SseEvent("", b'{"error":"out of memory"}'),
    ]


def test_an_event_at_the_limit_passes_and_one_byte_more_does_not() -> None:
    assert SseFramer(limit=11).feed(b"data: 1234\n\n") == [SseEvent("", b"1234")]
    with pytest.raises(FrameTooLong, match="11 bytes"):
        SseFramer(limit=11).feed(b"data: 12345\n\n")


@pytest.mark.parametrize("line", [b"data: 12\n", b"data\n"])
def test_an_event_of_many_short_lines_is_too_long_as_well(line: bytes) -> None:
    framer = SseFramer(limit=1000)
    for _ in range(100):
        assert framer.feed(line) == []
    with pytest.raises(FrameTooLong):
        framer.feed(line * 1000)


def test_events_before_one_that_is_too_long_are_handed_out_first() -> None:
    framer = SseFramer(limit=10)
    assert framer.feed(b"data: 1\n\ndata: much too long\n\ndata: 2\n\n") == [SseEvent("", b"1")]
    with pytest.raises(FrameTooLong):
        framer.feed(b"data: 3\n\n")
    with pytest.raises(FrameTooLong):
        framer.close()
