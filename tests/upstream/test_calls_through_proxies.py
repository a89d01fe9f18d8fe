"""Calls through a real proxy on loopback: tunnels, absolute forms, passwords and refusals."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trio
import trustme
from certificates import open_tls_server, server_context, write_authority
from proxies import open_proxy

from forebay.actors.upstream import (
    CallTimeouts,
    ConnectFailed,
    ConnectFault,
    ConnectionStack,
    OriginStatistics,
)
from forebay.actors.upstream.proxies import EnvironmentProxies, read_proxy
from forebay.actors.upstream.tls import TlsOptions, client_context, system_trust
from tests.upstream.conftest import (
    CHUNKED_HEAD,
    Peer,
    answer_each,
    chunk,
    plain,
    post,
    post_and_read,
    statistics_of,
)

AUTHORITY = trustme.CA()
SETTING = "providers.up.proxy"


async def answer(stream: trio.abc.Stream) -> None:
    await answer_each(Peer(stream, lambda _: None))


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    return write_authority(AUTHORITY, tmp_path)


def stack_by(proxy_url: str, ca_file: str) -> ConnectionStack:
    proxy = read_proxy(proxy_url, SETTING)
    return ConnectionStack(
        ssl_context=client_context(TlsOptions(ca_file=ca_file)),
        proxy_for=lambda scheme, host, port: proxy,
    )


async def refusal(stack: ConnectionStack, url: str) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as caught:
        await post_and_read(stack, url=url)
    return caught.value


async def test_https_goes_through_one_tunnel_that_is_used_again(ca_file: str) -> None:
    async with (
        open_proxy() as proxy,
        open_tls_server(server_context(AUTHORITY, "up.test"), answer) as port,
        stack_by(f"http://127.0.0.1:{proxy.port}", ca_file) as stack,
    ):
        for _ in range(3):
            assert await post_and_read(stack, url=f"https://up.test:{port}/v1/chat") == b"{}"
        assert statistics_of(stack) == OriginStatistics(idle=1, active=0, opened=1)
    assert proxy.asked == [f"CONNECT up.test:{port} HTTP/1.1"]


async def test_calls_at_once_have_a_tunnel_each(ca_file: str) -> None:
    async with (
        open_proxy() as proxy,
        open_tls_server(server_context(AUTHORITY, "up.test"), answer) as port,
        stack_by(f"http://127.0.0.1:{proxy.port}", ca_file) as stack,
    ):
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(lambda: post_and_read(stack, url=f"https://up.test:{port}/"))
        assert statistics_of(stack) == OriginStatistics(idle=5, active=0, opened=5)


async def test_http_names_the_upstream_in_full_and_keeps_its_connection(ca_file: str) -> None:
    heads: list[dict[str, str]] = []

    async def note_headers(stream: trio.abc.Stream) -> None:
        peer = Peer(stream, lambda _: None)
        while (request := await peer.request()) is not None:
            heads.append(request.headers)
            await peer.send(plain(b"ok"))

    async with (
        open_proxy(password="ana:secret") as proxy,
        open_tls_server(None, note_headers) as port,
        stack_by(f"http://ana:secret@127.0.0.1:{proxy.port}", ca_file) as stack,
    ):
        url = f"http://up.test:{port}/v1/chat?a=b"
        assert await post_and_read(stack, url=url) == b"ok"
        assert statistics_of(stack) == OriginStatistics(idle=1, active=0, opened=1)
    assert proxy.asked == [f"POST {url} HTTP/1.1"]
    assert [head["host"] for head in heads] == [f"up.test:{port}"]
    assert "proxy-authorization" not in heads[0]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_password_is_given_to_the_proxy_and_to_nobody_else(
    ca_file: str, scheme: str
) -> None:
    context = server_context(AUTHORITY, "up.test") if scheme == "https" else None
    async with (
        open_proxy(password="ana:p@ss") as proxy,
        open_tls_server(context, answer) as port,
        stack_by(f"http://ana:p%40ss@127.0.0.1:{proxy.port}", ca_file) as stack,
    ):
        assert await post_and_read(stack, url=f"{scheme}://up.test:{port}/") == b"{}"
    assert proxy.told == ["Basic YW5hOnBAc3M="]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("credentials", "told"),
    [
        ("", "wants a user name and a password"),
        ("ana:WRONG@", "does not take the user name and password that it was given"),
    ],
)
async def test_a_proxy_that_wants_another_password_is_told_apart(
    ca_file: str, scheme: str, credentials: str, told: str
) -> None:
    async with (
        open_proxy(password="ana:secret") as proxy,
        stack_by(f"http://{credentials}127.0.0.1:{proxy.port}", ca_file) as stack,
    ):
        failed = await refusal(stack, f"{scheme}://up.test/")
        assert statistics_of(stack).idle == statistics_of(stack).active == 0
    assert failed.fault is ConnectFault.PROXY_WANTS_PASSWORD
    assert failed.setting == SETTING
    assert str(failed) == f"the proxy 127.0.0.1:{proxy.port} {told}"


@pytest.mark.parametrize("status", [403, 502, 301])
async def test_a_proxy_that_refuses_an_address_is_told_with_its_status(
    ca_file: str, status: int
) -> None:
    async with (
        open_proxy(status=status) as proxy,
        stack_by(f"http://127.0.0.1:{proxy.port}", ca_file) as stack,
    ):
        failed = await refusal(stack, "https://up.test:8443/")
    assert failed.fault is ConnectFault.PROXY_REFUSES
    assert str(failed) == (
        f"the proxy 127.0.0.1:{proxy.port} did not connect to up.test:8443: status {status} Said"
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_away_is_told_with_its_address(ca_file: str, scheme: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        async with stack_by(f"http://127.0.0.1:{port}", ca_file) as stack:
            failed = await refusal(stack, f"{scheme}://up.test/")
    assert failed.fault is ConnectFault.PROXY_AWAY
    assert str(failed) == (f"could not connect to the proxy 127.0.0.1:{port}: Connection refused")


async def test_a_proxy_that_cannot_be_used_is_never_gone_around() -> None:
    proxies = EnvironmentProxies({"ALL_PROXY": "socks5://ana:secret@proxy.test"})
    async with ConnectionStack(proxy_for=proxies.proxy_for) as stack:
        failed = await refusal(stack, "https://up.test/")
    assert (failed.fault, failed.setting) == (ConnectFault.PROXY_AWAY, "ALL_PROXY")
    assert str(failed) == "ALL_PROXY is a SOCKS proxy; only http:// and https:// are supported"


async def test_something_that_is_no_proxy_is_told(ca_file: str) -> None:
    async def chats(stream: trio.abc.Stream) -> None:
        await stream.receive_some(1000)
        await stream.send_all(b"220 smtp.test ready\r\n\r\n")

    async with (
        open_tls_server(None, chats) as port,
        stack_by(f"http://127.0.0.1:{port}", ca_file) as stack,
    ):
        failed = await refusal(stack, "https://up.test:8443/")
    assert failed.fault is ConnectFault.PROXY_REFUSES
    assert str(failed).endswith("broke off instead of connecting to up.test:8443")


async def test_a_proxy_can_be_spoken_to_over_tls(
    ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS to the upstream inside TLS to the proxy, which the system must trust."""
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    system_trust.cache_clear()
    try:
        async with (
            open_proxy(tls=server_context(AUTHORITY)) as proxy,
            open_tls_server(server_context(AUTHORITY, "up.test"), answer) as port,
            stack_by(f"https://127.0.0.1:{proxy.port}", ca_file) as stack,
        ):
            for _ in range(2):
                assert await post_and_read(stack, url=f"https://up.test:{port}/") == b"{}"
        assert len(proxy.asked) == 1
    finally:
        system_trust.cache_clear()


async def test_a_proxy_that_is_not_trusted_is_told(ca_file: str) -> None:
    async with (
        open_proxy(tls=server_context(AUTHORITY)) as proxy,
        stack_by(f"https://127.0.0.1:{proxy.port}", ca_file) as stack,
    ):
        failed = await refusal(stack, "https://up.test/")
    assert failed.fault is ConnectFault.PROXY_TLS
    assert str(failed) == (
        f"could not speak TLS with the proxy 127.0.0.1:{proxy.port}: its certificate is not "
        "trusted: unable to get local issuer certificate"
    )


async def test_a_certificate_is_checked_through_a_tunnel_as_well(ca_file: str) -> None:
    async with (
        open_proxy() as proxy,
        open_tls_server(server_context(AUTHORITY, "other.test"), answer) as port,
        stack_by(f"http://127.0.0.1:{proxy.port}", ca_file) as stack,
    ):
        failed = await refusal(stack, f"https://up.test:{port}/")
    assert failed.fault is ConnectFault.OTHER_NAME
    assert str(failed).startswith(
        f"could not connect to up.test:{port} by way of the proxy 127.0.0.1:{proxy.port}: "
    )


async def test_a_proxy_that_never_answers_costs_the_time_to_connect_and_no_socket(
    ca_file: str,
) -> None:
    closed = trio.Event()

    async def silent(stream: trio.abc.Stream) -> None:
        while await stream.receive_some(1000):
            pass
        closed.set()

    async with (
        open_tls_server(None, silent) as port,
        stack_by(f"http://127.0.0.1:{port}", ca_file) as stack,
    ):
        timeouts = CallTimeouts(connect=0.05, first_byte=5, between_bytes=5)
        with pytest.raises(ConnectFailed) as caught:
            async with post(stack, url="https://up.test/", timeouts=timeouts):
                pass
        assert caught.value.timed_out
        with trio.fail_after(5):
            await closed.wait()


async def test_a_cancelled_call_closes_its_way_to_the_proxy(ca_file: str) -> None:
    asked, closed = trio.Event(), trio.Event()

    async def silent(stream: trio.abc.Stream) -> None:
        while await stream.receive_some(1000):
            asked.set()
        closed.set()

    async with (
        open_tls_server(None, silent) as port,
        stack_by(f"http://127.0.0.1:{port}", ca_file) as stack,
    ):
        async with trio.open_nursery() as calls:
            calls.start_soon(lambda: post_and_read(stack, url="https://up.test/"))
            await asked.wait()
            calls.cancel_scope.cancel()
        with trio.fail_after(5):
            await closed.wait()


async def test_a_stream_that_is_left_ends_at_the_upstream_too(ca_file: str) -> None:
    closed = trio.Event()

    async def streams(stream: trio.abc.Stream) -> None:
        peer = Peer(stream, lambda _: None)
        await peer.request()
        await peer.send(CHUNKED_HEAD + chunk(b"first"))
        await peer.client_closes()
        closed.set()

    async with (
        open_proxy() as proxy,
        open_tls_server(server_context(AUTHORITY, "up.test"), streams) as port,
        stack_by(f"http://127.0.0.1:{proxy.port}", ca_file) as stack,
    ):
        async with post(stack, url=f"https://up.test:{port}/") as answered:
            assert await anext(answered.chunks()) == b"first"
        with trio.fail_after(5):
            await closed.wait()
        assert statistics_of(stack) == OriginStatistics(idle=0, active=0, opened=1)
