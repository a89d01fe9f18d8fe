"""Streams with status 200 that end in a refusal or an overload after they have begun: their clients
are told, nobody repeats the call, and the limits learn what it was."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
import trio
from imitation import Imitated, Imitation
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.actors.scheduling.gates import (
    Backlog,
    Call,
    Demand,
    Ending,
    Gate,
    Outcome,
    RefusedBy,
    Unit,
    surplus,
)

SSE = "text/event-stream"
TOO_FAST = (
    "Rate limit reached for m in organization org-x on tokens per min (TPM): Limit 60000, "
    "Used 59000, Requested 1500. Please try again in 7s."
)


class Listener(Gate):
    """Open to all; notes how calls end."""

    def __init__(self) -> None:
        super().__init__("listener")
        self.heard: list[Outcome] = []

    def ready_at(self, demand: Demand, now: float) -> float:
        return now

    def finish(self, call: Call, outcome: Outcome, now: float) -> None:
        self.heard.append(outcome)

    def expected_wait(self, ahead: Backlog, demand: Demand, now: float) -> float:
        return 0.0

    def snapshot(self, now: float) -> dict[str, float | int | str | None]:
        return {}


class Provider:
    """Breaks the first stream off with an error, and answers all others."""

    def __init__(self, error: Mapping[str, object], *, says_before: bool = True) -> None:
        self._says_before = says_before
        self.asked_at: list[float] = []
        self._error = error
        self.server = Imitation(
            {
                "GET /v1/models": Imitated(b'{"object":"list","data":[{"id":"m"}]}'),
                "POST /v1/chat/completions": lambda _: self._answer(),
            }
        )

    def _answer(self) -> Imitated:
        self.asked_at.append(trio.current_time())
        is_first = len(self.asked_at) == 1
        pieces = [_chunk({"content": word}) for word in ("All ", "is ", "well")]
        if is_first and not self._says_before:
            pieces.clear()
        if is_first:
            pieces.append(b"data: %b\n\n" % json.dumps({"error": self._error}).encode())
        else:
            pieces += [_chunk({}, finish_reason="stop"), b"data: [DONE]\n\n"]
        return Imitated(tuple(pieces), content_type=SSE)


def _chunk(delta: Mapping[str, object], **choice: object) -> bytes:
    said = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunk = {**said, "choices": [{"index": 0, "delta": delta, **choice}]}
    return b"data: %b\n\n" % json.dumps(chunk).encode()


CONFIG = {
    "wait": {"max_wait_ms": 300_000},
    "providers": {"up": {"kind": "openai_compatible", "base_url": "http://up.test/v1"}},
    "models": {"fast": {"targets": ["up/m"]}},
}


async def _ask(world: World) -> str:
    body = {"model": "fast", "messages": [{"role": "user", "content": "hello"}], "stream": True}
    answer = await world.client.post(f"{GATEWAY}/v1/chat/completions", json=body)
    assert answer.status_code == 200
    return answer.text


@pytest.mark.parametrize(
    ("error", "ending", "retry_after", "hint"),
    [
        (
            {"message": TOO_FAST, "type": "tokens", "code": "rate_limit_exceeded"},
            Ending.REFUSED,
            7.0,
            RefusedBy(unit=Unit.TOKENS, limit=1000.0),
        ),
        ({"message": "slow down", "code": 429}, Ending.REFUSED, None, None),
        ({"message": "too many are here", "code": 503}, Ending.OVERLOADED, None, None),
        ({"message": "something broke", "code": 502}, Ending.FAILED, None, None),
        ({"message": "no such thing", "code": 400}, Ending.SERVED, None, None),
    ],
    ids=["a limit that tells", "a limit", "overload", "a failure", "the request's fault"],
)
async def test_gates_hear_what_broke_a_stream_and_nobody_calls_again(
    error: Mapping[str, object],
    ending: Ending,
    retry_after: float | None,
    hint: RefusedBy | None,
    autojump_clock: MockClock,
) -> None:
    provider = Provider(error)
    async with open_world(CONFIG, hosts={"up.test": provider.server.serve}) as world:
        world.gateway.providers["up"].pool.add_gate(listener := Listener())
        status, received = await world.read_cut_stream("hello")
        assert status == 200
        assert "well" in received
        assert str(error["message"]) in received
        await trio.sleep(30)
        assert len(provider.asked_at) == 1
        (heard,) = listener.heard
        assert (heard.ending, heard.retry_after, heard.hint) == (ending, retry_after, hint)
        assert heard.has_begun
        # What was read and said counts, and no more.
        assert heard.tokens is not None
        assert 1 < heard.tokens < 100


async def test_a_refusal_before_any_content_tells_the_same_and_is_tried_again(
    autojump_clock: MockClock,
) -> None:
    error = {"message": TOO_FAST, "code": "rate_limit_exceeded"}
    provider = Provider(error, says_before=False)
    async with open_world(CONFIG, hosts={"up.test": provider.server.serve}) as world:
        world.gateway.providers["up"].pool.add_gate(listener := Listener())
        assert "[DONE]" in await _ask(world)
        assert len(provider.asked_at) == 2
        refused, served = listener.heard
        assert refused.ending is Ending.REFUSED
        assert refused.hint == RefusedBy(unit=Unit.TOKENS, limit=1000.0)
        assert not refused.has_begun
        assert served.ending is Ending.SERVED


async def test_who_comes_after_a_stream_that_was_refused_waits_as_long_as_it_said(
    autojump_clock: MockClock,
) -> None:
    provider = Provider({"message": TOO_FAST, "code": "rate_limit_exceeded"})
    async with open_world(CONFIG, hosts={"up.test": provider.server.serve}) as world:
        await world.read_cut_stream("hello")
        assert "[DONE]" in await _ask(world)
        first, second = provider.asked_at
        assert second - first == pytest.approx(7.0, abs=0.1)


async def test_a_stream_that_ends_in_a_spent_quota_takes_the_account_out(
    autojump_clock: MockClock,
) -> None:
    provider = Provider({"message": "you have run out", "code": "insufficient_quota"})
    async with open_world(CONFIG, hosts={"up.test": provider.server.serve}) as world:
        await world.read_cut_stream("hello")
        out = world.gateway.providers["up"].exclusions.of_target(
            world.gateway.providers["up"].target("m").pooled
        )
        assert out is not None
        assert out.detail == "you have run out"


@pytest.mark.parametrize("ending", [Ending.REFUSED, Ending.OVERLOADED])
def test_a_call_that_was_refused_in_the_middle_has_taken_what_it_read_and_said(
    ending: Ending,
) -> None:
    demand = Demand(1000.0, 300.0)
    at_once = Outcome(ending=ending, tokens=1.0)
    assert surplus(demand, at_once, Unit.TOKENS) == 1000.0
    begun = Outcome(ending=ending, tokens=750.0, output=50.0, has_begun=True)
    assert surplus(demand, begun, Unit.TOKENS) == 250.0
    assert surplus(demand, begun, Unit.OUTPUT_TOKENS) == 250.0
    assert surplus(demand, begun, Unit.INPUT_TOKENS) == 0.0
    assert surplus(demand, begun, Unit.REQUESTS) == 0.0
