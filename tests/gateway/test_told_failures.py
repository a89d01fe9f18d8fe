"""Who is told what of a broken upstream: clients what happened, operators also where."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
from spoken_errors import CHAT_PATHS, request_of
from trio.testing import MockClock
from worlds import GATEWAY, World, one_provider, open_world

from forebay.actors.jobs.failures import network_failure
from forebay.actors.upstream import (
    AnswerBroken,
    BodyTooLong,
    ConnectFailed,
    NoAnswer,
    UpstreamFailure,
)
from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.canonical.errors import ErrorKind
from forebay.protocol.providers.base import FailureKind

PRIVATE = ("up.test", ":80", "refused", "/v1", "Errno")
"""Where the provider is, and what a system says of it."""
TARGET = "up/sandbox-chat"
TIMEOUTS = {"first_byte_ms": 4000, "between_bytes_ms": 3000}


@asynccontextmanager
async def brief_world() -> AsyncIterator[World]:
    async with open_world(one_provider(timeouts=TIMEOUTS)) as world:
        await trio.sleep(90)  # until the connection that listed the models is too old to be used
        yield world


async def hear(world: World, path: str, text: str, *, stream: bool) -> str:
    """All that a client sees of an answer."""
    heard = ""
    request = request_of(path, text, stream=stream)
    async with world.client.stream("POST", GATEWAY + path, json=request) as answer:
        heard += repr(answer.headers.raw)
        try:
            async for piece in answer.aiter_text():
                heard += piece
        except httpx.RemoteProtocolError:
            pass
    return heard


async def detail(world: World) -> str:
    """What the status says of the target's last failure."""
    ((target,),) = [provider.targets for provider in (await world.gateway.status()).providers]
    assert target.last_failure is not None
    return target.last_failure.message


@pytest.mark.parametrize("path", CHAT_PATHS)
@pytest.mark.parametrize(
    ("fault", "stream", "told"),
    [
        ("reset", False, f"{TARGET} broke off"),
        ("reset", True, f"{TARGET} broke off"),
        ("hang", False, f"{TARGET} timed out after 4000 ms waiting for the first byte"),
        ("hang", True, f"{TARGET} timed out after 4000 ms waiting for the first byte"),
        ("reset-midstream=2", True, f"{TARGET} broke off its answer"),
        ("cut-midstream=2", True, f"{TARGET} broke off its answer"),
        ("hang-midstream=2", True, f"{TARGET} timed out after 3000 ms waiting for more"),
    ],
)
async def test_a_client_hears_what_happened_and_not_where(
    path: str,
    fault: str,
    stream: bool,
    told: str,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: MockClock,
) -> None:
    async with brief_world() as world:
        caplog.set_level(logging.WARNING)
        heard = await hear(world, path, f"[[fault: {fault}]]", stream=stream)
        # Bodies escape slashes in no way that these dialects' encoders use.
        assert told in heard
        assert not any(words in heard for words in PRIVATE), heard
        assert "up.test:80" in await detail(world)
        assert "up.test:80" in caplog.text
        assert TARGET in caplog.text


async def test_an_upstream_that_is_not_there_is_named_to_operators_only(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with brief_world() as world:
        world.network.unplug("up.test")
        headers = {"x-forebay-max-wait-ms": "2000"}
        answer = await world.ask(headers=headers)
        assert answer.status_code == 429
        heard = answer.text + repr(answer.headers.raw)
        assert not any(words in heard for words in PRIVATE)
        assert (await detail(world)).startswith("could not connect to up.test:80")
        assert "could not connect to up.test:80" in caplog.text
        status = (await world.client.get(f"{GATEWAY}/forebay/status")).json()
        (target,) = status["providers"][0]["targets"]
        assert target["last_failure"]["message"].startswith("could not connect to up.test:80")
        assert 0 <= target["last_failure"]["seconds_ago"] <= 2


async def test_a_refusal_names_a_host_by_its_number(autojump_clock: MockClock) -> None:
    """The operator finds the number in the status, beside the hosts in their order."""
    hosts = ["http://one.test", "http://two.test"]
    config = {
        "providers": {"local": {"kind": "ollama", "hosts": hosts, "limits": {"concurrency": 1}}},
        "models": {"fast": {"targets": ["local/sandbox-chat"]}},
    }
    boxes = {name: SandboxOptions(latency_ms=60_000) for name in ("one", "two")}
    async with open_world(config, sandboxes=boxes) as world, trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(world.ask)
        await trio.sleep(1)
        answer = await world.ask(headers={"x-forebay-max-wait-ms": "1000"})
        assert answer.status_code == 429
        assert answer.headers["x-forebay-blocked-by"].startswith("local")
        assert ".test" not in answer.text + repr(answer.headers.raw)
        (provider,) = (await world.gateway.status()).providers
        assert provider.hosts == tuple(hosts)
        (target,) = provider.targets
        assert {"local at host 1: concurrency", "local at host 2: concurrency"} <= set(target.gates)
        assert "test" not in str(list(target.gates))
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("failure", "told", "kind", "error"),
    [
        (
            ConnectFailed("no up.test:80"),
            f"could not connect to {TARGET}",
            FailureKind.UNREACHABLE,
            ErrorKind.UPSTREAM_ERROR,
        ),
        (
            ConnectFailed("no up.test:80", timed_out=True),
            f"could not connect to {TARGET}: timed out after 10000 ms",
            FailureKind.UNREACHABLE,
            ErrorKind.UPSTREAM_ERROR,
        ),
        (
            NoAnswer("no up.test:80", timed_out=True),
            f"{TARGET} timed out after 4000 ms waiting for the first byte of its answer",
            FailureKind.TIMED_OUT,
            ErrorKind.UPSTREAM_TIMEOUT,
        ),
        (
            AnswerBroken("no up.test:80", timed_out=True),
            f"{TARGET} timed out after 3000 ms waiting for more of its answer",
            FailureKind.TIMED_OUT,
            ErrorKind.UPSTREAM_TIMEOUT,
        ),
        (
            BodyTooLong(7),
            f"the answer of {TARGET} is longer than 7 bytes",
            FailureKind.SERVER_FAILED,
            ErrorKind.UPSTREAM_ERROR,
        ),
        (
            UpstreamFailure("no up.test:80"),
            f"the call to {TARGET} failed",
            FailureKind.SERVER_FAILED,
            ErrorKind.UPSTREAM_ERROR,
        ),
    ],
)
async def test_every_failure_of_the_network_has_words_without_an_address(
    failure: UpstreamFailure, told: str, kind: FailureKind, error: ErrorKind
) -> None:
    async with open_world(one_provider(timeouts=TIMEOUTS)) as world:
        target = world.gateway.providers["up"].target("sandbox-chat")
        understood = network_failure(failure, target)
        assert understood.error.message == told
        assert understood.kind is kind
        assert understood.error.kind is error
        assert understood.detail == str(failure)
