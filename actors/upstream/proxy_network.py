"""Connections that lead through an HTTP proxy, for what lies above like any others.

For https the proxy is asked to join its connection with one to the upstream (CONNECT, RFC 9110,
section 9.3.6), inside which TLS is spoken end to end. For http the connection is one to the proxy,
and requests on it name the upstream in full (RFC 9112, section 3.2.2).
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterable
from typing import Final

import h11
import httpcore
import trio

from forebay.actors.upstream.connect_faults import ConnectFault, ProxyFailed
from forebay.actors.upstream.http_errors import system_reason
from forebay.actors.upstream.proxies import Proxy
from forebay.actors.upstream.wire import CLOSE_GRACE, SocketOption

_READ_BYTES: Final = 16_384
_LONGEST_REASON: Final = 80


class ProxyNetwork(httpcore.AsyncNetworkBackend):
    """Reaches every address through one proxy."""

    def __init__(
        self,
        proxy: Proxy,
        *,
        ssl_context: ssl.SSLContext,
        network: httpcore.AsyncNetworkBackend,
        tunnels: bool,
    ) -> None:
        """
        Args:
            ssl_context: for TLS to the proxy itself, if it wants that.
            network: connects to the proxy.
            tunnels: connections are to end at the address that was asked for, not at the proxy.
        """
        self._proxy = proxy
        self._ssl_context = ssl_context
        self._network = network
        self._tunnels = tunnels

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """The whole way has ``timeout``. Raises ProxyFailed or httpcore.ConnectTimeout."""
        seconds = float("inf") if timeout is None else timeout
        with trio.move_on_after(seconds):
            return await self._connect(host, port, local_address, socket_options)
        raise httpcore.ConnectTimeout(f"by way of the proxy {self._proxy.address}")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Sockets of this machine need no proxy."""
        return await self._network.connect_unix_socket(path, timeout, socket_options)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def _connect(
        self,
        host: str,
        port: int,
        local_address: str | None,
        socket_options: Iterable[SocketOption] | None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._connect_to_proxy(local_address, socket_options)
        try:
            if self._proxy.over_tls:
                stream = await self._start_tls(stream)
            if self._tunnels:
                await self._open_tunnel(stream, host, port)
        except BaseException:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_GRACE):
                await _close(stream)
            raise
        return stream

    async def _connect_to_proxy(
        self, local_address: str | None, socket_options: Iterable[SocketOption] | None
    ) -> httpcore.AsyncNetworkStream:
        proxy = self._proxy
        try:
            return await self._network.connect_tcp(
                proxy.host,
                proxy.port,
                local_address=local_address,
                socket_options=socket_options,
            )
        except (OSError, ValueError, ExceptionGroup, httpcore.ConnectError) as error:
            reason = system_reason(error)
            raise self._failed(
                f"could not connect to the proxy {proxy.address}{_after_colon(reason)}",
                ConnectFault.PROXY_AWAY,
            ) from error

    async def _start_tls(self, stream: httpcore.AsyncNetworkStream) -> httpcore.AsyncNetworkStream:
        self._ssl_context.set_alpn_protocols(["http/1.1"])
        try:
            return await stream.start_tls(self._ssl_context, self._proxy.host)
        except (OSError, ValueError, httpcore.NetworkError) as error:
            reason = system_reason(error)
            raise self._failed(
                f"could not speak TLS with the proxy {self._proxy.address}{_after_colon(reason)}",
                ConnectFault.PROXY_TLS,
            ) from error

    async def _open_tunnel(self, stream: httpcore.AsyncNetworkStream, host: str, port: int) -> None:
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            answer, has_more = await self._ask_for_tunnel(stream, target.encode("ascii"))
        except (httpcore.NetworkError, h11.RemoteProtocolError) as error:
            reason = system_reason(error)
            raise self._failed(
                f"the proxy {self._proxy.address} broke off instead of connecting to {target}"
                + _after_colon(reason),
                ConnectFault.PROXY_REFUSES,
            ) from None
        if answer.status_code == 407:
            raise self.wants_password()
        if not 200 <= answer.status_code < 300 or has_more:
            said = " ".join(f"{answer.status_code} {_printable(answer.reason)}".split())
            raise self._failed(
                f"the proxy {self._proxy.address} did not connect to {target}: status {said}",
                ConnectFault.PROXY_REFUSES,
            )

    async def _ask_for_tunnel(
        self, stream: httpcore.AsyncNetworkStream, target: bytes
    ) -> tuple[h11.Response, bool]:
        """The proxy's answer, and whether there is more than should be."""
        parser = h11.Connection(h11.CLIENT)
        headers = [(b"host", target), (b"user-agent", b"forebay")]
        if self._proxy.authorization is not None:
            headers.append((b"proxy-authorization", self._proxy.authorization))
        request = h11.Request(method=b"CONNECT", target=target, headers=headers)
        head = parser.send(request)
        assert head is not None
        await stream.write(head + (parser.send(h11.EndOfMessage()) or b""))
        while True:
            event = parser.next_event()
            if isinstance(event, h11.Response):
                is_open = 200 <= event.status_code < 300
                return event, is_open and bool(parser.trailing_data[0])
            if event is h11.NEED_DATA:
                parser.receive_data(await stream.read(_READ_BYTES))

    def wants_password(self) -> ProxyFailed:
        """The failure that its status 407 means."""
        refused = "does not take the user name and password that it was given"
        missing = "wants a user name and a password"
        return self._failed(
            f"the proxy {self._proxy.address} "
            + (missing if self._proxy.authorization is None else refused),
            ConnectFault.PROXY_WANTS_PASSWORD,
        )

    def _failed(self, message: str, fault: ConnectFault) -> ProxyFailed:
        return ProxyFailed(message, fault, self._proxy.setting)


class Forwarder:
    """What is particular to requests that a proxy passes on: they name the upstream in full."""

    def __init__(self, origin: str, proxy: Proxy, network: ProxyNetwork) -> None:
        self._origin = origin.encode("ascii")
        self._authorization = proxy.authorization
        self._network = network

    def address(self, request: httpcore.Request) -> None:
        url = request.url
        request.url = httpcore.URL(
            scheme=url.scheme, host=url.host, port=url.port, target=self._origin + url.target
        )
        if self._authorization is not None:
            request.headers = [
                *request.headers,
                (b"proxy-authorization", self._authorization),
            ]

    def check(self, answer: httpcore.Response) -> None:
        """Raises:
        ProxyFailed: it is the proxy's own, who does not pass the request on.
        """
        if answer.status == 407:
            raise self._network.wants_password()


async def _close(stream: httpcore.AsyncNetworkStream) -> None:
    with contextlib.suppress(OSError, trio.BrokenResourceError, httpcore.NetworkError):
        await stream.aclose()


def _after_colon(reason: str) -> str:
    return f": {reason}" if reason else ""


def _printable(reason: bytes) -> str:
    text = reason.decode("ascii", "replace")
    return "".join(each if each.isprintable() else " " for each in text)[:_LONGEST_REASON]
