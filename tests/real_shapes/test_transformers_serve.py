"""Hugging Face's ``transformers serve``, byte for byte as it was recorded: its streams have no
``[DONE]``, tell what was used with the end, and its listing is an error in plain text."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio
from imitations.asking import CLIENTS, asking, frames, post, said, streamed
from memory_network import Serve
from trio.testing import MockClock
from worlds import open_world

CAPTURES = Path(__file__).parents[1] / "captures" / "transformers-serve-5.23"
CONFIG = {
    "wait": {"max_wait_ms": 60_000},
    "providers": {"up": {"kind": "openai_compatible", "base_url": "http://up.test/v1"}},
    "models": {"fast": {"targets": ["up/smollm2"]}},
}
each_client = pytest.mark.parametrize("path", CLIENTS)


async def replay(stream: trio.abc.Stream, *, chat: str) -> None:
    """One connection: listings are answered as recorded, and chats with ``chat``."""
    async with stream:
        request = b""
        while b"\r\n\r\n" not in request:
            more = await stream.receive_some(65536)
            if not more:
                return
            request += more
        name = "models" if request.startswith(b"GET") else chat
        await stream.send_all((CAPTURES / f"{name}.resp").read_bytes())
        while await stream.receive_some(65536):
            pass


def hosts(chat: str) -> dict[str, Serve]:
    return {"up.test": partial(replay, chat=chat)}


@each_client
async def test_a_whole_answer_comes_through(path: str, autojump_clock: MockClock) -> None:
    async with open_world(CONFIG, sandboxes={}, hosts=hosts("chat")) as world:
        answer = await post(world, path, asking(path))
        assert answer.status_code == 200, answer.text
        assert said(path, answer.json())


@each_client
async def test_a_stream_without_its_end_mark_ends_well(
    path: str, autojump_clock: MockClock
) -> None:
    async with open_world(CONFIG, sandboxes={}, hosts=hosts("chat-stream")) as world:
        answer = await post(world, path, asking(path, stream=True))
        assert answer.status_code == 200, answer.text
        events = frames(answer.text)
        assert streamed(path, events).endswith(" compassion.")
        match path:
            case "/v1/messages":
                assert events[-1] == {"type": "message_stop"}
                assert events[-2]["usage"]["output_tokens"] == 20
            case "/api/chat":
                assert events[-1]["done_reason"] == "stop"
                assert (events[-1]["prompt_eval_count"], events[-1]["eval_count"]) == (36, 20)
            case _:
                assert events[-1]["choices"][0]["finish_reason"] == "stop"
        assert await world.is_at_rest()


async def test_a_listing_that_is_an_error_is_told_and_does_not_stop_calls(
    autojump_clock: MockClock,
) -> None:
    async with open_world(CONFIG, sandboxes={}, hosts=hosts("chat")) as world:
        listing = world.gateway.providers["up"].listing
        await listing.first_try()
        assert "GET http://up.test/v1/models answered with status 500" in listing.describe()
        assert "\n" not in listing.describe()
        assert (await world.ask()).status_code == 200


@each_client
async def test_a_model_that_it_does_not_have_is_the_clients_error(
    path: str, autojump_clock: MockClock
) -> None:
    async with open_world(CONFIG, sandboxes={}, hosts=hosts("err-unknownmodel")) as world:
        answer = await post(world, path, asking(path))
        assert 400 <= answer.status_code < 500
        assert "no-such-model" in answer.text
