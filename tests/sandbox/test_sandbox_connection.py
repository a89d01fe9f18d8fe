"""HTTP/1.1 on a connection: pace, keep-alive, disconnects, broken requests, cancellation."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable

import h11
import httpx
import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from forebay.endpoints.sandbox import (
    Request,
    Sandbox,
    SandboxOptions,
    serve_connection,
    serve_sandbox,
)

Connect = Callable[[Sandbox], httpx.AsyncClient]
Listen = Callable[[Sandbox], Awaitable[int]]

BODY = {"model": "sandbox-chat", "messages": [{"role": "user", "content": "hi"}]}
PATH = "/v1/chat/completions"


def raw(body: object = BODY, *extra: str, target: str = PATH) -> bytes:
    content = json.dumps(body).encode()
    lines = [f"POST {target} HTTP/1.1", "host: x", f"content-length: {len(content)}", *extra]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def read_answer(stream: trio.abc.Stream) -> tuple[int, bytes]:
    """One whole answer, read with h11."""
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="POST", target="/", headers=[("host", "x")]))
    reader.send(h11.EndOfMessage())
    status, body = 0, b""
    while True:
        event = reader.next_event()
        if event is h11.NEED_DATA:
            reader.receive_data(bytes(await stream.receive_some()))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return status, body


def connected(sandbox: Sandbox, nursery: trio.Nursery) -> trio.abc.Stream:
    client_end, server_end = memory_stream_pair()
    nursery.start_soon(serve_connection, server_end, sandbox)
    return client_end


async def test_a_stream_is_paced_to_the_millisecond(
    connect: Connect, autojump_clock: trio.abc.Clock
) -> None:
    sandbox = Sandbox(SandboxOptions(latency_ms=300, token_interval_ms=20, echo=False))
    client = connect(sandbox)
    begun = trio.current_time()
    times: list[float] = []
    async with client.stream("POST", PATH, json=BODY | {"stream": True}) as response:
        assert trio.current_time() - begun == pytest.approx(0.3)
        async for part in response.aiter_raw():
            times += [trio.current_time() - begun] * part.count(b'"delta":{"content"')
    assert times == pytest.approx([0.3 + 0.02 * at for at in range(32)])
    assert trio.current_time() - begun == pytest.approx(times[-1])


async def test_a_whole_answer_comes_after_its_latency(
    connect: Connect, autojump_clock: trio.abc.Clock
) -> None:
    client = connect(Sandbox(SandboxOptions(latency_ms=300, token_interval_ms=20)))
    begun = trio.current_time()
    await client.post(PATH, json=BODY)
    assert trio.current_time() - begun == pytest.approx(0.3)


async def test_head_and_body_leave_in_one_send(nursery: trio.Nursery) -> None:
    sent: list[bytes] = []
    client_end, server_end = memory_stream_pair()

    class Watched(trio.abc.Stream):
        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            sent.append(bytes(data))
            await server_end.send_all(data)

        async def wait_send_all_might_not_block(self) -> None:
            await server_end.wait_send_all_might_not_block()

        async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
            return await server_end.receive_some(max_bytes)

        async def aclose(self) -> None:
            await server_end.aclose()

    nursery.start_soon(serve_connection, Watched(), Sandbox())
    for body in (BODY, BODY | {"stream": True}):
        await client_end.send_all(raw(body))
        status, _ = await read_answer(client_end)
        assert status == 200
        assert len(sent) == 1
        sent.clear()


async def test_one_connection_serves_many_requests(connect: Connect) -> None:
    sandbox = Sandbox()
    client = connect(sandbox)
    for _ in range(20):
        await client.post(PATH, json=BODY)
    assert sandbox.statistics().open_connections == 1
    await client.aclose()
    await wait_all_tasks_blocked()
    assert sandbox.statistics().open_connections == 0


async def test_bytes_sent_too_early_are_kept_for_the_next_request(nursery: trio.Nursery) -> None:
    sandbox = Sandbox()
    stream = connected(sandbox, nursery)
    await stream.send_all(raw() + raw()[:30])
    assert (await read_answer(stream))[0] == 200
    await stream.send_all(raw()[30:])
    assert (await read_answer(stream))[0] == 200
    assert sandbox.statistics().completed == 2


async def test_a_body_may_come_byte_by_byte_and_chunked(nursery: trio.Nursery) -> None:
    stream = connected(Sandbox(), nursery)
    content = json.dumps(BODY).encode()
    await stream.send_all(
        b"POST /api/chat HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    for at in range(len(content)):
        await stream.send_all(b"1\r\n" + content[at : at + 1] + b"\r\n")
    await stream.send_all(b"0\r\n\r\n")
    status, body = await read_answer(stream)
    assert (status, body.count(b"\n")) == (200, 33)


async def test_continue_is_said_when_it_is_asked_for_and_only_then(nursery: trio.Nursery) -> None:
    """Trap 103."""
    stream = connected(Sandbox(), nursery)
    request = raw(BODY, "expect: 100-continue")
    head, _, content = request.partition(b"\r\n\r\n")
    await stream.send_all(head + b"\r\n\r\n")
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 100 ")
    await stream.send_all(content)
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
    await stream.send_all(raw())
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")


async def test_a_client_of_http_1_0_gets_a_stream_without_chunks(nursery: trio.Nursery) -> None:
    stream = connected(Sandbox(), nursery)
    await stream.send_all(raw(BODY | {"stream": True}).replace(b"HTTP/1.1", b"HTTP/1.0"))
    got = b""
    while data := await stream.receive_some():
        got += data
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    assert b"chunked" not in head
    assert body.startswith(b"data: {")
    assert body.endswith(b"data: [DONE]\n\n")


async def test_trap_91_streams_do_not_announce_a_close(connect: Connect) -> None:
    response = await connect(Sandbox()).post(PATH, json=BODY | {"stream": True})
    assert "connection" not in response.headers
    assert response.headers["transfer-encoding"] == "chunked"


@pytest.mark.parametrize(
    "bytes_sent", [b"hello\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\r\n\r\n"]
)
async def test_what_is_no_http_gets_a_400_and_a_close(
    nursery: trio.Nursery, bytes_sent: bytes
) -> None:
    stream = connected(Sandbox(), nursery)
    await stream.send_all(bytes_sent)
    status, body = await read_answer(stream)
    assert (status, json.loads(body)["error"]["type"]) == (400, "invalid_request_error")
    assert await stream.receive_some() == b""


async def test_a_request_that_breaks_off_is_no_call(nursery: trio.Nursery) -> None:
    sandbox = Sandbox()
    stream = connected(sandbox, nursery)
    await stream.send_all(raw()[:-5])
    await wait_all_tasks_blocked()
    assert sandbox.statistics().open_connections == 1
    await stream.aclose()
    await wait_all_tasks_blocked()
    assert (sandbox.statistics().open_connections, sandbox.statistics().received) == (0, 0)


async def test_too_large_a_body_is_a_413_of_the_dialect(connect: Connect) -> None:
    sandbox = Sandbox(SandboxOptions(max_body_bytes=1000))
    client = connect(sandbox)
    large = {"model": "sandbox-chat", "messages": [{"role": "user", "content": "x" * 5000}]}
    assert (await client.post(PATH, json=large)).status_code == 413
    answer = await client.post("/v1/messages", json=large)
    assert answer.json()["error"]["type"] == "request_too_large"
    assert (await client.post(PATH, json=BODY)).status_code == 200
    assert sandbox.statistics().refused == {413: 2}


@pytest.mark.parametrize("stream", [False, True])
async def test_disconnect_while_waiting_frees_the_slot_at_once(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock, stream: bool
) -> None:
    sandbox = Sandbox(SandboxOptions(latency_ms=60_000, concurrency=1))
    connection = connected(sandbox, nursery)
    await connection.send_all(raw(BODY | {"stream": stream}))
    await trio.sleep(1)
    assert (sandbox.statistics().in_flight, sandbox.statistics().cancelled) == (1, 0)
    await connection.aclose()
    await wait_all_tasks_blocked()
    counted = sandbox.statistics()
    assert (counted.in_flight, counted.cancelled, counted.open_connections) == (0, 1, 0)
    assert counted.output_tokens == 0
    assert trio.current_time() - counted.starts[0] == pytest.approx(1)


async def test_disconnect_while_streaming_frees_the_slot_at_once(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    sandbox = Sandbox(SandboxOptions(token_interval_ms=1000, echo=False))
    connection = connected(sandbox, nursery)
    await connection.send_all(raw(BODY | {"stream": True}))
    await trio.sleep(4.5)
    await connection.aclose()
    await wait_all_tasks_blocked()
    counted = sandbox.statistics()
    assert (counted.in_flight, counted.cancelled, counted.completed) == (0, 1, 0)
    assert counted.output_tokens == 5
    assert counted.models["sandbox-chat"].cancelled == 1


class OneRequest(trio.abc.Stream):
    """Brings one request in a single read, and can't be written to."""

    def __init__(self, *, leaves: bool) -> None:
        self._leaves = leaves
        self._received = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        raise trio.BrokenResourceError

    async def wait_send_all_might_not_block(self) -> None:
        raise trio.BrokenResourceError

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if not self._received:
            self._received = True
            return raw()
        if not self._leaves:
            await trio.sleep_forever()
        return b""

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(("latency_ms", "leaves"), [(60_000, True), (0, False)])
async def test_a_client_that_is_gone_before_its_answer_counts_as_cancelled(
    autojump_clock: trio.abc.Clock, latency_ms: int, leaves: bool
) -> None:
    sandbox = Sandbox(SandboxOptions(latency_ms=latency_ms))
    begun = trio.current_time()
    await serve_connection(OneRequest(leaves=leaves), sandbox)
    counted = sandbox.statistics()
    assert (counted.completed, counted.cancelled, counted.in_flight) == (0, 1, 0)
    assert trio.current_time() == begun


async def test_disconnect_is_noticed_behind_bytes_of_the_next_request(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    sandbox = Sandbox(SandboxOptions(latency_ms=60_000))
    connection = connected(sandbox, nursery)
    await connection.send_all(raw() + b"\r\n" + raw())
    await trio.sleep(1)
    await connection.aclose()
    await wait_all_tasks_blocked()
    assert sandbox.statistics().cancelled == 1
    assert sandbox.statistics().open_connections == 0


async def test_cancelling_the_server_closes_everything(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    sandbox = Sandbox(SandboxOptions(latency_ms=60_000))
    async with trio.open_nursery() as servers:
        client_ends = [connected(sandbox, servers) for _ in range(3)]
        await client_ends[0].send_all(raw())
        await client_ends[1].send_all(raw()[:20])
        await trio.sleep(1)
        assert sandbox.statistics().open_connections == 3
        servers.cancel_scope.cancel()
    assert (sandbox.statistics().open_connections, sandbox.statistics().in_flight) == (0, 0)
    assert sandbox.statistics().cancelled == 1
    for end in client_ends:
        assert await end.receive_some() == b""


async def test_a_fault_of_the_sandbox_itself_is_a_500_and_is_logged(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Sandbox):
        def statistics(self) -> object:  # type: ignore[override]  # it never returns
            raise RuntimeError("broken on purpose")

    stream = connected(Broken(), nursery)
    with caplog.at_level(logging.ERROR):
        await stream.send_all(b"GET /sandbox/stats HTTP/1.1\r\nhost: x\r\n\r\n")
        status, body = await read_answer(stream)
    assert (status, json.loads(body)["error"]["type"]) == (500, "server_error")
    assert "broken on purpose" in caplog.text
    await stream.send_all(raw())
    assert (await read_answer(stream))[0] == 200


async def test_a_port_is_reported_and_served_until_cancelled() -> None:
    sandbox = Sandbox()
    async with trio.open_nursery() as nursery:
        port: int = await nursery.start(serve_sandbox, sandbox)
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(raw())
        assert (await read_answer(stream))[0] == 200
        nursery.cancel_scope.cancel()
    assert sandbox.statistics().open_connections == 0
    assert await stream.receive_some() == b""
    await stream.aclose()
    with pytest.raises(OSError, match="all attempts to connect"):
        await trio.open_tcp_stream("127.0.0.1", port)


@pytest.mark.parametrize(
    ("fault", "pieces"), [("reset", 0), ("reset-midstream=0", 0), ("reset-midstream=2", 2)]
)
async def test_reset_is_a_reset_on_tcp(listen: Listen, fault: str, pieces: int) -> None:
    port = await listen(Sandbox())
    message = {"role": "user", "content": f"[[fault: {fault}]]"}
    got = bytearray()

    async def read_all(stream: trio.abc.Stream) -> None:
        while data := await stream.receive_some():
            got.extend(data)

    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(raw(BODY | {"messages": [message], "stream": True}))
        with pytest.raises(trio.BrokenResourceError) as broken:
            await read_all(stream)
    assert isinstance(broken.value.__cause__, ConnectionResetError)
    assert got.count(b'"delta":{"content"') == pieces


async def test_cut_is_a_plain_close_on_tcp(listen: Listen) -> None:
    port = await listen(Sandbox())
    message = {"role": "user", "content": "[[fault: cut-midstream=2]]"}
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(raw(BODY | {"messages": [message], "stream": True}))
        got = b""
        while data := await stream.receive_some():
            got += data
    assert got.count(b'"delta":{"content"') == 2
    assert not got.endswith(b"0\r\n\r\n")


async def test_disconnect_is_noticed_on_tcp(listen: Listen) -> None:
    sandbox = Sandbox(SandboxOptions(latency_ms=60_000))
    port = await listen(sandbox)
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(raw())
    with trio.fail_after(5):
        while sandbox.statistics().in_flight == 0:
            await trio.lowlevel.checkpoint()
        await stream.aclose()
        while sandbox.statistics().cancelled == 0:
            await trio.lowlevel.checkpoint()
    assert sandbox.statistics().in_flight == 0


async def test_requests_are_kept_for_tests_to_look_at(connect: Connect) -> None:
    sandbox = Sandbox(SandboxOptions(keep_requests=2))
    client = connect(sandbox)
    for number in range(3):
        await client.post(f"{PATH}?n={number}", json=BODY, headers={"x-number": str(number)})
    assert [request.headers["x-number"] for request in sandbox.requests] == ["1", "2"]
    last: Request = sandbox.requests[-1]
    assert (last.method, last.path, json.loads(last.body)) == ("POST", PATH, BODY)
