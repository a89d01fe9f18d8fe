"""A network in memory: whole paths of HTTP in one process and in virtual time."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping

import httpcore
import trio
from trio.testing import memory_stream_pair

Serve = Callable[[trio.abc.Stream], Awaitable[None]]


class MemoryStream(httpcore.AsyncNetworkStream):
    """The client's end of a connection that never leaves the process."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            with trio.fail_after(float("inf") if timeout is None else timeout):
                return bytes(await self._stream.receive_some(max_bytes))
        except trio.TooSlowError:
            raise httpcore.ReadTimeout from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise httpcore.ReadError from None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            await self._stream.send_all(buffer)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise httpcore.WriteError from None

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise NotImplementedError

    def get_extra_info(self, info: str) -> object:
        return False if info == "is_readable" else None


class MemoryNetwork(httpcore.AsyncNetworkBackend):
    """Connects host names to the servers that are given; other names can't be reached."""

    def __init__(self, nursery: trio.Nursery, servers: Mapping[str, Serve]) -> None:
        self._nursery = nursery
        self._servers = dict(servers)
        self.connections = 0

    def unplug(self, host: str) -> Serve:
        """From now on ``host`` can't be connected to. Returns what to plug in again."""
        return self._servers.pop(host)

    def plug(self, host: str, serve: Serve) -> None:
        self._servers[host] = serve

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[
            tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
        ]
        | None = None,
    ) -> httpcore.AsyncNetworkStream:
        await trio.lowlevel.checkpoint()
        serve = self._servers.get(host)
        if serve is None:
            raise httpcore.ConnectError(f"no such host: {host}")
        self.connections += 1
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(serve, theirs)
        return MemoryStream(ours)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[
            tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
        ]
        | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)
