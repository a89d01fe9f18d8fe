"""Clients that leave, over real TCP: what they asked for is forgotten at once; nothing stays."""

from __future__ import annotations

import os
import socket
import statistics
import struct
import time

import pytest
import trio
from loopback_gateway import Loopback, RawClient, open_loopback
from spoken_errors import CHAT_PATHS, request_of

from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.jsontext import JsonValue, dumps

pytestmark = pytest.mark.usefixtures("no_errors_logged")

CHAT = "/v1/chat/completions"
_CLOSE_WITH_RESET = struct.pack("ii", 1, 0)


def leave(client: RawClient, *, reset: bool = False) -> None:
    if reset:
        client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_WITH_RESET)
    client.stream.socket.close()


async def ask(
    gateway: Loopback, path: str = CHAT, text: str = "hello", **fields: JsonValue
) -> RawClient:
    client = await gateway.connect()
    body = dumps(request_of(path, text, **fields))
    await client.send(gateway.head("POST", path, {"content-length": str(len(body))}) + body)
    return client


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


async def waits(gateway: Loopback, count: int) -> None:
    async def as_many() -> bool:
        return (await gateway.status())["waiting"] == count

    await gateway.until(as_many, seconds=20)


async def test_a_thousand_waiting_clients_leave_and_nothing_of_them_stays() -> None:
    provider: dict[str, object] = {"limits": {"rpm": 0.01, "burst": 2}}
    async with open_loopback(provider=provider) as gateway:
        await gateway.serves()
        await gateway.until(gateway.is_at_rest)
        tasks_before, files_before = tasks(), open_files()
        await gateway.serves()  # the last one that the limit lets through
        paths = list(CHAT_PATHS)
        clients = [
            await ask(gateway, paths[number % 4], stream=number % 8 < 4) for number in range(1000)
        ]
        await waits(gateway, 1000)
        for number, client in enumerate(clients):
            leave(client, reset=number % 2 == 0)
        gateway.clients.clear()
        # In time of this process's own, so that a busy machine makes no difference.
        began = time.process_time()
        await gateway.until(gateway.is_at_rest, seconds=20)
        assert time.process_time() - began < 1.0
        assert gateway.sandbox.statistics().received == 2
        await gateway.until(lambda: tasks() <= tasks_before)
        await gateway.until(lambda: open_files() <= files_before)


async def test_who_leaves_makes_room_for_who_stays() -> None:
    """The places of clients that left are skipped, not served."""
    async with open_loopback(
        sandbox=SandboxOptions(latency_ms=800), provider={"limits": {"concurrency": 1}}
    ) as gateway:
        first = await ask(gateway)
        await gateway.until(lambda: gateway.sandbox.statistics().in_flight == 1)
        gateway.sandbox.change_options(SandboxOptions())
        clients = [await ask(gateway) for _ in range(50)]
        await waits(gateway, 50)
        for client in clients[:-1]:
            leave(client)
        await waits(gateway, 1)
        assert (await first.answer("POST")).status == 200
        assert (await clients[-1].answer("POST")).status == 200
        assert gateway.sandbox.statistics().received == 2


@pytest.mark.parametrize("path", CHAT_PATHS)
async def test_trap_94_leaving_in_the_middle_of_a_stream_ends_the_upstream_call_at_once(
    path: str,
) -> None:
    sandbox = SandboxOptions(token_interval_ms=30, reply_tokens=10_000)
    async with open_loopback(
        sandbox=sandbox, provider={"kind": "sandbox", "limits": {"concurrency": 1}}
    ) as gateway:
        await gateway.serves()
        await gateway.until(gateway.is_at_rest)
        tasks_before = tasks()
        took: list[float] = []
        for number in range(7):
            client = await ask(gateway, path, stream=True)
            await client.stream.receive_some()
            leave(client, reset=number % 2 == 0)
            gateway.clients.remove(client)
            took.append(await gateway.until(lambda: gateway.sandbox.statistics().in_flight == 0))
            await gateway.until(gateway.is_at_rest)
            await gateway.until(lambda: tasks() <= tasks_before)
        assert gateway.sandbox.statistics().cancelled == 7
        assert statistics.median(took) < 0.1
        gateway.sandbox.change_options(SandboxOptions())
        await gateway.serves()


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
async def test_leaving_before_the_upstream_says_anything_ends_its_call_too(streams: bool) -> None:
    async with open_loopback(sandbox=SandboxOptions(latency_ms=60_000)) as gateway:
        for path in CHAT_PATHS:
            client = await ask(gateway, path, stream=streams)
            await gateway.until(lambda: gateway.sandbox.statistics().in_flight == 1)
            leave(client)
            gateway.clients.remove(client)
            await gateway.until(gateway.is_at_rest)
        assert gateway.sandbox.statistics().cancelled == len(CHAT_PATHS)


async def test_leaving_while_a_refused_call_waits_to_be_tried_again_ends_the_wait() -> None:
    async with open_loopback() as gateway:
        client = await ask(gateway, text="[[fault: 429=60]]")
        await waits(gateway, 1)
        leave(client)
        gateway.clients.remove(client)
        await gateway.until(gateway.is_at_rest)
        assert gateway.sandbox.statistics().received == 1


async def asks_for_bytes(gateway: Loopback, count: int) -> None:
    async def as_many() -> bool:
        held = (await gateway.status())["waiting_bytes"]
        assert isinstance(held, dict)
        return held["requests_waiting_for_bytes"] == count

    await gateway.until(as_many)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_leaving_while_waiting_for_memory_frees_the_turn(reset: bool) -> None:
    """At once, whatever the client has sent so far: most of it is still with the kernel."""
    room: dict[str, object] = {"max_body_bytes": 1 << 20, "waiting_bytes": 1 << 20}
    async with open_loopback(
        server=room, provider={"limits": {"rpm": 0.01, "burst": 2}}
    ) as gateway:
        await gateway.serves()
        await gateway.serves()
        body = dumps(request_of(CHAT, "x" * 1_000_000))
        whole = gateway.head("POST", CHAT, {"content-length": str(len(body))}) + body

        async def send(size: int) -> RawClient:
            client = await gateway.connect()
            # What is not read from does not take everything; how much depends on the system.
            with trio.move_on_after(0.05 if size >= 300_000 else 5):
                await client.send(whole[:size])
            return client

        holder = await gateway.connect()
        await holder.send(whole)
        await waits(gateway, 1)
        for size in (1000, 50_000, 300_000, len(whole)):
            client = await send(size)
            await asks_for_bytes(gateway, 1)
            leave(client, reset=reset)
            gateway.clients.remove(client)
            await asks_for_bytes(gateway, 0)
        for _ in range(3):
            client = await send(300_000)
            await asks_for_bytes(gateway, 1)
            leave(client, reset=reset)
            gateway.clients.remove(client)
        leave(holder)
        gateway.clients.remove(holder)
        await gateway.until(gateway.is_at_rest)
        await asks_for_bytes(gateway, 0)
        assert gateway.sandbox.statistics().received == 2
