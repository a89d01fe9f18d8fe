"""The end of the whole gateway: who waits or reads is answered if there is time, and told else."""

from __future__ import annotations

import pytest
import trio
from loopback_gateway import Answer, Loopback, RawClient, open_loopback
from spoken_errors import (
    CHAT_PATHS,
    UNAVAILABLE,
    assert_spoken,
    error_message,
    request_of,
)

from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.jsontext import JsonValue, dumps, loads_object

pytestmark = pytest.mark.usefixtures("no_errors_logged")

ONE_AT_A_TIME: dict[str, object] = {"limits": {"concurrency": 1}}
NEVER_AGAIN: dict[str, object] = {"limits": {"rpm": 0.001, "burst": 1}}


async def start(gateway: Loopback, path: str, **fields: JsonValue) -> RawClient:
    """A client that has asked and does not read yet."""
    client = await gateway.connect()
    body = dumps(request_of(path, **fields))
    await client.send(gateway.head("POST", path, {"content-length": str(len(body))}) + body)
    return client


async def waiting(gateway: Loopback, count: int) -> None:
    async def wait() -> bool:
        return (await gateway.status())["waiting"] == count

    await gateway.until(wait)


def assert_told_to_go(answer: Answer, path: str) -> None:
    assert answer.is_whole
    dialect = CHAT_PATHS[path]
    message = assert_spoken(
        dialect, UNAVAILABLE[dialect], answer.status, answer.headers, answer.body
    )
    assert "shutting down" in message
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["x-should-retry"] == "false"


async def test_an_idle_gateway_ends_at_once() -> None:
    async with open_loopback(server={"drain_ms": 10_000}) as gateway:
        await gateway.serves()
        idle = await gateway.connect()
        began = trio.current_time()
        gateway.shutdown.set()
        await gateway.ended.wait()
        assert trio.current_time() - began < 2
        assert await idle.at_end()


async def test_who_waits_during_the_drain_is_answered_if_there_is_time() -> None:
    async with open_loopback(
        server={"drain_ms": 10_000}, provider=ONE_AT_A_TIME, sandbox=SandboxOptions(latency_ms=100)
    ) as gateway:
        clients = [await start(gateway, path) for path in CHAT_PATHS]
        await waiting(gateway, len(CHAT_PATHS) - 1)
        began = trio.current_time()
        gateway.shutdown.set()
        for client in clients:
            answer = await client.answer("POST")
            assert answer.status == 200
            assert answer.headers["connection"] == "close"
            assert await client.at_end()
        await gateway.ended.wait()
        assert trio.current_time() - began < 3


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
async def test_who_still_waits_when_the_drain_is_over_is_told_in_its_dialect(
    streams: bool,
) -> None:
    config: dict[str, object] = {
        "models": {name: {"targets": ["up/sandbox-chat"]} for name in ("fast", "other", "third")}
    }
    async with open_loopback(config, server={"drain_ms": 1600}, provider=NEVER_AGAIN) as gateway:
        await gateway.serves()
        asked = [
            (path, await start(gateway, path, model=model, stream=streams))
            for path in CHAT_PATHS
            for model in ("fast", "other", "third", "up/sandbox-small")
            for _ in range(8)
        ]
        await waiting(gateway, len(asked))
        began = trio.current_time()
        gateway.shutdown.set()
        for path, client in asked:
            assert_told_to_go(await client.answer("POST"), path)
        await gateway.ended.wait()
        assert 1.1 < trio.current_time() - began < 4
        assert gateway.sandbox.statistics().received == 1


async def test_a_stream_that_runs_gets_its_end_if_there_is_time() -> None:
    sandbox = SandboxOptions(token_interval_ms=20, reply_tokens=16)
    async with open_loopback(server={"drain_ms": 10_000}, sandbox=sandbox) as gateway:
        clients = [(path, await start(gateway, path, stream=True)) for path in CHAT_PATHS]
        await gateway.until(lambda: gateway.sandbox.statistics().in_flight == len(clients))
        gateway.shutdown.set()
        for _, client in clients:
            answer = await client.answer("POST")
            assert answer.status == 200
            assert answer.is_whole
            assert b"error" not in answer.body


ENDINGS = {"openai": b"[DONE]", "anthropic": b"message_stop", "ollama": b'"done":true'}


@pytest.mark.parametrize("kind", ["openai_compatible", "sandbox"], ids=["translated", "untouched"])
async def test_a_stream_that_still_runs_at_the_deadline_ends_with_an_error_and_a_cut(
    kind: str,
) -> None:
    sandbox = SandboxOptions(token_interval_ms=100, reply_tokens=1000)
    async with open_loopback(
        server={"drain_ms": 1200}, sandbox=sandbox, provider={"kind": kind}
    ) as gateway:
        clients = [(path, await start(gateway, path, stream=True)) for path in CHAT_PATHS]
        await gateway.until(lambda: gateway.sandbox.statistics().in_flight == len(clients))
        began = trio.current_time()
        gateway.shutdown.set()
        for path, client in clients:
            answer = await client.answer("POST")
            dialect = CHAT_PATHS[path]
            assert answer.status == 200
            assert not answer.is_whole
            assert ENDINGS[dialect] not in answer.body
            last = answer.body.rstrip(b"\n").rpartition(b"\n")[2].removeprefix(b"data: ")
            assert "shutting down" in error_message(dialect, loads_object(last), is_whole=False)
        await gateway.ended.wait()
        assert 0.8 < trio.current_time() - began < 4
        await gateway.until(lambda: gateway.sandbox.statistics().in_flight == 0)
        assert gateway.sandbox.statistics().cancelled == len(clients)


async def test_a_waiting_stream_that_was_kept_alive_is_told_once_and_cut() -> None:
    config: dict[str, object] = {"wait": {"keepalive_after_ms": 20, "max_wait_ms": 60_000}}
    async with open_loopback(config, server={"drain_ms": 1200}, provider=NEVER_AGAIN) as gateway:
        await gateway.serves()
        asked = [
            (path, await start(gateway, path, stream=True)) for path in CHAT_PATHS for _ in range(5)
        ]
        await waiting(gateway, len(asked))
        for _, client in asked:
            await trio.lowlevel.wait_readable(client.stream.socket.fileno())
        gateway.shutdown.set()
        for path, client in asked:
            answer = await client.answer("POST")
            dialect = CHAT_PATHS[path]
            assert (answer.status, answer.is_whole) == (200, False)
            assert ENDINGS[dialect] not in answer.body
            assert answer.body.count(b"shutting down") == 1
            last = answer.body.rstrip(b"\n").rpartition(b"\n")[2].removeprefix(b"data: ")
            error_message(dialect, loads_object(last), is_whole=False)
        await gateway.ended.wait()


async def test_a_request_that_comes_in_during_the_drain_is_told_to_go() -> None:
    """Its head was here before the shutdown, its body comes after it."""
    async with open_loopback(server={"drain_ms": 5000}) as gateway:
        halves: list[tuple[str, RawClient, bytes]] = []
        for path in CHAT_PATHS:
            client = await gateway.connect()
            body = dumps(request_of(path))
            await client.send(
                gateway.head("POST", path, {"content-length": str(len(body))}) + body[:10]
            )
            halves.append((path, client, body[10:]))

        async def are_received() -> bool:
            status = await gateway.status()
            actors = status["actors"]
            assert isinstance(actors, dict)
            return str(actors).count("receiving") == len(halves)

        await gateway.until(are_received)
        gateway.shutdown.set()
        for path, client, rest in halves:
            await client.send(rest)
            assert_told_to_go(await client.answer("POST"), path)
        await gateway.ended.wait()


async def test_a_client_that_reads_nothing_does_not_hold_up_the_end() -> None:
    sandbox = SandboxOptions(reply_tokens=60_000)
    async with open_loopback(server={"drain_ms": 400}, sandbox=sandbox) as gateway:
        path = "/v1/chat/completions"
        for _ in range(3):
            await start(gateway, path, stream=True, max_tokens=60_000)
        await gateway.until(lambda: gateway.sandbox.statistics().in_flight == 3)
        await trio.sleep(0.1)
        began = trio.current_time()
        gateway.shutdown.set()
        await gateway.ended.wait()
        assert trio.current_time() - began < 4


async def test_readiness_says_no_during_the_drain() -> None:
    sandbox = SandboxOptions(latency_ms=300)
    async with open_loopback(server={"drain_ms": 5000}, sandbox=sandbox) as gateway:
        probe = await gateway.connect()
        await probe.send(gateway.head("GET", "/readyz"))
        assert (await probe.answer()).status == 200
        asked = await start(gateway, "/api/chat")
        await gateway.until(lambda: gateway.sandbox.statistics().in_flight == 1)
        gateway.shutdown.set()
        with pytest.raises(OSError, match="127"):
            await gateway.connect()
        assert (await asked.answer("POST")).status == 200
