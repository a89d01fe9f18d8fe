"""What a well-behaved client sees: answers, reuse of connections, headers, one send an answer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from forebay.endpoints.serving import ServingState, serve_stream

if TYPE_CHECKING:
    from tests.serving.conftest import App, Linked, Serving

HELLO = b"GET /hello HTTP/1.1\r\nhost: test\r\n\r\n"


async def test_a_connection_serves_one_request_after_another(app: App, linked: Linked) -> None:
    async with linked(app) as client:
        for _ in range(3):
            await client.send(HELLO)
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"hello")
            assert answer.header(b"connection") is None
            assert answer.header(b"date") is not None
    assert [name for name, _ in app.events] == ["began /hello", "ended /hello"] * 3


async def test_the_server_header_names_no_version_and_can_be_left_out(
    app: App, linked: Linked
) -> None:
    async with linked(app) as client:
        await client.send(HELLO)
        assert (await client.answer()).header(b"server") == b"forebay"
    async with linked(app, server_header=None) as client:
        await client.send(HELLO)
        assert (await client.answer()).header(b"server") is None


async def test_pipelined_requests_are_answered_in_order(app: App, linked: Linked) -> None:
    async with linked(app) as client:
        await client.send(HELLO + b"GET /nothing HTTP/1.1\r\nhost: test\r\n\r\n" + HELLO)
        assert [(await client.answer()).status for _ in range(3)] == [200, 404, 200]


async def test_a_pipelined_request_may_come_in_pieces(app: App, linked: Linked) -> None:
    async with linked(app) as client:
        await client.send(HELLO + HELLO[:10])
        assert (await client.answer()).status == 200
        await client.send(HELLO[10:])
        assert (await client.answer()).status == 200


@pytest.mark.parametrize("stray", [b"\r\n", b"\n", b"\r\n\r\n", b"\r"])
async def test_stray_line_ends_around_requests_are_ignored(
    app: App, linked: Linked, stray: bytes
) -> None:
    """RFC 9112 section 2.2. A 400 for them would be taken for the next request's answer."""
    async with linked(app) as client:
        await client.send(stray + HELLO + stray)
        assert (await client.answer()).status == 200
        await client.send(stray)
        await client.send(HELLO)
        assert (await client.answer()).status == 200


async def test_http_1_0_is_answered_and_closed(app: App, linked: Linked) -> None:
    async with linked(app) as client:
        await client.send(b"GET /hello HTTP/1.0\r\n\r\n")
        assert (await client.answer()).body == b"hello"
        assert await client.rest() == b""


async def test_a_body_reaches_the_app_whole(app: App, serving: Serving) -> None:
    async with serving(app) as server:
        client = await server.connect()
        await client.send(b"POST /hello HTTP/1.1\r\nhost: test\r\ncontent-length: 3000000\r\n\r\n")
        await client.send(bytes(3_000_000))
        assert (await client.answer()).status == 200
        assert app.body_bytes == 3_000_000


async def test_a_whole_body_that_the_app_leaves_unread_does_not_cost_the_connection(
    linked: Linked,
) -> None:
    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await trio.testing.wait_all_tasks_blocked()  # the reader waits at the full inbox
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"no", "more_body": False})

    async with linked(app) as client:
        for _ in range(2):
            await client.send(
                b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 65000\r\n\r\n" + bytes(65000)
            )
            answer = await client.answer()
            assert (answer.status, answer.body) == (401, b"no")
            assert answer.header(b"connection") is None


async def test_an_expected_100_continue_is_sent(app: App, linked: Linked) -> None:
    async with linked(app) as client:
        await client.send(
            b"POST /hello HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\n"
            b"expect: 100-continue\r\n\r\n"
        )
        await trio.testing.wait_all_tasks_blocked()
        assert bytes(await client.stream.receive_some()).startswith(b"HTTP/1.1 100 ")
        await client.send(b"body")
        assert (await client.answer()).body == b"hello"
        assert app.body_bytes == 4


async def test_a_small_body_comes_in_one_message(linked: Linked) -> None:
    seen: list[object] = []

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        seen.append(await receive())
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        seen.extend([await receive(), await receive()])

    async with linked(app) as client:
        await client.send(
            b"POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n"
            b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        )
        assert (await client.answer()).status == 204
    disconnect = {"type": "http.disconnect"}
    assert seen == [
        {"type": "http.request", "body": b"abc", "more_body": False},
        disconnect,
        disconnect,
    ]


class RecordedStream(trio.abc.HalfCloseableStream):
    """A stream that remembers each send."""

    def __init__(self, request: bytes) -> None:
        self.sends: list[bytes] = []
        self._incoming = [request]

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        self.sends.append(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        return self._incoming.pop() if self._incoming else b""

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_an_answer_in_one_body_message_is_one_send(app: App) -> None:
    stream = RecordedStream(HELLO)
    await serve_stream(app, stream)
    assert len(stream.sends) == 1
    assert stream.sends[0].startswith(b"HTTP/1.1 200 ")
    assert stream.sends[0].endswith(b"\r\n\r\nhello")


async def test_a_stream_is_one_send_a_message_and_an_empty_message_sends_the_head() -> None:
    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        assert stream.sends == []
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        assert len(stream.sends) == 1
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two", "more_body": True})
        await send({"type": "http.response.body", "body": b"three", "more_body": False})

    stream = RecordedStream(HELLO)
    await serve_stream(app, stream)
    assert stream.sends[0].startswith(b"HTTP/1.1 200 ")
    assert stream.sends[0].endswith(b"\r\n\r\n")
    assert stream.sends[1:] == [
        b"3\r\none\r\n",
        b"3\r\ntwo\r\n",
        b"5\r\nthree\r\n0\r\n\r\n",
    ]


async def test_an_app_that_fails_before_its_first_byte_is_a_500(
    app: App, linked: Linked, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails_late(
        scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("a bug in the app")

    for failing in (app, fails_late):
        async with linked(failing) as client:
            await client.send(b"GET /crash HTTP/1.1\r\nhost: test\r\n\r\n")
            assert (await client.answer()).status == 500
    assert [record.name for record in caplog.records] == ["forebay.serving"] * 2
    assert all(record.exc_info for record in caplog.records)


async def test_an_app_that_fails_in_mid_answer_leaves_it_unfinished(linked: Linked) -> None:
    """Never a clean end after a failure: the client must be able to tell."""

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"some", "more_body": True})

    async with linked(app) as client:
        await client.send(HELLO)
        data = await client.rest()
    assert data.endswith(b"4\r\nsome\r\n")


async def test_counts_follow_connections_and_requests(app: App, linked: Linked) -> None:
    state = ServingState()
    async with linked(app, state=state) as client:
        await client.send(b"GET /held HTTP/1.1\r\nhost: test\r\n\r\n")
        await app.until("held")
        assert (state.connections, state.requests_in_progress) == (1, 1)
        app.release.set()
        assert (await client.answer()).body == b"at last"
        await trio.testing.wait_all_tasks_blocked()
        assert (state.connections, state.requests_in_progress) == (1, 0)
    assert state.connections == 0


async def test_nothing_is_logged_for_what_is_not_a_fault(
    app: App, linked: Linked, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with linked(app) as client:
        await client.send(HELLO)
        await client.answer()
    async with linked(app) as client:
        await client.send(HELLO[:7])
    assert [record for record in caplog.records if record.name.startswith("forebay")] == []
