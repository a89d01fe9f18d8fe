"""A line of an Ollama server that can't be read, between good ones: what its own clients hear.

Ollama's JavaScript client skips such a line, and Python's takes the next ``done`` for the end only
if it got past it: so neither may see what comes after.
"""

from __future__ import annotations

import json

import httpx
import pytest
from imitation import Imitation
from trio.testing import MockClock
from unreadable_lines import DONE, GOOD, HELLO, UNREADABLE, WORLD, answers
from worlds import GATEWAY, open_world

CONFIG = {"providers": {"up": {"kind": "ollama", "hosts": ["http://other.test"]}}}
ASKED = {"model": "up/m", "messages": [{"role": "user", "content": "hi"}]}


async def heard(pieces: tuple[bytes, ...]) -> tuple[bytes, bool]:
    """What a client gets of a stream in these pieces, and whether it is whole."""
    server = Imitation(answers("/api/chat", pieces))
    received = bytearray()
    async with (
        open_world(CONFIG, hosts={"other.test": server.serve}) as world,
        world.client.stream("POST", f"{GATEWAY}/api/chat", json=ASKED) as answer,
    ):
        assert answer.status_code == 200
        try:
            async for piece in answer.aiter_raw():
                received += piece
        except httpx.RemoteProtocolError:
            return bytes(received), False
    return bytes(received), True


async def test_a_good_stream_is_passed_on_byte_by_byte(autojump_clock: MockClock) -> None:
    assert await heard(GOOD) == (b"".join(GOOD), True)


@pytest.mark.parametrize("wrong", UNREADABLE)
async def test_nothing_from_a_line_that_cant_be_read_on_is_passed_on(
    wrong: str, autojump_clock: MockClock
) -> None:
    """Trap 90: instead an error is said, and the transfer breaks off."""
    received, is_whole = await heard(UNREADABLE[wrong])
    assert not is_whole
    assert DONE not in received
    assert b'"done":true' not in received
    if wrong == "garbage in two reads":
        # Its beginning was passed on before anybody could know.
        assert received.startswith(HELLO + WORLD)
        assert received.count(b"\n") == 2
        return
    *good, last = received.splitlines(keepends=True)
    assert b"".join(good) in (HELLO, HELLO + WORLD)
    assert set(json.loads(last)) == {"error"}


async def test_what_comes_after_the_end_is_passed_on(autojump_clock: MockClock) -> None:
    """All was said by then."""
    late = b"<<garbage>>\n"
    assert await heard((HELLO, DONE + late)) == (HELLO + DONE + late, True)
