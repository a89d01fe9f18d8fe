"""Which waits are bounded and which are not, in virtual time over memory streams."""

from __future__ import annotations

import socket
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, wait_all_tasks_blocked

from forebay.endpoints.serving import ServingOptions, ServingState, serve_stream
from forebay.endpoints.serving._guarded_stream import GuardedStream

if TYPE_CHECKING:
    from tests.serving.conftest import App, Linked, Serving

HELLO = b"GET /hello HTTP/1.1\r\nhost: test\r\n\r\n"
HELD = b"GET /held HTTP/1.1\r\nhost: test\r\n\r\n"


async def test_a_response_held_for_twenty_minutes_is_not_cut_by_any_default(
    app: App, linked: Linked, autojump_clock: MockClock
) -> None:
    async with linked(app) as client:
        await client.send(HELLO)
        await client.answer()
        await client.send(HELD)
        await trio.sleep(20 * 60)
        app.release.set()
        assert (await client.answer()).body == b"at last"


async def test_a_held_request_with_a_pipelined_one_is_not_cut_either(
    app: App, linked: Linked, autojump_clock: MockClock
) -> None:
    async with linked(app) as client:
        await client.send(HELD + HELLO)
        await trio.sleep(20 * 60)
        app.release.set()
        assert (await client.answer()).body == b"at last"
        assert (await client.answer()).body == b"hello"


async def test_a_slow_body_is_the_business_of_the_app(
    app: App, linked: Linked, autojump_clock: MockClock
) -> None:
    async with linked(app) as client:
        await client.send(b"POST /hello HTTP/1.1\r\nhost: test\r\ncontent-length: 20\r\n\r\n")
        for _ in range(20):
            await trio.sleep(60)
            await client.send(b"x")
        assert (await client.answer()).body == b"hello"


async def test_an_idle_connection_ends_after_the_keep_alive_time(
    app: App, linked: Linked, autojump_clock: MockClock
) -> None:
    async with linked(app, keep_alive_timeout=75.0) as client:
        for _ in range(3):
            await trio.sleep(74)
            await client.send(HELLO)
            await client.answer()
        idle_since = trio.current_time()
        assert await client.rest() == b""
        assert trio.current_time() == pytest.approx(idle_since + 75)


async def test_a_connection_that_never_sends_ends_after_the_keep_alive_time(
    app: App, linked: Linked, autojump_clock: MockClock
) -> None:
    async with linked(app, keep_alive_timeout=75.0) as client:
        opened = trio.current_time()
        assert await client.rest() == b""
        assert trio.current_time() == pytest.approx(opened + 75)


async def test_stray_line_ends_do_not_keep_a_connection_alive(
    app: App, linked: Linked, autojump_clock: MockClock
) -> None:
    async with linked(app, keep_alive_timeout=75.0) as client:
        opened = trio.current_time()
        for _ in range(7):
            await client.send(b"\r\n")
            await trio.sleep(10)
        assert await client.rest() == b""
        assert trio.current_time() == pytest.approx(opened + 75)


@pytest.mark.parametrize("first", [b"", HELLO])
async def test_a_head_must_be_complete_in_time_however_it_trickles(
    app: App, linked: Linked, autojump_clock: MockClock, first: bytes
) -> None:
    async with linked(app, head_timeout=30.0) as client:
        if first:
            await client.send(first)
            await client.answer()
        await trio.sleep(20)
        began = trio.current_time()
        await client.send(b"GET /hello HTTP/1.1\r\n")

        async def trickle() -> None:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                while True:
                    await client.send(b"a: b\r\n")
                    await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trickle)
            assert await client.rest() == b""
            assert trio.current_time() == pytest.approx(began + 30)
            nursery.cancel_scope.cancel()


async def test_the_start_of_a_pipelined_head_is_bounded_from_the_answer_on(
    app: App, linked: Linked, autojump_clock: MockClock
) -> None:
    async with linked(app, head_timeout=30.0) as client:
        await client.send(HELLO + b"GET /he")
        await client.answer()
        answered = trio.current_time()
        assert await client.rest() == b""
        assert trio.current_time() == pytest.approx(answered + 30)


EARLY_404 = b"POST /nothing HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\n"


async def test_a_client_silent_after_an_early_answer_is_left_after_two_seconds(
    app: App, linked: Linked, autojump_clock: MockClock
) -> None:
    state = ServingState()
    async with linked(app, state=state) as client:
        await client.send(EARLY_404)
        await client.answer()
        for _ in range(10):
            await trio.sleep(1)
            await client.send(b"x")
        await trio.sleep(1.9)
        assert state.connections == 1
        await trio.sleep(0.2)
        assert state.connections == 0


async def test_a_client_that_goes_on_after_an_early_answer_is_left_after_half_a_minute(
    app: App, linked: Linked, autojump_clock: MockClock
) -> None:
    state = ServingState()
    async with linked(app, state=state) as client:
        await client.send(EARLY_404)
        await client.answer()
        answered = trio.current_time()
        while state.connections:
            await trio.sleep(1)
            with suppress(trio.BrokenResourceError):
                await client.send(b"x")
        assert trio.current_time() - answered == pytest.approx(30, abs=1.1)


async def test_a_client_that_sent_everything_is_left_at_once(
    app: App, linked: Linked, autojump_clock: MockClock
) -> None:
    state = ServingState()
    async with linked(app, state=state) as client:
        await client.send(b"GET /hello HTTP/1.0\r\n\r\n")
        await client.answer()
        await wait_all_tasks_blocked()
        assert state.connections == 0


async def test_a_reader_that_stalls_is_cut_and_one_that_moves_is_not(
    app: App, autojump_clock: MockClock
) -> None:
    near, far = lockstep_stream_pair()
    options = ServingOptions(write_timeout=60.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(serve_stream, app, far, options=options))
        await near.send_all(b"GET /flood HTTP/1.1\r\nhost: test\r\n\r\n")
        for _ in range(30):
            await trio.sleep(55)
            received = 0
            while received < 20_000:
                received += len(await near.receive_some(20_000))
        stalled = trio.current_time()
        assert [name for name, _ in app.events] == ["began /flood"]
        assert await app.until("unreachable /flood") == pytest.approx(stalled + 60)


async def test_a_slow_reader_is_seen_to_move_before_the_kernel_asks_for_more(
    mock_clock: MockClock,
) -> None:
    """The kernel reports room only when much of it is free; the bytes still unacknowledged tell
    earlier that the reader reads."""
    listening = socket.create_server(("127.0.0.1", 0))
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    reader.connect(listening.getsockname())
    sender = trio.SocketStream(trio.socket.from_stdlib_socket(listening.accept()[0]))
    listening.close()
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024)
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 2**31 - 1)
    guarded = GuardedStream(sender, write_timeout=60.0)
    ended: list[trio.BrokenResourceError] = []

    async def send() -> None:
        try:
            await guarded.send_all(bytes(16 * 1024 * 1024))
        except trio.BrokenResourceError as error:
            ended.append(error)

    async def pass_time(seconds: float) -> None:
        await wait_all_tasks_blocked()
        mock_clock.jump(seconds)
        await wait_all_tasks_blocked()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        for _ in range(4):
            await wait_all_tasks_blocked()
            assert len(reader.recv(64 * 1024)) > 0
            await pass_time(61)
            assert ended == []
        await pass_time(61)
        assert len(ended) == 1
        assert "took nothing for 60 s" in str(ended[0])
    reader.close()


async def test_a_send_to_a_stalled_reader_can_be_cancelled(app: App, serving: Serving) -> None:
    """Hypercorn shields its sends: this app would never get out of the one that is stuck."""
    cancelled = trio.Event()

    async def gives_up(*args: object) -> None:
        with trio.move_on_after(0.05) as scope:
            await app(*args)  # type: ignore[arg-type]
        assert scope.cancelled_caught
        cancelled.set()

    async with serving(gives_up, write_timeout=60.0) as server:
        client = await server.connect()
        await client.send(b"GET /flood HTTP/1.1\r\nhost: test\r\n\r\n")
        with trio.fail_after(2):
            await cancelled.wait()
            # What follows a torn piece would make no sense, so the connection ends.
            with pytest.raises(trio.BrokenResourceError):
                await client.rest()
