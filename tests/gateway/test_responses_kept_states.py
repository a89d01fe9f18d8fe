"""What a native server answers is kept only where it is an answer that one can go on from."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.protocol.jsontext import JsonObject, dumps

NATIVE: dict[str, object] = {
    "providers": {"up": {"kind": "sandbox", "base_url": "http://up.test"}},
    "models": {"fast": {"targets": ["up/sandbox-chat"]}},
}
MESSAGE: JsonObject = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "hello", "annotations": []}],
}


def answer(**fields: Any) -> JsonObject:  # noqa: ANN401 - any JSON
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "m",
        "output": [MESSAGE],
        **fields,
    }


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (answer(), True),
        (answer(status="incomplete", incomplete_details={"reason": "max_output_tokens"}), True),
        (answer(output=[MESSAGE, {"type": "novelty"}]), True),
        (answer(status="in_progress"), False),
        (answer(status="queued"), False),
        (answer(status=None), False),
        (answer(id=None), False),
        (answer(id=5), False),
    ],
)
async def test_only_what_has_come_to_its_end_is_kept(
    body: JsonObject, kept: bool, autojump_clock: MockClock
) -> None:
    """The client gets the server's own bytes all the same."""
    said = dumps(body)

    async def serve(stream: trio.abc.Stream) -> None:
        received = b""
        while b'"hi"' not in received:
            received += await stream.receive_some()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(said)}"
        await stream.send_all(head.encode() + b"\r\nconnection: close\r\n\r\n" + said)
        await stream.aclose()

    async with open_world(NATIVE) as world:
        await trio.sleep(1)
        world.network.unplug("up.test")
        await trio.sleep(120)  # until the connection that listed the models is too old to be used
        world.network.plug("up.test", serve)
        asked = {"model": "fast", "input": "hi"}
        heard = await world.client.post(f"{GATEWAY}/v1/responses", json=asked)
        assert (heard.status_code, heard.content) == (200, said)
        again = await world.client.get(f"{GATEWAY}/v1/responses/resp_1")
        assert again.status_code == (200 if kept else 404)
        if kept:
            assert again.json() == body


async def _ask(world: World, said: str) -> str:
    asked = {"model": "fast", "input": said}
    got = await world.client.post(f"{GATEWAY}/v1/responses", json=asked)
    assert got.status_code == 200, got.text
    response_id: str = got.json()["id"]
    return response_id


async def test_as_many_answers_are_kept_as_configured_and_for_as_long(
    autojump_clock: MockClock,
) -> None:
    async def is_kept(response_id: str) -> bool:
        got = await world.client.get(f"{GATEWAY}/v1/responses/{response_id}")
        return got.status_code == 200

    async with open_world({**NATIVE, "state": {"max_responses": 2, "keep_ms": 60_000}}) as world:
        first, second, third = [await _ask(world, f"turn {turn}") for turn in range(3)]
        assert [await is_kept(each) for each in (first, second, third)] == [False, True, True]
        await trio.sleep(30)
        fourth = await _ask(world, "later")
        assert [await is_kept(each) for each in (second, third, fourth)] == [False, True, True]
        await trio.sleep(30)
        assert [await is_kept(each) for each in (third, fourth)] == [False, True]


async def test_as_many_bytes_are_kept_as_configured(autojump_clock: MockClock) -> None:
    async with open_world({**NATIVE, "state": {"max_bytes": 20_000}}) as world:
        small = await _ask(world, "short")
        await _ask(world, "long " * 10_000)
        for response_id, status in ((small, 404), (await _ask(world, "short again"), 200)):
            got = await world.client.get(f"{GATEWAY}/v1/responses/{response_id}")
            assert got.status_code == status
