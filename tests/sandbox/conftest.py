"""Clients of a sandbox: over memory streams in virtual time, and over real TCP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from types import TracebackType

import httpcore
import httpx
import pytest
import trio
from memory_network import MemoryNetwork

from forebay.endpoints.sandbox import Sandbox, serve_connection, serve_sandbox

Connect = Callable[[Sandbox], httpx.AsyncClient]
Listen = Callable[[Sandbox], Awaitable[int]]


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._response.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._response.aclose()


class MemoryTransport(httpx.AsyncBaseTransport):
    """httpx over a :class:`MemoryNetwork`; errors are httpcore's own."""

    def __init__(self, sandbox: Sandbox, nursery: trio.Nursery) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            network_backend=MemoryNetwork(
                nursery, {"sandbox.test": partial(serve_connection, sandbox=sandbox)}
            ),
            max_connections=10_000,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=str(request.url),
                headers=request.headers.raw,
                content=await request.aread(),
            )
        )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._pool.aclose()

    async def aclose(self) -> None:
        await self._pool.aclose()


@pytest.fixture
async def connect(nursery: trio.Nursery) -> AsyncIterator[Connect]:
    """A client of a sandbox; its streams are in memory, so that time may be virtual."""
    clients: list[httpx.AsyncClient] = []

    def connect_to(sandbox: Sandbox) -> httpx.AsyncClient:
        client = httpx.AsyncClient(
            transport=MemoryTransport(sandbox, nursery),
            base_url="http://sandbox.test",
            timeout=None,
        )
        clients.append(client)
        return client

    yield connect_to
    for client in clients:
        await client.aclose()


@pytest.fixture
async def listen(nursery: trio.Nursery) -> Listen:
    """Serves a sandbox on a real port of the loopback interface."""

    async def start(sandbox: Sandbox) -> int:
        port = await nursery.start(serve_sandbox, sandbox)
        assert isinstance(port, int)
        return port

    return start
