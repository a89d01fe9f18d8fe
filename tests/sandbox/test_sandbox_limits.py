"""The sandbox's limits are exact, and told in each provider's own headers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from forebay.endpoints.sandbox import LimitHeaders, Sandbox, SandboxOptions
from forebay.endpoints.sandbox._limit_headers import go_duration
from forebay.endpoints.sandbox._limits import Bucket

Connect = Callable[[Sandbox], httpx.AsyncClient]

EPOCH = 1_795_000_000
BODY = {"model": "sandbox-chat", "messages": [{"role": "user", "content": "hi"}]}
MESSAGE = BODY | {"max_tokens": 100}
VERSION = {"anthropic-version": "2023-06-01"}


async def ask(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/v1/chat/completions", json=BODY)


def limited(response: httpx.Response) -> set[str]:
    """The names of all headers that tell of limits."""
    return {name for name in response.headers if "limit" in name or name.startswith("retry")}


@given(
    per_second=st.floats(0.1, 50),
    size=st.integers(1, 20),
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 8)), max_size=60),
)
def test_a_bucket_never_gives_more_than_its_rate(
    per_second: float, size: int, steps: list[tuple[float, int]]
) -> None:
    bucket = Bucket(per_second=per_second, size=size, now=0)
    taken: list[tuple[float, int]] = []
    now = 0.0
    for passed, amount in steps:
        now += passed
        wait = bucket.wait_for(amount, now)
        if wait == 0:
            bucket.take(amount)
            taken.append((now, amount))
        else:
            assert bucket.wait_for(amount, now + wait) == 0
            now += wait
    for at, (start, _) in enumerate(taken):
        given_out = 0.0
        for end, amount in taken[at:]:
            # The last one may be larger than the bucket; it waited for a full one.
            assert given_out + min(amount, size) <= size + per_second * (end - start) + 1e-6
            given_out += amount


def test_a_bucket_says_exactly_how_long_to_wait() -> None:
    bucket = Bucket(per_second=5, size=1, now=0)
    bucket.take(1)
    assert bucket.wait_for(1, 0.199) == pytest.approx(0.001)
    assert bucket.wait_for(1, 0.2) == 0


@pytest.mark.parametrize(
    ("per_minute", "per_second", "remaining", "limit"), [(600, 4, "3", "240"), (4, 600, "3", "4")]
)
async def test_headers_tell_of_the_tighter_requests_limit(
    connect: Connect, per_minute: int, per_second: int, remaining: str, limit: str
) -> None:
    options = SandboxOptions(
        requests_per_minute=per_minute,
        requests_per_second=per_second,
        limit_headers=LimitHeaders.OPENAI,
    )
    first = (await ask(connect(Sandbox(options)))).headers
    assert first["x-ratelimit-remaining-requests"] == remaining
    assert first["x-ratelimit-limit-requests"] == limit


async def test_requests_are_admitted_at_the_rate_and_not_one_more(
    connect: Connect, autojump_clock: trio.abc.Clock
) -> None:
    sandbox = Sandbox(SandboxOptions(requests_per_second=5, burst=2))
    client = connect(sandbox)
    begun = trio.current_time()
    for _ in range(200):
        await ask(client)
        await trio.sleep(0.05)
    counted = sandbox.statistics()
    starts = [start - begun for start in counted.starts]
    assert counted.started == len(starts) == 2 + 5 * 10 - 1
    assert counted.refused == {429: 200 - len(starts)}
    assert starts[:2] == pytest.approx([0, 0.05])
    assert starts[2:] == pytest.approx([0.2 * step for step in range(1, 50)])


async def test_a_minutes_worth_may_come_at_once(
    connect: Connect, autojump_clock: trio.abc.Clock
) -> None:
    sandbox = Sandbox(SandboxOptions(requests_per_minute=6))
    client = connect(sandbox)
    statuses = [(await ask(client)).status_code for _ in range(7)]
    assert statuses == [200] * 6 + [429]
    await trio.sleep(10)
    assert [(await ask(client)).status_code for _ in range(2)] == [200, 429]


async def test_tokens_are_taken_as_the_call_uses_them(
    connect: Connect, autojump_clock: trio.abc.Clock
) -> None:
    client = connect(Sandbox(SandboxOptions(tokens_per_minute=66)))
    usage = (await ask(client)).json()["usage"]
    assert usage["total_tokens"] == 33
    assert (await ask(client)).status_code == 200
    refused = await ask(client)
    assert (refused.status_code, refused.json()["error"]["type"]) == (429, "tokens")
    await trio.sleep(29.9)
    assert (await ask(client)).status_code == 429
    await trio.sleep(0.1)
    assert (await ask(client)).status_code == 200


async def test_a_call_above_the_bucket_passes_when_it_is_full_and_is_paid_off(
    connect: Connect, autojump_clock: trio.abc.Clock
) -> None:
    client = connect(Sandbox(SandboxOptions(tokens_per_minute=11)))
    assert (await ask(client)).status_code == 200
    await trio.sleep(179)
    assert (await ask(client)).status_code == 429
    await trio.sleep(1)
    assert (await ask(client)).status_code == 200


@pytest.mark.parametrize("status", [429, 503])
async def test_concurrency_refuses_what_is_above_it(
    connect: Connect, autojump_clock: trio.abc.Clock, status: int
) -> None:
    sandbox = Sandbox(SandboxOptions(concurrency=3, refusal_status=status, latency_ms=1000))
    client = connect(sandbox)
    got: list[int] = []

    async def call() -> None:
        got.append((await ask(client)).status_code)

    for _ in range(2):
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(call)
    assert got == ([status] * 2 + [200] * 3) * 2
    assert sandbox.statistics().max_in_flight == 3
    assert sandbox.statistics().in_flight == 0


async def test_whoever_has_read_an_answer_may_call_again_at_once(connect: Connect) -> None:
    """The slot is free before the last byte can be read, streamed or not."""
    sandbox = Sandbox(SandboxOptions(concurrency=1))
    client = connect(sandbox)
    for at in range(50):
        async with client.stream(
            "POST", "/v1/chat/completions", json=BODY | {"stream": bool(at % 2)}
        ) as response:
            assert response.status_code == 200
            await response.aread()
    assert sandbox.statistics().completed == 50


async def test_a_refusal_takes_nothing(connect: Connect, autojump_clock: trio.abc.Clock) -> None:
    sandbox = Sandbox(SandboxOptions(requests_per_minute=60, burst=10, tokens_per_minute=40))
    client = connect(sandbox)
    assert [(await ask(client)).status_code for _ in range(20)] == [200] + [429] * 19
    sandbox.change_options(SandboxOptions(requests_per_minute=60, burst=10))
    assert [(await ask(client)).status_code for _ in range(10)] == [200] * 9 + [429]


async def test_a_halved_limit_holds_at_once_and_gives_nothing_back(
    connect: Connect, autojump_clock: trio.abc.Clock
) -> None:
    sandbox = Sandbox(SandboxOptions(requests_per_second=10))
    client = connect(sandbox)
    assert [(await ask(client)).status_code for _ in range(4)] == [200] * 4
    changed = await client.post("/sandbox/options", json={"requests_per_second": 5})
    assert changed.json()["requests_per_second"] == 5
    assert [(await ask(client)).status_code for _ in range(6)] == [200] * 5 + [429]
    await trio.sleep(0.2)
    assert [(await ask(client)).status_code for _ in range(2)] == [200, 429]


async def test_none_tells_nothing_at_all(connect: Connect) -> None:
    client = connect(Sandbox(SandboxOptions(requests_per_minute=1, concurrency=1)))
    for response in (await ask(client), await ask(client)):
        assert limited(response) == set()
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (429, "rate_limit_exceeded")
    assert error["message"] == "Rate limit reached."


async def test_openai_headers(connect: Connect, autojump_clock: trio.abc.Clock) -> None:
    options = SandboxOptions(
        requests_per_minute=2, tokens_per_minute=6000, limit_headers=LimitHeaders.OPENAI
    )
    client = connect(Sandbox(options))
    first = (await ask(client)).headers
    assert first["x-ratelimit-limit-requests"] == "2"
    assert first["x-ratelimit-remaining-requests"] == "1"
    assert first["x-ratelimit-reset-requests"] == "30s"
    assert first["x-ratelimit-limit-tokens"] == "6000"
    assert first["x-ratelimit-remaining-tokens"] == "5967"
    assert first["x-ratelimit-reset-tokens"] == "330ms"
    assert "retry-after" not in first
    await trio.sleep(0.75)
    await ask(client)
    refused = await ask(client)
    assert refused.status_code == 429
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["x-ratelimit-reset-requests"] == "59.25s"
    assert refused.headers["retry-after"] == "30"
    assert refused.headers["retry-after-ms"] == "29250"
    error = refused.json()["error"]
    assert error["type"] == "requests"
    assert error["message"] == "Rate limit reached. Please try again in 29.25s."


async def test_anthropic_headers(connect: Connect, autojump_clock: trio.abc.Clock) -> None:
    options = SandboxOptions(
        requests_per_minute=1, tokens_per_minute=600, limit_headers=LimitHeaders.ANTHROPIC
    )
    client = connect(Sandbox(options, epoch=EPOCH))
    first = await client.post("/v1/messages", json=MESSAGE, headers=VERSION)
    refused = await client.post("/v1/messages", json=MESSAGE, headers=VERSION)
    assert refused.status_code == 429
    assert refused.json()["error"]["type"] == "rate_limit_error"
    minute_later = datetime.fromtimestamp(EPOCH + 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for response in (first, refused):
        assert response.headers["anthropic-ratelimit-requests-limit"] == "1"
        assert response.headers["anthropic-ratelimit-requests-remaining"] == "0"
        assert response.headers["anthropic-ratelimit-requests-reset"] == minute_later
        assert response.headers["anthropic-ratelimit-tokens-limit"] == "600"
        assert response.headers["anthropic-ratelimit-tokens-remaining"] == "567"
    assert "retry-after" not in first.headers
    assert refused.headers["retry-after"] == "60"
    assert "retry-after-ms" not in refused.headers


async def test_together_headers(connect: Connect, autojump_clock: trio.abc.Clock) -> None:
    options = SandboxOptions(
        requests_per_second=2, tokens_per_minute=6000, limit_headers=LimitHeaders.TOGETHER
    )
    client = connect(Sandbox(options))
    first = (await ask(client)).headers
    assert (first["x-ratelimit-limit"], first["x-ratelimit-remaining"]) == ("2", "1")
    assert first["x-ratelimit-reset"] == "0.5"
    assert (first["x-tokenlimit-limit"], first["x-tokenlimit-remaining"]) == ("100", "5967")
    assert first["x-ratelimit-limit-dynamic"] == "2"
    await ask(client)
    refused = await ask(client)
    assert refused.status_code == 429
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert "retry-after" not in refused.headers


async def test_openrouter_headers(connect: Connect, autojump_clock: trio.abc.Clock) -> None:
    options = SandboxOptions(requests_per_minute=1, limit_headers=LimitHeaders.OPENROUTER)
    client = connect(Sandbox(options, epoch=EPOCH))
    assert limited(await ask(client)) == set()
    refused = await ask(client)
    assert refused.headers["x-ratelimit-limit"] == "1"
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert refused.headers["x-ratelimit-reset"] == str((EPOCH + 60) * 1000)
    assert refused.headers["retry-after"] == "60"


async def test_nobody_knows_when_a_slot_gets_free(
    connect: Connect, autojump_clock: trio.abc.Clock
) -> None:
    options = SandboxOptions(concurrency=1, limit_headers=LimitHeaders.OPENAI, latency_ms=100)
    client = connect(Sandbox(options))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, client)
        await trio.sleep(0.05)
        refused = await ask(client)
    assert refused.status_code == 429
    assert limited(refused) == set()


async def test_ollama_says_that_it_is_busy(
    connect: Connect, autojump_clock: trio.abc.Clock
) -> None:
    client = connect(Sandbox(SandboxOptions(concurrency=1, refusal_status=503, latency_ms=100)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, client)
        await trio.sleep(0.05)
        refused = await client.post("/api/chat", json=BODY)
    assert refused.status_code == 503
    assert refused.json()["error"].startswith("server busy")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.012, "12ms"),
        (0.0121, "13ms"),
        (1, "1s"),
        (6.5, "6.5s"),
        (360, "6m0s"),
        (252.172, "4m12.172s"),
        (83909.144, "23h18m29.144s"),
    ],
)
def test_durations_are_written_as_go_writes_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text
