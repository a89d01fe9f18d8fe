"""An HTTP proxy on loopback: tunnels (CONNECT), requests in absolute form, and a password."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import trio


@dataclass(slots=True, kw_only=True)
class LoopbackProxy:
    """One that is listening, and what it was asked."""

    port: int
    asked: list[str] = field(default_factory=list)
    """First lines of requests."""
    told: list[str] = field(default_factory=list)
    """Their ``proxy-authorization``, ``""`` where there was none."""


@asynccontextmanager
async def open_proxy(
    *,
    password: str | None = None,
    status: int | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[LoopbackProxy]:
    """A proxy that leads every name to this machine, as long as the block lasts.

    Args:
        password: ``USER:PASSWORD`` without which it answers 407.
        status: what it answers instead of doing anything.
        tls: it is spoken to by TLS only.
    """
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    proxy = LoopbackProxy(port=listeners[0].socket.getsockname()[1])
    wanted = None if password is None else f"Basic {base64.b64encode(password.encode()).decode()}"

    async def serve_one(raw: trio.SocketStream) -> None:
        stream: trio.abc.Stream = raw
        if tls is not None:
            stream = trio.SSLStream(raw, tls, server_side=True, https_compatible=True)
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await _serve(stream, proxy, wanted, status)
        await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve_one, listeners)
        yield proxy
        nursery.cancel_scope.cancel()


async def _serve(
    stream: trio.abc.Stream, proxy: LoopbackProxy, wanted: str | None, status: int | None
) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        more = await stream.receive_some(65_536)
        if not more:
            return
        head += more
    head, _, rest = head.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    proxy.asked.append(first)
    proxy.told.append(headers.get("proxy-authorization", ""))
    if status is not None:
        await stream.send_all(b"HTTP/1.1 %d Said\r\nContent-Length: 0\r\n\r\n" % status)
        return
    if wanted is not None and headers.get("proxy-authorization") != wanted:
        await stream.send_all(
            b"HTTP/1.1 407 Proxy Authentication Required\r\n"
            b'Proxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'
        )
        return
    method, target, version = first.split(" ")
    if method == "CONNECT":
        upstream = await _connect(int(target.rpartition(":")[2]))
        await stream.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
    else:
        parts = urlsplit(target)
        upstream = await _connect(parts.port or 80)
        kept = [line for line in lines if not line.lower().startswith("proxy-")]
        path = parts.path or "/"
        await upstream.send_all(
            "\r\n".join([f"{method} {path} {version}", *kept]).encode("latin-1")
            + b"\r\n\r\n"
            + rest
        )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pump, stream, upstream, nursery.cancel_scope)
        await _pump(upstream, stream, nursery.cancel_scope)
    await trio.aclose_forcefully(upstream)


async def _connect(port: int) -> trio.abc.Stream:
    return await trio.open_tcp_stream("127.0.0.1", port)


async def _pump(source: trio.abc.Stream, sink: trio.abc.Stream, scope: trio.CancelScope) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while data := await source.receive_some(65_536):
            await sink.send_all(data)
    scope.cancel()
