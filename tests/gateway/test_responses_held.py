"""Held streams of the Responses API: kept alive with events that agents count, under one id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx
import httpx2
import openai
import pytest
import trio
from openai.types.responses import Response
from responses_client import check_stream
from sdk_wire import Exchange
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.actors.stores import StoredResponse

IDLE_OF_AGENTS = 300.0
"""Seconds after which Codex CLI gives up; comments do not count."""
OVER: Mapping[str, dict[str, object]] = {
    "chat": {"kind": "openai_compatible", "base_url": "http://up.test/v1"},
    "native": {"kind": "sandbox", "base_url": "http://up.test"},
    "anthropic": {"kind": "anthropic", "base_url": "http://up.test", "api_key": "k"},
    "ollama": {"kind": "ollama", "hosts": ["http://up.test"]},
}

over_all = pytest.mark.parametrize("upstream", OVER)


@dataclass
class Heard:
    """A stream and when its pieces came, in seconds since it was asked for."""

    body: bytes
    times: list[float]
    broke_off: bool

    @property
    def events(self) -> list[dict[str, Any]]:
        """After they were checked."""
        exchange = Exchange("POST", "/v1/responses", 200, {}, {}, bytearray(self.body))
        return check_stream(exchange.frames)

    def as_the_sdk_hears_it(self) -> Response:
        """By the helper, which takes a change of the id for a broken stream."""

        def respond(_: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(
                200, headers={"content-type": "text/event-stream"}, content=self.body
            )

        transport = httpx2.MockTransport(respond)
        client = openai.OpenAI(
            api_key="k",
            base_url="http://gateway.invalid/v1",
            max_retries=0,
            http_client=openai.DefaultHttpxClient(transport=transport),
        )
        with client, client.responses.stream(model="m", input="hello") as stream:
            return stream.get_final_response()


def config(upstream: str, *, wait: Mapping[str, object], **limits: float) -> dict[str, object]:
    """One provider with limits, and ``fast`` at it."""
    return {
        "wait": wait,
        "providers": {"up": {**OVER[upstream], "limits": limits}},
        "models": {"fast": {"targets": ["up/sandbox-chat"]}},
    }


async def respond(world: World, **fields: object) -> dict[str, Any]:
    answer = await world.client.post(
        f"{GATEWAY}/v1/responses", json={"model": "fast", "input": "hello", **fields}
    )
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def listen(world: World, **fields: object) -> Heard:
    began = trio.current_time()
    received = bytearray()
    times: list[float] = []
    broke_off = False
    request = {"model": "fast", "input": "hello", "stream": True, **fields}
    async with world.client.stream("POST", f"{GATEWAY}/v1/responses", json=request) as answer:
        assert answer.status_code == 200
        try:
            async for piece in answer.aiter_raw():
                received += piece
                times.append(trio.current_time() - began)
        except httpx.RemoteProtocolError:
            broke_off = True
    return Heard(bytes(received), times, broke_off)


@over_all
async def test_a_stream_held_for_twenty_minutes_is_heard_whole_and_kept_traps_84_97(
    upstream: str, autojump_clock: MockClock
) -> None:
    """The native server numbers its own events from 0, under its own id."""
    wait = {"max_wait_ms": 3_600_000}
    async with open_world(config(upstream, wait=wait, rpm=0.05, burst=1)) as world:
        await respond(world)
        heard = await listen(world)
        assert heard.times[-1] == pytest.approx(1200, abs=0.01)
        assert all(later - earlier < IDLE_OF_AGENTS for earlier, later in pairwise(heard.times))
        assert b"\n:" not in heard.body

        events = heard.events
        assert events[0]["response"]["status"] == "queued"
        waiting = [event for event in events if event["type"] == "response.in_progress"]
        assert len(waiting) > 100
        answer = heard.as_the_sdk_hears_it()
        assert answer.status == "completed"
        assert answer.output_text.startswith("You said: hello")

        kept = await world.client.get(f"{GATEWAY}/v1/responses/{answer.id}")
        assert kept.json() == events[-1]["response"]


@over_all
async def test_what_was_held_can_be_gone_on_from(upstream: str, autojump_clock: MockClock) -> None:
    async with open_world(
        config(upstream, wait={"max_wait_ms": 100_000}, rpm=1.5, burst=1)
    ) as world:
        await respond(world)
        held = (await listen(world)).events[-1]["response"]
        after = await respond(world, input="go on", previous_response_id=held["id"])
        assert after["previous_response_id"] == held["id"]
        items = await world.client.get(f"{GATEWAY}/v1/responses/{after['id']}/input_items")
        assert len(items.json()["data"]) == 3


@over_all
async def test_a_wait_that_ends_in_vain_is_a_failed_response_trap_89(
    upstream: str, autojump_clock: MockClock
) -> None:
    async with open_world(
        config(upstream, wait={"max_wait_ms": 30_000}, rpm=1.5, burst=1)
    ) as world:
        await respond(world)
        heard = await listen(world)
        assert heard.broke_off
        events = heard.events
        assert [event["type"] for event in events] == [
            "response.created",
            "response.in_progress",
            "response.failed",
        ]
        failed = events[-1]["response"]
        assert failed["error"]["code"] == "rate_limit_exceeded"
        assert "try again in" in failed["error"]["message"]
        kept = await world.client.get(f"{GATEWAY}/v1/responses/{failed['id']}")
        assert kept.status_code == 404
        assert await world.is_at_rest()


@over_all
async def test_a_silent_upstream_is_bridged_between_its_events(
    upstream: str, autojump_clock: MockClock
) -> None:
    async with open_world(config(upstream, wait={"max_wait_ms": 30_000})) as world:
        world.sandbox.change_options(
            world.sandbox.options.changed({"token_interval_ms": 24_000, "reply_tokens": 4})
        )
        heard = await listen(world, input="x")
        assert all(later - earlier <= 15.01 for earlier, later in pairwise(heard.times))
        answer = heard.as_the_sdk_hears_it()
        kept = await world.client.get(f"{GATEWAY}/v1/responses/{answer.id}")
        assert kept.json() == heard.events[-1]["response"]


@over_all
async def test_a_client_that_leaves_frees_all_and_leaves_nothing(
    upstream: str, autojump_clock: MockClock
) -> None:
    async with open_world(config(upstream, wait={"max_wait_ms": 30_000})) as world:
        world.sandbox.change_options(world.sandbox.options.changed({"token_interval_ms": 1000}))
        first = await respond(world, input="one")
        with trio.move_on_after(3):
            await listen(world, input="two", previous_response_id=first["id"])
        assert await world.is_at_rest()
        stored = await world.gateway.responses.get("anonymous", first["id"])
        assert isinstance(stored, StoredResponse)
        assert json.loads(stored.body) == first
        assert world.sandbox.statistics().cancelled == 1


async def test_a_conversation_takes_room_among_the_waiting_bytes(
    autojump_clock: MockClock,
) -> None:
    """What a small request goes on from may be large."""
    wait = {"max_wait_ms": 100_000}
    async with open_world(config("chat", wait=wait, rpm=1.5, burst=1)) as world:
        long = "word " * 2000
        first = await respond(world, input=long)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                lambda: respond(world, input="go on", previous_response_id=first["id"])
            )
            await trio.sleep(5)
            assert world.gateway.waiting == 1
            assert world.gateway.waiting_bytes.lent > len(long)
        assert await world.is_at_rest()
