"""The shutdown: who is closed at once, who is answered, who is cut, and that it ends."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from trio.testing import MockClock, lockstep_stream_pair, wait_all_tasks_blocked

from forebay.endpoints.serving import ServingOptions, ServingState, serve, serve_stream

if TYPE_CHECKING:
    from tests.serving.conftest import App, Linked, Serving

HELLO = b"GET /hello HTTP/1.1\r\nhost: test\r\n\r\n"
HELD = b"GET /held HTTP/1.1\r\nhost: test\r\n\r\n"


async def test_idle_connections_and_half_requests_are_closed_at_once(
    app: App, serving: Serving
) -> None:
    async with serving(app, drain_timeout=5.0) as server:
        silent, used, half = [await server.connect() for _ in range(3)]
        await used.send(HELLO)
        await used.answer()
        await half.send(HELLO[:15])
        await server.says_hello()
        server.shutdown.set()
        with trio.fail_after(1):
            for client in (silent, used, half):
                assert await client.rest() == b""
            await server.ended.wait()


async def test_the_listener_is_closed_first(app: App, serving: Serving) -> None:
    async with serving(app, drain_timeout=5.0) as server:
        held = await server.connect()
        await held.send(HELD)
        await app.until("held")
        server.shutdown.set()
        await server.state.drain_began.wait()
        assert server.state.draining
        with pytest.raises(OSError, match=r"127\.0\.0\.1"):
            await server.connect()
        app.release.set()
        await held.answer()


async def test_a_request_in_progress_gets_its_answer_and_then_the_end(
    app: App, serving: Serving
) -> None:
    async with serving(app, drain_timeout=5.0) as server:
        held = await server.connect()
        await held.send(HELD + HELLO)
        await app.until("held")
        server.shutdown.set()
        await server.state.drain_began.wait()
        app.release.set()
        with trio.fail_after(1):
            answer = await held.answer()
            assert (answer.status, answer.body) == (200, b"at last")
            assert answer.header(b"connection") == b"close"
            assert await held.rest() == b""
            await server.ended.wait()
    # The pipelined request was never begun.
    assert [name for name, _ in app.events if name.startswith("began")] == ["began /held"]


async def test_an_answer_that_has_begun_is_completed(linked: Linked) -> None:
    state = ServingState()

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one ", "more_body": True})
        await state.drain_began.wait()
        await send({"type": "http.response.body", "body": b"two", "more_body": False})

    async with linked(app, state=state) as client:
        await client.send(HELLO)
        await wait_all_tasks_blocked()
        state.begin_drain()
        assert (await client.answer()).body == b"one two"
        assert await client.rest() == b""


async def test_a_connection_that_comes_while_draining_is_closed(app: App, linked: Linked) -> None:
    state = ServingState()
    state.begin_drain()
    async with linked(app, state=state) as client:
        await client.send(HELLO)
        assert await client.rest() == b""
    assert app.events == []


async def test_what_is_left_after_the_drain_time_is_cut(app: App, serving: Serving) -> None:
    """Held for ever, stalled in a send, and lingering: none can delay the end."""
    async with serving(app, drain_timeout=0.1, write_timeout=60.0) as server:
        held, stalled, lingering = [await server.connect() for _ in range(3)]
        await held.send(HELD)
        await stalled.send(b"GET /flood HTTP/1.1\r\nhost: test\r\n\r\n")
        await lingering.send(
            b"POST /nothing HTTP/1.1\r\nhost: test\r\ncontent-length: 1000\r\n\r\n"
        )
        await lingering.answer()
        await app.until("held")
        await app.until("began /flood")
        began = trio.current_time()
        server.shutdown.set()
        await server.ended.wait()
        assert 0.1 <= trio.current_time() - began < 1
    assert {"cancelled /held", "cancelled /flood"} <= {name for name, _ in app.events}


async def test_a_websocket_is_told_by_the_app_or_cut(app: App, serving: Serving) -> None:
    async with serving(app, drain_timeout=0.05) as server:
        client = await server.connect()
        await client.send(
            b"GET /chat HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert bytes(await client.stream.receive_some()).startswith(b"HTTP/1.1 101 ")
        server.shutdown.set()
        await server.ended.wait()
    assert "cancelled /chat" in [name for name, _ in app.events]


async def test_a_stuck_send_does_not_outlive_a_cancelled_server(
    app: App, autojump_clock: MockClock
) -> None:
    near, far = lockstep_stream_pair()
    with trio.move_on_after(10) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                partial(serve_stream, app, far, options=ServingOptions(write_timeout=1000.0))
            )
            await near.send_all(b"GET /flood HTTP/1.1\r\nhost: test\r\n\r\n")
    assert scope.cancelled_caught
    assert trio.current_time() - app.events[0][1] == pytest.approx(10)


async def test_a_taken_port_is_reported_to_the_caller(app: App, serving: Serving) -> None:
    async with serving(app) as server:
        with pytest.raises(OSError, match="in use"):
            await serve(app, ServingOptions(port=server.address[1]), shutdown=trio.Event())
        await server.says_hello()


async def test_cancelling_the_server_closes_everything(app: App) -> None:
    async with trio.open_nursery() as nursery:
        ((host, port),) = await nursery.start(
            partial(serve, app, ServingOptions(port=0), shutdown=trio.Event())
        )
        stream = await trio.open_tcp_stream(host, port)
        await stream.send_all(HELD)
        await app.until("held")
        nursery.cancel_scope.cancel()
    assert app.events[-1][0] == "cancelled /held"
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        await trio.open_tcp_stream(host, port)
    await stream.aclose()
