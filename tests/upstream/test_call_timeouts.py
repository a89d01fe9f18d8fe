"""The three limits of a call, exact to the instant in virtual time."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from forebay.actors.upstream import (
    AnswerBroken,
    CallTimeouts,
    ConnectFailed,
    NoAnswer,
    OriginStatistics,
)
from tests.upstream.conftest import (
    CHUNKED_HEAD,
    LAST_CHUNK,
    MemoryNetwork,
    Peer,
    answer_each,
    answer_once_with,
    chunk,
    plain,
    post,
    post_and_read,
    stack_over,
    statistics_of,
)

NOTHING_LEFT = OriginStatistics(idle=0, active=0, opened=1)


async def test_connecting_ends_at_its_limit(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    network = MemoryNetwork(nursery, answer_each)
    network.blocked = {"connect"}
    stack = stack_over(network)
    began = trio.current_time()
    with pytest.raises(ConnectFailed, match=r"connecting to upstream\.test:80 took too long"):
        await post_and_read(stack)
    assert trio.current_time() - began == 5.0
    assert statistics_of(stack) == OriginStatistics(idle=0, active=0, opened=0)


async def test_a_tls_handshake_has_what_connecting_left_of_the_limit(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    network = MemoryNetwork(nursery, answer_each)
    network.connect_takes = 3.0
    network.blocked = {"start_tls"}
    stack = stack_over(network)
    began = trio.current_time()
    with pytest.raises(ConnectFailed):
        await post_and_read(stack, url="https://upstream.test/")
    assert trio.current_time() - began == 5.0
    assert network.open_connections == 0
    assert statistics_of(stack) == NOTHING_LEFT


async def test_the_first_byte_has_its_whole_limit_from_the_request_being_sent(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    network = MemoryNetwork(nursery, Peer.client_closes)
    network.connect_takes = 3.0
    stack = stack_over(network)
    began = trio.current_time()
    with pytest.raises(NoAnswer) as caught:
        await post_and_read(stack)
    assert caught.value.timed_out
    assert trio.current_time() - began == 3.0 + 30.0
    assert network.open_connections == 0
    assert statistics_of(stack) == NOTHING_LEFT


async def test_a_head_that_dribbles_in_does_not_stretch_the_limit(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def dribbles(peer: Peer) -> None:
        await peer.request()
        for byte in plain(b"at last"):
            await trio.sleep(4)
            await peer.send(bytes([byte]))

    began = trio.current_time()
    with pytest.raises(NoAnswer) as caught:
        await post_and_read(stack_over(MemoryNetwork(nursery, dribbles)))
    assert caught.value.timed_out
    assert trio.current_time() - began == 30.0


async def test_informational_answers_do_not_stretch_the_limit(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def still_processing(peer: Peer) -> None:
        await peer.request()
        while True:
            await trio.sleep(7)
            await peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")

    began = trio.current_time()
    with pytest.raises(NoAnswer) as caught:
        await post_and_read(stack_over(MemoryNetwork(nursery, still_processing)))
    assert caught.value.timed_out
    assert trio.current_time() - began == 30.0


async def test_an_informational_answer_is_not_taken_for_the_answer(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    network = MemoryNetwork(
        nursery, answer_once_with(b"HTTP/1.1 103 Early Hints\r\n\r\n" + plain(b"ok"))
    )
    assert await post_and_read(stack_over(network)) == b"ok"


async def test_an_upstream_that_does_not_take_the_request_ends_at_the_limit(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    network = MemoryNetwork(nursery, answer_each)
    network.blocked = {"write"}
    stack = stack_over(network)
    began = trio.current_time()
    with pytest.raises(NoAnswer) as caught:
        await post_and_read(stack)
    assert caught.value.timed_out
    assert trio.current_time() - began == 30.0
    assert statistics_of(stack) == NOTHING_LEFT


async def test_a_large_request_has_one_limit_however_many_sends_it_takes(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    network = MemoryNetwork(nursery, answer_each)
    network.write_takes = 20.0
    began = trio.current_time()
    with pytest.raises(NoAnswer) as caught:
        async with post(stack_over(network), body=bytes(200_000)):
            pass
    assert caught.value.timed_out
    assert len(network.made[0].sends) == 1
    assert trio.current_time() - began == 30.0


async def test_each_gap_in_the_body_has_the_whole_limit(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def slows_down(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED_HEAD)
        for gap in (9.5, 9.75, 9.875, 11.0):
            await trio.sleep(gap)
            await peer.send(chunk(b"x"))

    network = MemoryNetwork(nursery, slows_down)
    stack = stack_over(network)
    began = trio.current_time()
    async with post(stack) as answer:
        chunks = answer.chunks()
        came_at = [(await anext(chunks), trio.current_time() - began)[1] for _ in range(3)]
        with pytest.raises(AnswerBroken) as caught:
            await anext(chunks)
    assert caught.value.timed_out
    assert came_at == [9.5, 19.25, 29.125]
    assert trio.current_time() - began == 29.125 + 10.0
    assert network.open_connections == 0
    assert statistics_of(stack) == NOTHING_LEFT


async def test_a_slow_reader_is_not_a_slow_upstream(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    answer_bytes = CHUNKED_HEAD + chunk(b"one") + chunk(b"two") + LAST_CHUNK
    network = MemoryNetwork(nursery, answer_once_with(answer_bytes))
    async with post(stack_over(network)) as answer:
        await trio.sleep(1000)
        assert await answer.read(100) == b"onetwo"


async def test_a_read_that_is_cancelled_and_repeated_loses_nothing(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def every_seven_seconds(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED_HEAD)
        for number in range(5):
            await trio.sleep(7)
            await peer.send(chunk(b"%d" % number))
        await peer.send(LAST_CHUNK)
        await peer.client_closes()

    stack = stack_over(MemoryNetwork(nursery, every_seven_seconds))
    body = b""
    cancelled = 0
    async with post(stack) as answer:
        chunks = answer.chunks()
        while len(body) < 5:
            with trio.move_on_after(2) as slice_of_time:
                body += await anext(chunks)
            cancelled += slice_of_time.cancelled_caught
        assert await answer.read(100) == b""
    assert (body, cancelled) == (b"01234", 15)
    assert statistics_of(stack).idle == 1


async def test_reading_in_slices_meets_the_limit_all_the_same(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    stack = stack_over(MemoryNetwork(nursery, answer_once_with(CHUNKED_HEAD)))
    began = trio.current_time()
    async with post(stack) as answer:
        chunks = answer.chunks()
        for _ in range(3):
            with trio.move_on_after(3):
                await anext(chunks)
            await trio.sleep(1)  # not spent reading
        with pytest.raises(AnswerBroken) as caught:
            await anext(chunks)
    assert caught.value.timed_out
    assert trio.current_time() - began == 4 + 4 + 4 + 1


async def test_no_limit_is_no_limit(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async def takes_a_day(peer: Peer) -> None:
        await peer.request()
        await trio.sleep(86_400)
        await peer.send(CHUNKED_HEAD)
        await trio.sleep(86_400)
        await peer.send(chunk(b"ok") + LAST_CHUNK)

    network = MemoryNetwork(nursery, takes_a_day)
    patient = CallTimeouts(connect=math.inf, first_byte=math.inf, between_bytes=math.inf)
    async with post(stack_over(network), timeouts=patient) as answer:
        assert await answer.read(100) == b"ok"


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan])
@pytest.mark.parametrize("name", ["connect", "first_byte", "between_bytes"])
def test_a_limit_that_is_not_above_zero_is_refused_by_name(name: str, seconds: float) -> None:
    limits = {"connect": 1.0, "first_byte": 1.0, "between_bytes": 1.0, name: seconds}
    with pytest.raises(ValueError, match=f"^{name}: give a number of seconds above 0"):
        CallTimeouts(**limits)
