"""Stop sequences that a server leaves in its streams are taken out: trap 92."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.events import (
    Finish,
    FinishReason,
    PartKind,
    PartStart,
    PartStop,
    Start,
    StreamError,
    StreamEvent,
    TextDelta,
)
from forebay.protocol.dialects.base import StreamDecoder
from forebay.protocol.dialects.stop_text import WithoutStopText

BEGIN: list[StreamEvent] = [
    Start(id="", model="m", created=0),
    PartStart(index=0, kind=PartKind.TEXT),
]
END = Finish(reason=FinishReason.END)


class Script(StreamDecoder):
    """Gives prepared events, whatever it is fed."""

    def __init__(self, *reads: list[StreamEvent]) -> None:
        self._reads = list(reads)

    def feed(self, data: bytes) -> list[StreamEvent]:
        return self._reads.pop(0)

    def close(self) -> list[StreamEvent]:
        return self._reads.pop(0) if self._reads else []


def read(pieces: list[str], stop: tuple[str, ...], *last: StreamEvent) -> list[StreamEvent]:
    reads: list[list[StreamEvent]] = [[TextDelta(0, piece)] for piece in pieces]
    decoder = WithoutStopText(Script(BEGIN, *reads, [*last]), stop)
    return [event for _ in range(len(pieces) + 2) for event in decoder.feed(b"")]


def text_of(events: list[StreamEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize(
    ("pieces", "stop", "text", "found"),
    [
        (["Hello", " END"], ("END",), "Hello ", "END"),
        (["Hello E", "N", "D"], ("END",), "Hello ", "END"),
        (["Hello EN"], ("END",), "Hello EN", None),
        (["EN", "EN", "D"], ("END",), "EN", "END"),
        (["a", "\n", "\n"], ("\n\n",), "a", "\n\n"),
        (["a\n", "b\n", "\n"], ("\n\n",), "a\nb", "\n\n"),
        (["one", "two"], ("x", "wo"), "onet", "wo"),
        (["aXbY"], ("Y", "X"), "a", "X"),
        (["all"], (), "all", None),
        (["all"], ("", "long" * 100), "all", None),
        (["END", "END"], ("END",), "", "END"),
    ],
)
def test_trap_92_the_text_ends_where_its_first_stop_sequence_begins(
    pieces: list[str], stop: tuple[str, ...], text: str, found: str | None
) -> None:
    events = read(pieces, stop, PartStop(0), END)
    assert text_of(events) == text
    reason = FinishReason.END if found is None else FinishReason.STOP_SEQUENCE
    assert events[-2:] == [PartStop(0), Finish(reason=reason, stop_sequence=found)]


def test_trap_92_only_what_may_be_a_stop_sequence_is_held_back() -> None:
    decoder = WithoutStopText(
        Script(BEGIN, [TextDelta(0, "Hello E")], [TextDelta(0, "lse")]), ("END",)
    )
    assert decoder.feed(b"") == BEGIN
    assert decoder.feed(b"") == [TextDelta(0, "Hello ")]
    assert decoder.feed(b"") == [TextDelta(0, "Else")]


def test_trap_92_what_was_held_back_comes_before_an_error_and_an_end_without_a_part_stop() -> None:
    error = StreamError(ApiError(kind=ErrorKind.UPSTREAM_ERROR, message="broke"))
    assert read(["so E"], ("END",), error)[-2:] == [TextDelta(0, "E"), error]
    assert read(["so E"], ("END",), END)[-2:] == [TextDelta(0, "E"), END]


def test_a_limit_stays_a_limit() -> None:
    length = Finish(reason=FinishReason.LENGTH)
    assert read(["x END"], ("END",), length)[-1] == length


def test_what_comes_at_the_close_is_read_alike() -> None:
    decoder = WithoutStopText(Script([*BEGIN, TextDelta(0, "a E")], [PartStop(0), END]), ("END",))
    decoder.feed(b"")
    assert decoder.close() == [TextDelta(0, "E"), PartStop(0), END]


@given(
    pieces=st.lists(st.text("ab", max_size=5), max_size=8),
    stop=st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
)
def test_trap_92_any_pieces_say_the_same_as_the_whole(pieces: list[str], stop: list[str]) -> None:
    whole = "".join(pieces)
    found = [(at + len(one), at) for one in stop if (at := whole.find(one)) >= 0]
    said = whole[: min(found)[1]] if found else whole
    assert text_of(read(pieces, tuple(stop), PartStop(0), END)) == said
