"""Authorities and certificates made for a test, and servers on loopback that show them."""

from __future__ import annotations

import datetime
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import trio
import trustme

Serve = Callable[[trio.abc.Stream], Awaitable[None]]


def server_context(
    authority: trustme.CA,
    *names: str,
    clients: trustme.CA | None = None,
    expired: bool = False,
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> ssl.SSLContext:
    """TLS of a server.

    Args:
        names: that its certificate is for.
        clients: whose certificates clients must show. None: they need none.
        newest: the newest version of TLS that it speaks.
    """
    past = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC) if expired else None
    certificate = authority.issue_cert(*(names or ("127.0.0.1", "localhost")), not_after=past)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    certificate.configure_cert(context)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        clients.configure_trust(context)
    return context


@asynccontextmanager
async def open_tls_server(context: ssl.SSLContext | None, serve: Serve) -> AsyncIterator[int]:
    """The port of a server on loopback, as long as the block lasts.

    Args:
        context: None: plain TCP.
        serve: what it does with each connection, once the handshake is over.
    """
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def serve_one(raw: trio.SocketStream) -> None:
        stream: trio.abc.Stream = raw
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError):
            if context is not None:
                stream = tls = trio.SSLStream(raw, context, server_side=True, https_compatible=True)
                await tls.do_handshake()
            await serve(stream)
        await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve_one, listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_refusing_server(context: ssl.SSLContext) -> AsyncIterator[int]:
    """The port of a server that takes one connection and says in TLS's own words why it refuses it,
    which Trio's streams never do."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, _refuse, listener, context)
            yield listener.getsockname()[1]


def _refuse(listener: socket.socket, context: ssl.SSLContext) -> None:
    raw, _ = listener.accept()
    with raw:
        raw.settimeout(5)
        tls = context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        with tls, suppress(OSError):
            try:
                tls.do_handshake()
            except ssl.SSLError:
                socket.socket.shutdown(tls, socket.SHUT_WR)
                while socket.socket.recv(tls, 65_536):
                    pass


def write_authority(authority: trustme.CA, folder: Path, name: str = "ca.pem") -> str:
    """The path of a file with the authority's own certificate."""
    path = folder / name
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def write_client(authority: trustme.CA, folder: Path, name: str) -> str:
    """The path of a file with a client's certificate and its key."""
    path = folder / f"{name}.pem"
    authority.issue_cert(f"{name}@clients.test").private_key_and_cert_chain_pem.write_to_path(
        str(path)
    )
    return str(path)


def common_client(stream: trio.abc.Stream) -> str:
    """Who the client at the other end of a connection says it is, by its certificate."""
    assert isinstance(stream, trio.SSLStream)
    certificate = stream.getpeercert()
    assert certificate
    ((_, address),) = certificate["subjectAltName"]
    return str(address)
