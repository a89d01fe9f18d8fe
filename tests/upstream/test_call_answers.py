"""What a call sends, what it gives of the answer, and what its failures say."""

from __future__ import annotations

import errno
import gzip
import random
import socket
import ssl
import sys
import traceback
import zlib
from collections.abc import AsyncIterator, Mapping

import httpcore
import httpx
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from forebay.actors.upstream import (
    AnswerBroken,
    BodyTooLong,
    ConnectFailed,
    NoAnswer,
    OriginStatistics,
    UpstreamClient,
    UpstreamFailure,
    open_call,
)
from tests.upstream.conftest import (
    CHUNKED_HEAD,
    LAST_CHUNK,
    TIMEOUTS,
    URL,
    MemoryNetwork,
    Peer,
    Received,
    answer_each,
    answer_once_and_close,
    answer_once_with,
    chunk,
    plain,
    post,
    post_and_read,
    stack_over,
    statistics_of,
)

SECRET = "sk-do-not-tell"


async def received(
    nursery: trio.Nursery, method: str, url: str, headers: Mapping[str, str], body: bytes
) -> Received:
    """What a server receives of one call."""
    requests: list[Received] = []

    async def records(peer: Peer) -> None:
        request = await peer.request()
        assert request is not None
        requests.append(request)
        await peer.send(plain(b""))

    stack = stack_over(MemoryNetwork(nursery, records))
    async with open_call(stack, method, url, headers=headers, body=body, timeouts=TIMEOUTS) as call:
        await call.read(0)
    (request,) = requests
    return request


async def test_a_call_sends_the_headers_it_was_given_and_few_more(nursery: trio.Nursery) -> None:
    request = await received(
        nursery, "POST", "http://up.test:8000/v1/x?beta=true", {"X-Api-Key": "k"}, b'{"a":1}'
    )
    assert request == Received(
        "POST",
        "/v1/x?beta=true",
        {
            "host": "up.test:8000",
            "x-api-key": "k",
            "accept-encoding": "identity",
            "content-length": "7",
        },
        b'{"a":1}',
    )


async def test_length_and_transfer_coding_are_always_those_of_the_body(
    nursery: trio.Nursery,
) -> None:
    given = {"Content-Length": "999", "Transfer-Encoding": "chunked", "Host": "other.test"}
    request = await received(nursery, "POST", URL, given, b"body")
    assert request.headers["content-length"] == "4"
    assert "transfer-encoding" not in request.headers
    assert request.headers["host"] == "other.test"


@pytest.mark.parametrize(("method", "length"), [("GET", None), ("POST", "0")])
async def test_an_empty_body_has_a_length_only_where_one_is_expected(
    nursery: trio.Nursery, method: str, length: str | None
) -> None:
    request = await received(nursery, method, URL, {}, b"")
    assert request.headers.get("content-length") == length


async def test_credentials_in_a_url_become_basic_authorization(nursery: trio.Nursery) -> None:
    url = "http://user:p%40ss@up.test/v1"
    request = await received(nursery, "GET", url, {}, b"")
    assert request.headers["authorization"] == "Basic dXNlcjpwQHNz"
    assert request.headers["host"] == "up.test"
    request = await received(nursery, "GET", url, {"Authorization": "Bearer k"}, b"")
    assert request.headers["authorization"] == "Bearer k"


async def test_a_header_may_hold_any_letter(nursery: trio.Nursery) -> None:
    request = await received(nursery, "POST", URL, {"x-title": "Größe"}, b"")
    assert request.headers["x-title"].encode("latin-1").decode() == "Größe"


@pytest.mark.parametrize("url", ["", "/v1", "up.test/v1", "ftp://up.test", "http://", "http://[::"])
async def test_a_url_that_is_not_absolute_is_refused(nursery: trio.Nursery, url: str) -> None:
    with pytest.raises(ValueError, match=r"^url: give an absolute URL"):
        await post_and_read(stack_over(MemoryNetwork(nursery, answer_each)), url=url)


async def test_an_answer_has_status_headers_and_body(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(
        nursery, answer_once_with(plain(b"slow down", status=429, headers=b"Retry-After: 7\r\n"))
    )
    async with UpstreamClient(stack_over(network)) as client:
        async with client.open_call(
            "POST", URL, headers={}, body=b"{}", timeouts=TIMEOUTS
        ) as answer:
            assert answer.status == 429
            assert answer.headers["retry-after"] == "7"
            assert await answer.read(100) == b"slow down"
            assert await answer.read(100) == b""
        assert network.open_connections == 1
    assert network.open_connections == 0


async def test_chunks_that_came_in_one_read_are_one_piece(nursery: trio.Nursery) -> None:
    events = [b"data: %d\n\n" % number for number in range(100)]
    burst = CHUNKED_HEAD + b"".join(chunk(event) for event in events) + LAST_CHUNK
    stack = stack_over(MemoryNetwork(nursery, answer_once_with(burst)))
    async with post(stack) as answer:
        assert [piece async for piece in answer.chunks()] == [b"".join(events)]
    assert statistics_of(stack).idle == 1


async def test_a_chunk_is_given_as_soon_as_it_comes(nursery: trio.Nursery) -> None:
    read = trio.Event()

    async def waits_for_its_reader(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED_HEAD + chunk(b"one") + b"3\r\ntw")
        await read.wait()
        await peer.send(b"o\r\n" + LAST_CHUNK)
        await peer.client_closes()

    async with post(stack_over(MemoryNetwork(nursery, waits_for_its_reader))) as answer:
        chunks = answer.chunks()
        assert await anext(chunks) == b"onetw"
        read.set()
        assert [piece async for piece in chunks] == [b"o"]


async def test_an_answer_split_at_any_byte_is_the_same(nursery: trio.Nursery) -> None:
    """Trap 78."""
    whole = CHUNKED_HEAD + chunk("data: ü\n\n".encode()) + chunk(b"end") + LAST_CHUNK
    for place in range(1, len(whole)):
        parts = [whole[:place], whole[place:]]

        async def in_two_parts(peer: Peer, parts: list[bytes] = parts) -> None:
            await peer.request()
            for part in parts:
                await peer.send(part)
                await wait_all_tasks_blocked()
            await peer.client_closes()

        stack = stack_over(MemoryNetwork(nursery, in_two_parts))
        assert await post_and_read(stack) == "data: ü\n\nend".encode()
        await wait_all_tasks_blocked()
        assert statistics_of(stack) == OriginStatistics(idle=1, active=0, opened=1)
        await stack.aclose()


async def test_a_body_at_the_limit_of_its_reader_is_read(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(nursery, answer_each)
    async with post(stack_over(network), body=b"12345") as answer:
        assert await answer.read(5) == b"12345"


async def test_a_body_that_announces_too_much_is_not_read_at_all(nursery: trio.Nursery) -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx"
    network = MemoryNetwork(nursery, answer_once_with(endless))
    async with post(stack_over(network)) as answer:
        with pytest.raises(BodyTooLong, match="longer than 999999 bytes") as caught:
            await answer.read(999_999)
    assert caught.value.limit == 999_999
    assert network.open_connections == 0


async def test_a_body_without_end_is_read_no_further_than_the_limit(nursery: trio.Nursery) -> None:
    sent = 0

    async def endless(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(CHUNKED_HEAD)
        while True:
            await peer.send(chunk(b"x" * 1000))
            sent += 1000
            await wait_all_tasks_blocked()

    network = MemoryNetwork(nursery, endless)
    async with post(stack_over(network)) as answer:
        with pytest.raises(BodyTooLong):
            await answer.read(10_000)
    assert network.open_connections == 0
    assert sent <= 12_000


COMPRESSED = {
    "gzip": gzip.compress(b"squeezed " * 100),
    "deflate": zlib.compress(b"squeezed " * 100),
    "deflate, GZIP": gzip.compress(zlib.compress(b"squeezed " * 100)),
}


@pytest.mark.parametrize("coding", ["gzip", "deflate", "deflate, GZIP"])
async def test_a_body_compressed_against_our_wish_is_decoded(
    nursery: trio.Nursery, coding: str
) -> None:
    data = COMPRESSED[coding]
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = head % coding.encode() + chunk(data[:5]) + chunk(data[5:]) + LAST_CHUNK
    network = MemoryNetwork(nursery, answer_once_with(whole))
    async with post(stack_over(network)) as answer:
        assert "content-encoding" not in answer.headers
        assert await answer.read(10_000) == b"squeezed " * 100


async def test_the_limit_of_a_reader_counts_what_was_decoded(nursery: trio.Nursery) -> None:
    bomb = plain(gzip.compress(bytes(1_000_000)), headers=b"Content-Encoding: gzip\r\n")
    async with post(stack_over(MemoryNetwork(nursery, answer_once_with(bomb)))) as answer:
        assert "content-length" not in answer.headers
        with pytest.raises(BodyTooLong):
            await answer.read(999_999)


async def test_a_body_that_was_asked_for_compressed_is_left_alone(nursery: trio.Nursery) -> None:
    data = COMPRESSED["gzip"]
    network = MemoryNetwork(
        nursery, answer_once_with(plain(data, headers=b"Content-Encoding: gzip\r\n"))
    )
    async with post(stack_over(network), headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert await answer.read(10_000) == data


@pytest.mark.parametrize(
    ("coding", "message"), [(b"x-secret", "can't be decoded here"), (b"gzip", "not validly")]
)
async def test_a_body_that_can_not_be_decoded_is_a_broken_answer(
    nursery: trio.Nursery, coding: bytes, message: str
) -> None:
    headers = b"Content-Encoding: %s\r\n" % coding
    network = MemoryNetwork(nursery, answer_once_with(plain(b"not gzip", headers=headers)))
    async with post(stack_over(network)) as answer:
        assert answer.status == 200
        for _ in range(2):
            with pytest.raises(AnswerBroken, match=message) as caught:
                await answer.read(100)
            assert not caught.value.timed_out


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-", id="cut in the head"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x50", id="a TLS alert"),
        pytest.param(b"220 smtp ready\r\n\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", id="a header without colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000, id="a head without end"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n", id="no number"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", id="two lengths"
        ),
        pytest.param(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", id="an upgrade"),
    ],
)
async def test_what_is_not_an_answer_is_no_answer(nursery: trio.Nursery, answer: bytes) -> None:
    network = MemoryNetwork(nursery, answer_once_and_close(answer))
    stack = stack_over(network)
    with pytest.raises(NoAnswer, match=r"upstream\.test:80") as caught:
        await post_and_read(stack)
    assert not caught.value.timed_out
    assert len(str(caught.value)) < 200
    assert network.open_connections == 0
    assert statistics_of(stack) == OriginStatistics(idle=0, active=0, opened=1)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(plain(b"whole")[:-1], id="shorter than announced"),
        pytest.param(CHUNKED_HEAD + chunk(b"whole"), id="no last chunk"),
        pytest.param(CHUNKED_HEAD + chunk(b"whole")[:-1], id="cut after a chunk"),
        pytest.param(CHUNKED_HEAD + b"5\r\nwhol", id="cut in a chunk"),
        pytest.param(CHUNKED_HEAD + chunk(b"whole") + b"zz\r\n", id="garbage for a chunk"),
        pytest.param(CHUNKED_HEAD + b"5\r\nwholeXX" + LAST_CHUNK, id="chunk too long"),
        pytest.param(CHUNKED_HEAD + b"f" * 200_000, id="a chunk size without end"),
    ],
)
async def test_a_body_that_does_not_come_to_its_end_is_broken_for_good(
    nursery: trio.Nursery, body: bytes
) -> None:
    network = MemoryNetwork(nursery, answer_once_and_close(body))
    stack = stack_over(network)
    async with post(stack) as answer:
        with pytest.raises(AnswerBroken, match=r"upstream\.test:80") as caught:
            await answer.read(1000)
        assert not caught.value.timed_out
        with pytest.raises(AnswerBroken):  # never an empty rest that looks like a good end
            await answer.read(100)
    assert network.open_connections == 0
    assert statistics_of(stack) == OriginStatistics(idle=0, active=0, opened=1)


async def test_a_damaged_answer_never_fails_in_another_way(nursery: trio.Nursery) -> None:
    generator = random.Random(20)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = head + chunk(b"some") + chunk(b"body") + LAST_CHUNK
    kinds: set[str] = set()
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(generator.randint(1, 3)):
            place = generator.randrange(len(damaged))
            damaged[place : place + generator.randint(0, 2)] = generator.randbytes(
                generator.randint(0, 2)
            )
        network = MemoryNetwork(nursery, answer_once_and_close(bytes(damaged)))
        stack = stack_over(network)
        try:
            await post_and_read(stack)
            kinds.add("whole")
        except (NoAnswer, AnswerBroken) as failure:
            kinds.add(type(failure).__name__)
        assert statistics_of(stack).active == 0
        assert statistics_of(stack).idle == network.open_connections
        await stack.aclose()
    assert kinds == {"whole", "NoAnswer", "AnswerBroken"}


async def test_what_came_before_a_break_is_given_first(nursery: trio.Nursery) -> None:
    whole = CHUNKED_HEAD + chunk(b"good") + chunk(b"data") + b"zz\r\n"
    async with post(stack_over(MemoryNetwork(nursery, answer_once_and_close(whole)))) as answer:
        chunks = answer.chunks()
        assert await anext(chunks) == b"gooddata"
        with pytest.raises(AnswerBroken):
            await anext(chunks)


def untrusted() -> ssl.SSLError:
    """As OpenSSL makes it when a certificate does not verify."""
    error = ssl.SSLCertVerificationError(1, "anything")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (OSError(errno.ECONNREFUSED, "…"), "Connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (ssl.SSLError(1, "anything"), "TLS failed"),
        (untrusted(), "its certificate is not trusted: self-signed certificate"),
        (ExceptionGroup("tried", [OSError(errno.ENETUNREACH, "…")]), "Network is unreachable"),
        (UnicodeError("label too long"), ""),
        (httpcore.ConnectError("anything"), ""),
    ],
)
async def test_a_connection_that_can_not_be_made_says_why_in_the_words_of_the_system(
    nursery: trio.Nursery, refusal: Exception, reason: str
) -> None:
    network = MemoryNetwork(nursery, answer_each)
    network.refusal = refusal
    stack = stack_over(network)
    with pytest.raises(ConnectFailed) as caught:
        await post_and_read(stack)
    expected = "could not connect to upstream.test:80"
    assert str(caught.value) == (f"{expected}: {reason}" if reason else expected)
    assert statistics_of(stack) == OriginStatistics(idle=0, active=0, opened=0)


async def failure_with_secrets(network: MemoryNetwork, key: str) -> UpstreamFailure:
    url = f"http://{SECRET}:{SECRET}@upstream.test/{SECRET}?key={SECRET}"
    with pytest.raises(UpstreamFailure) as caught:
        async with post(stack_over(network), url=url, headers={"x-key": key}) as answer:
            await answer.read(1000)
    return caught.value


@pytest.mark.parametrize("case", ["refused", "timeout", "echo", "broken", "control", "surrogate"])
async def test_no_failure_tells_a_secret(nursery: trio.Nursery, case: str) -> None:
    """Not even with the traceback that a log would show: parsers quote the bytes at fault."""

    async def echo(peer: Peer) -> None:
        request = await peer.request()
        assert request is not None
        await peer.send(f"{request.target} {request.headers}\r\n\r\n".encode())

    network = MemoryNetwork(
        nursery,
        echo if case == "echo" else answer_once_and_close(CHUNKED_HEAD + SECRET.encode() + b"\r\n"),
    )
    if case == "refused":
        network.refusal = OSError(errno.ECONNREFUSED, SECRET)
    if case == "timeout":
        network.refusal = httpcore.ConnectTimeout(SECRET)
    key = {"control": f"{SECRET}\r\nx: y", "surrogate": f"{SECRET}\ud800"}.get(case, SECRET)
    failure = await failure_with_secrets(network, key)
    kinds = {"echo": NoAnswer, "broken": AnswerBroken}
    assert type(failure) is kinds.get(case, ConnectFailed)
    assert SECRET not in str(failure)
    assert SECRET not in "".join(traceback.format_exception(failure))


async def test_an_httpx_client_on_the_stack_is_told_no_secret_either(
    nursery: trio.Nursery,
) -> None:
    async def echo(peer: Peer) -> None:
        request = await peer.request()
        assert request is not None
        await peer.send(f"{request.headers}\r\n\r\n".encode())

    key = {"x-key": SECRET}
    async with httpx.AsyncClient(transport=stack_over(MemoryNetwork(nursery, echo))) as client:
        with pytest.raises(httpx.RemoteProtocolError) as caught:
            await client.post(URL, headers=key)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


async def test_a_refused_url_does_not_tell_its_credentials(nursery: trio.Nursery) -> None:
    with pytest.raises(ValueError, match="url") as caught:
        await post_and_read(
            stack_over(MemoryNetwork(nursery, answer_each)), url=f"ftp://u:{SECRET}@x.test/"
        )
    assert SECRET not in "".join(traceback.format_exception(caught.value))


async def test_a_body_that_was_sent_is_not_held_while_its_answer_streams(
    nursery: trio.Nursery,
) -> None:
    network = MemoryNetwork(nursery, answer_once_with(CHUNKED_HEAD + chunk(b"x")))
    body = bytes(100_000)
    before = sys.getrefcount(body)
    async with post(stack_over(network), body=body) as answer:
        assert await anext(answer.chunks()) == b"x"
        network.made[0].sends.clear()
        assert sys.getrefcount(body) == before


class PiecesOneEmpty(httpx.AsyncByteStream):
    """A body of another transport's."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in (b"one", b"", b"two"):
            yield piece


async def test_an_empty_piece_is_not_the_end_of_a_body() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=PiecesOneEmpty()))
    async with post(transport) as answer:
        assert [piece async for piece in answer.chunks()] == [b"one", b"two"]


async def test_any_httpx_transport_will_do() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/slow":
            raise httpx.ReadTimeout("slow")
        return httpx.Response(
            201, content=gzip.compress(b"ok"), headers=[("content-encoding", "gzip")]
        )

    transport = httpx.MockTransport(handler)
    async with post(transport) as answer:
        assert (answer.status, await answer.read(100)) == (201, b"ok")
    with pytest.raises(NoAnswer) as caught:
        await post_and_read(transport, url="http://upstream.test/slow")
    assert caught.value.timed_out
