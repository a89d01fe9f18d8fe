"""Request bodies that come compressed: read, bounded, and refused clearly where they can't be."""

from __future__ import annotations

import gzip
import zlib

import httpx
import pytest
from trio.testing import MockClock
from worlds import GATEWAY, World, one_provider, open_world

from forebay.endpoints.sandbox import SandboxOptions

BODY = b'{"model":"fast","messages":[{"role":"user","content":"hello"}],"x":1.0}'


async def _post(world: World, body: bytes, encoding: str) -> httpx.Response:
    return await world.client.post(
        f"{GATEWAY}/v1/chat/completions", content=body, headers={"content-encoding": encoding}
    )


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("GZIP", gzip.compress(BODY, mtime=0)),
        ("deflate", zlib.compress(BODY)),
        ("identity", BODY),
    ],
)
async def test_a_compressed_request_is_passed_on_as_what_it_says(
    encoding: str, body: bytes, autojump_clock: MockClock
) -> None:
    async with open_world(sandboxes={"up": SandboxOptions(keep_requests=10)}) as world:
        answer = await _post(world, body, encoding)
        assert answer.status_code == 200
        (received,) = [each for each in world.sandbox.requests if each.method == "POST"]
        assert received.body == BODY.replace(b"fast", b"sandbox-chat")
        assert "content-encoding" not in received.headers
        assert await world.is_at_rest()


@pytest.mark.parametrize(
    ("encoding", "body", "said"),
    [
        ("gzip", BODY, "not what its content-encoding says"),
        ("gzip", gzip.compress(BODY, mtime=0)[:-9], "has no end"),
        ("br", BODY, "content-encoding 'br' can't be read here"),
        ("gzip, gzip", gzip.compress(gzip.compress(BODY, mtime=0)), "can't be read here"),
    ],
)
async def test_what_can_not_be_read_is_a_400_that_says_so(
    encoding: str, body: bytes, said: str, autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        answer = await _post(world, body, encoding)
        assert answer.status_code == 400
        assert said in answer.json()["error"]["message"]
        assert await world.is_at_rest()


async def test_a_small_body_that_grows_beyond_the_limit_is_a_413(
    autojump_clock: MockClock,
) -> None:
    config = one_provider()
    config["server"] = {"max_body_bytes": 100_000}
    async with open_world(config) as world:
        bomb = gzip.compress(b" " * 50_000_000 + BODY)
        assert len(bomb) < 100_000
        answer = await _post(world, bomb, "gzip")
        assert answer.status_code == 413
        assert await world.is_at_rest()
