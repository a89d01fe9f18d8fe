"""The gateway without a server: what an embedding program sees."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock
from worlds import one_provider, open_world

from forebay.actors.gateway import Client, JobFailure
from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.events import Finish, Start, TextDelta
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    user_turn,
)


def _ask(text: str, model: str = "fast") -> ChatRequest:
    return ChatRequest(model=model, turns=(user_turn(text),))


async def test_events_come_in_order_and_the_stream_closes_itself(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        stream = world.gateway.chat(_ask("hello"))
        events = [event async for event in stream]
        assert isinstance(events[0], Start)
        assert isinstance(events[-1], Finish)
        assert "".join(e.text for e in events if isinstance(e, TextDelta)).startswith("You said")
        assert stream.history is not None
        assert stream.history.target == "up/sandbox-chat"
        assert await world.is_at_rest()


async def test_leaving_early_returns_the_permit_at_once(autojump_clock: MockClock) -> None:
    boxes = {"up": SandboxOptions(token_interval_ms=1000)}
    async with open_world(sandboxes=boxes, provider={"limits": {"concurrency": 1}}) as world:
        async with world.gateway.chat(_ask("hello")) as stream:
            async for event in stream:
                if isinstance(event, TextDelta):
                    break
        assert await world.is_at_rest()
        assert world.sandbox.statistics().cancelled == 1


async def test_a_stream_dropped_without_closing_is_warned_about(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        stream = world.gateway.chat(_ask("hello"))
        await anext(stream)
        unclosed = stream._stack  # kept, to be closed after the warning
        with pytest.warns(ResourceWarning, match="async with gateway.chat"):
            del stream
        assert unclosed is not None
        await unclosed.aclose()
        assert await world.is_at_rest()


async def test_a_caller_waits_no_longer_than_it_says(autojump_clock: MockClock) -> None:
    async with open_world(one_provider(limits={"rpm": 1, "burst": 1})) as world:
        await world.gateway.chat(_ask("first")).response()
        began = trio.current_time()
        with pytest.raises(JobFailure) as caught:
            await world.gateway.chat(_ask("second"), max_wait=3).response()
        assert trio.current_time() - began == 3.0
        assert caught.value.error.kind is ErrorKind.RATE_LIMITED
        assert caught.value.error.retry_after == 57.0
        assert caught.value.history.waited == 3.0


async def test_callers_take_turns_by_weight(autojump_clock: MockClock) -> None:
    boxes = {"up": SandboxOptions(latency_ms=100)}
    async with open_world(sandboxes=boxes, provider={"limits": {"concurrency": 1}}) as world:
        served = {"light": 0, "heavy": 0}

        async def ask_again(client: Client) -> None:
            while True:
                await world.gateway.chat(_ask("x"), client=client).response()
                # By then what a job costs is known; before, turns are taken by estimates.
                if trio.current_time() > 30:
                    served[client.name] += 1

        with trio.move_on_after(120):
            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(ask_again, Client(name="light"))
                    nursery.start_soon(ask_again, Client(name="heavy", weight=2))
        assert served["heavy"] / served["light"] == pytest.approx(2, rel=0.02)


async def test_what_goes_wrong_is_raised(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        with pytest.raises(ApiFailure) as unknown:
            await world.gateway.chat(_ask("x", model="nobody")).response()
        assert unknown.value.error.kind is ErrorKind.MODEL_NOT_FOUND
        with pytest.raises(JobFailure) as broken:
            await world.gateway.chat(_ask("[[fault: 500]]")).response()
        assert broken.value.error.kind is ErrorKind.UPSTREAM_ERROR
        assert broken.value.history.attempts == 3
        with pytest.raises(ApiFailure):
            await world.gateway.chat(_ask("[[fault: cut-midstream=2]]")).response()
        assert await world.is_at_rest()


async def test_tools_are_called_by_the_names_that_the_request_gives_them(
    autojump_clock: MockClock,
) -> None:
    """Also those that the upstream does not bear."""
    request = replace(
        _ask("hello"),
        tools=(Tool(name="files.read: ü", parameters={"type": "object"}),),
        tool_choice=ToolChoice(ToolChoiceMode.REQUIRED),
    )
    async with open_world() as world:
        response = await world.gateway.chat(request).response()
        calls = [part for part in response.parts if isinstance(part, ToolCall)]
        assert [call.name for call in calls] == ["files.read: ü"]
