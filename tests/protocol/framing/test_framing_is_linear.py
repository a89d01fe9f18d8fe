"""A frame of many megabytes that trickles in costs work in proportion to its size."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from forebay.protocol.framing import LineFramer, SseFramer

MeasuresBytes = Callable[[Callable[[], object]], int]

_MEGABYTE = 1 << 20
# From single bytes to what one read of a socket brings.
_PIECE_SIZES = (1, 1500, 7, 65536, 4096, 1, 16384)


def _work(framer: LineFramer | SseFramer, frame: bytes, measure: MeasuresBytes) -> int:
    sizes = itertools.cycle(_PIECE_SIZES)
    work = at = 0
    frames: list[object] = []
    while at < len(frame):
        piece = frame[at : at + next(sizes)]
        at += len(piece)
        work += measure(lambda piece=piece: frames.extend(framer.feed(piece)))  # type: ignore[misc]
    assert len(frames) == 1
    return work


@pytest.mark.parametrize("framer", [LineFramer, SseFramer])
def test_twice_the_frame_is_twice_the_work(
    framer: type[LineFramer | SseFramer], allocated_bytes: MeasuresBytes
) -> None:
    text = b'data: {"text":"'
    small = text + b"x" * (5 * _MEGABYTE) + b'"}\n\n'
    large = text + b"x" * (10 * _MEGABYTE) + b'"}\n\n'
    work_of_small = _work(framer(), small, allocated_bytes)
    work_of_large = _work(framer(), large, allocated_bytes)
    # Copying what is held again with every piece would be a ratio of 4, and thousands of megabytes.
    assert work_of_large < 3 * work_of_small
    assert work_of_large < 12 * len(large)


@pytest.mark.parametrize("framer", [LineFramer, SseFramer])
def test_single_bytes_are_held_without_a_cost_of_their_own(
    framer: type[LineFramer | SseFramer], allocated_bytes: MeasuresBytes
) -> None:
    frame = b"data: " + b"x" * 30_000

    def feed_bytewise() -> object:
        reader = framer()
        for at in range(len(frame)):
            reader.feed(frame[at : at + 1])
        return reader

    assert allocated_bytes(feed_bytewise) < 3 * len(frame)
