"""Whole answers that are held: what goes before them, and what never does. Traps 99, 103 to 105."""

from __future__ import annotations

import httpx
import pytest
import trio
from spoken_errors import CHAT_PATHS, JSON_TYPES
from trio.testing import MockClock
from worlds import GATEWAY, World, one_provider, open_world

NODES_PATIENCE = 300.0
PATHS = ["/v1/chat/completions", "/v1/messages", "/api/chat"]


def _slow(every: float, max_wait: float) -> dict[str, object]:
    config = one_provider(limits={"rpm": 60 / every, "burst": 1})
    config["wait"] = {"max_wait_ms": max_wait * 1000}
    return config


async def _ask(world: World, path: str, hold: str = "keepalive") -> tuple[httpx.Response, float]:
    """The answer, and seconds until its head."""
    began = trio.current_time()
    body = {
        "model": "fast",
        "max_tokens": 50,
        "stream": False,
        "messages": [{"role": "user", "content": "hello"}],
    }
    headers = {"x-forebay-hold": hold, "accept-encoding": "gzip, br"}
    async with world.client.stream("POST", GATEWAY + path, json=body, headers=headers) as answer:
        head_at = trio.current_time() - began
        await answer.aread()
        return answer, head_at


@pytest.mark.parametrize("path", PATHS)
async def test_traps_99_104_105_whitespace_is_sent_in_time_as_plain_json(
    path: str, autojump_clock: MockClock
) -> None:
    """Without any setting; and what follows is one JSON object, never compressed."""
    async with open_world(_slow(every=400, max_wait=3600)) as world:
        await world.ask()
        answer, head_at = await _ask(world, path)
        assert answer.status_code == 200
        assert head_at < NODES_PATIENCE - 30
        assert answer.headers["content-type"] == JSON_TYPES[CHAT_PATHS[path]]
        assert "content-encoding" not in answer.headers
        assert answer.content.startswith(b"\n\n")
        assert isinstance(answer.json()["model"], str)


@pytest.mark.parametrize("path", PATHS)
async def test_trap_99_a_failure_before_that_has_its_own_status(
    path: str, autojump_clock: MockClock
) -> None:
    async with open_world(_slow(every=400, max_wait=200)) as world:
        await world.ask()
        answer, head_at = await _ask(world, path)
        assert (answer.status_code, round(head_at)) == (429, 200)
        assert answer.headers["content-type"] == JSON_TYPES[CHAT_PATHS[path]]


async def test_trap_103_nothing_comes_before_the_status_unless_it_was_asked_for(
    autojump_clock: MockClock,
) -> None:
    """Not even while the answer is held."""
    body = b'{"model":"fast","messages":[{"role":"user","content":"hello"}]}'
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n%bcontent-length: %d\r\n\r\n"
    )
    async with open_world(_slow(every=40, max_wait=3600)) as world:
        for asked, first_line in (
            (b"", b"HTTP/1.1 200 \r\n"),
            (b"expect: 100-continue\r\n", b"HTTP/1.1 100 \r\n"),
        ):
            connection = await world.network.connect_tcp("localhost", 80)
            await connection.write(request % (asked, len(body)) + body)
            received = await connection.read(65536)
            assert received.startswith(first_line), received
            await connection.aclose()
