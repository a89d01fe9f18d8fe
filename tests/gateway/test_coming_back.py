"""How jobs come back to upstreams that were unwell, slow or too small for them; virtual time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import httpx
import pytest
import trio
from imitation import Imitated, Imitation, Received
from trio.testing import MockClock, wait_all_tasks_blocked
from worlds import GATEWAY, World, open_world

from forebay.actors.gateway import JobFailure, RequestSize
from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.providers.base import CallFailure, FailureKind

OVERLOADED = Imitated(b'{"error":{"message":"overloaded","type":"x"}}', status=503)
LIMITED = Imitated(b'{"error":{"message":"too fast","type":"x"}}', status=429)
BROKEN = Imitated(b'{"error":{"message":"broken","type":"x"}}', status=500)
ANSWER = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}'
)
SERVED = Imitated(ANSWER)
TOO_LARGE = Imitated(
    b'{"error":{"message":"Request too large for m in organization org-x on tokens per min (TPM): '
    b"Limit 1000, Requested 50000. The input or output tokens must be reduced in order to run "
    b'successfully.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}',
    status=429,
)
TIMES = {"first_byte_ms": 4000, "between_bytes_ms": 3000}


def providers(*names: str, **settings: object) -> dict[str, object]:
    """Of one model that all of these serve, the first of them preferred."""
    return {
        "wait": {"max_wait_ms": 300_000},
        "providers": {
            name: {"kind": "openai_compatible", "base_url": f"http://{name}.test/v1", **settings}
            for name in names
        },
        "models": {"fast": {"targets": [f"{name}/m" for name in names]}},
    }


class Upstream:
    """Answers as it is told, and notes when it was asked."""

    def __init__(self, answer: Imitated | Callable[[Received], Imitated] = SERVED) -> None:
        self.answer = answer
        self.asked_at: list[float] = []
        self._asked = trio.Event()
        chat = {"POST /v1/chat/completions": self._answer}
        self.server = Imitation(
            {"GET /v1/models": Imitated(b'{"object":"list","data":[{"id":"m"}]}'), **chat}
        )

    def _answer(self, request: Received) -> Imitated:
        self.asked_at.append(trio.current_time())
        self._asked.set()
        return self.answer if isinstance(self.answer, Imitated) else self.answer(request)

    async def next_call(self) -> float:
        """When the next call comes."""
        self._asked = trio.Event()
        await self._asked.wait()
        return self.asked_at[-1]

    def after(self, moment: float) -> list[float]:
        return [at for at in self.asked_at if at >= moment]


class Asking:
    """Jobs that are asked for side by side."""

    def __init__(self, world: World, nursery: trio.Nursery) -> None:
        self.answers: list[httpx.Response] = []
        self._world = world
        self._nursery = nursery

    def ask(self, jobs: int = 1, text: str = "hello", **headers: str) -> None:
        for _ in range(jobs):
            self._nursery.start_soon(self._ask, text, headers)

    async def _ask(self, text: str, headers: dict[str, str]) -> None:
        named = {f"x-forebay-{name.replace('_', '-')}": value for name, value in headers.items()}
        self.answers.append(await self._world.ask(text, headers=named))

    @property
    def statuses(self) -> list[int]:
        return [answer.status_code for answer in self.answers]


async def test_two_hundred_who_wait_do_not_come_down_on_an_upstream_that_is_back(
    autojump_clock: MockClock,
) -> None:
    upstream = Upstream(OVERLOADED)
    hosts = {"up.test": upstream.server.serve}
    async with open_world(providers("up"), hosts=hosts) as world, trio.open_nursery() as nursery:
        asking = Asking(world, nursery)
        asking.ask(200)
        await wait_all_tasks_blocked()
        began = trio.current_time()
        await trio.sleep(90)
        # Nobody could know before the first calls; after them one at a time asks how it is.
        assert len(upstream.after(began + 0.1)) < 30
        assert all(later - earlier > 0 for earlier, later in pairwise(upstream.after(began + 0.1)))
        upstream.answer = SERVED
        back = trio.current_time()
        first = await upstream.next_call()
        await trio.sleep(5)
        for seconds, most in ((0.2, 1), (0.45, 3), (0.7, 7), (0.95, 15), (1.2, 31), (1.45, 63)):
            assert len([at for at in upstream.after(back) if at < first + seconds]) <= most
        assert len(asking.answers) == 200
    assert asking.statuses == [200] * 200


async def test_an_upstream_that_fails_again_is_asked_by_one_again(
    autojump_clock: MockClock,
) -> None:
    upstream = Upstream(Imitated(OVERLOADED.body, status=503, headers={"retry-after": "10"}))
    hosts = {"up.test": upstream.server.serve}
    async with open_world(providers("up"), hosts=hosts) as world, trio.open_nursery() as nursery:
        asking = Asking(world, nursery)
        asking.ask(50)
        await trio.sleep(5)
        began = trio.current_time()
        await trio.sleep(60)
        assert len(upstream.after(began)) == 6
        upstream.answer = SERVED
        await trio.sleep(12)
        assert asking.statuses == [200] * 50


async def test_who_has_three_seconds_left_gets_another_try_in_these_three_seconds(
    autojump_clock: MockClock,
) -> None:
    upstream = Upstream(OVERLOADED)
    hosts = {"up.test": upstream.server.serve}
    async with open_world(providers("up"), hosts=hosts) as world:
        # Until pauses have grown to half a minute for those who can wait that long.
        patient = await world.ask(headers={"x-forebay-max-wait-ms": "200000"})
        assert patient.status_code == 429
        await trio.sleep(60)
        for _ in range(10):
            began = trio.current_time()
            async with trio.open_nursery() as nursery:
                asking = Asking(world, nursery)
                asking.ask(max_wait_ms="3000")
            assert asking.statuses == [429]
            assert trio.current_time() == pytest.approx(began + 3)
            assert len(upstream.after(began)) >= 2
            await trio.sleep(60)
        async with trio.open_nursery() as nursery:
            asking = Asking(world, nursery)
            asking.ask(max_wait_ms="3000")
            await wait_all_tasks_blocked()
            upstream.answer = SERVED
        assert asking.statuses == [200]


@pytest.mark.parametrize("refusal", [LIMITED, OVERLOADED], ids=["a limit", "overload"])
async def test_refusals_never_count_as_failures(
    refusal: Imitated, autojump_clock: MockClock
) -> None:
    upstream = Upstream()
    upstream.answer = lambda _: refusal if len(upstream.asked_at) <= 12 else SERVED
    hosts = {"up.test": upstream.server.serve}
    async with open_world(providers("up"), hosts=hosts) as world:
        answer = await world.ask(headers={"x-forebay-max-wait-ms": "300000"})
        assert answer.status_code == 200
        assert answer.headers["x-forebay-attempts"] == "13"


async def test_calls_of_which_nothing_was_sent_never_count_as_failures(
    autojump_clock: MockClock,
) -> None:
    upstream = Upstream()
    hosts = {"up.test": upstream.server.serve}
    async with open_world(providers("up"), hosts=hosts) as world:
        serve = world.network.unplug("up.test")
        await trio.sleep(90)  # until the connection that listed the models is too old to be used
        async with trio.open_nursery() as nursery:
            asking = Asking(world, nursery)
            asking.ask()
            await trio.sleep(200)
            assert not asking.answers
            world.network.plug("up.test", serve)
        assert asking.statuses == [200]
        # The first, and after that only one that was known to find somebody there.
        assert asking.answers[0].headers["x-forebay-attempts"] == "2"


@pytest.mark.parametrize(
    ("kind", "attempts"),
    [(FailureKind.UNREACHABLE, 5), (FailureKind.SERVER_FAILED, 3)],
)
async def test_of_calls_that_fail_only_those_that_were_sent_are_counted(
    kind: FailureKind, attempts: int, autojump_clock: MockClock
) -> None:
    error = ApiError(kind=ErrorKind.UPSTREAM_ERROR, message="could not connect")
    async with (
        open_world() as world,
        world.gateway.permit("fast", size=RequestSize(100), max_wait=300) as permit,
    ):
        with suppress(JobFailure):
            for _ in range(4):
                await permit.wait_again(CallFailure(kind=kind, error=error))
        assert permit.history().attempts == attempts


async def test_failures_are_counted_between_refusals(autojump_clock: MockClock) -> None:
    upstream = Upstream()
    told = [LIMITED, BROKEN, OVERLOADED, LIMITED, BROKEN, LIMITED, BROKEN, SERVED]
    upstream.answer = lambda _: told[len(upstream.asked_at) - 1]
    hosts = {"up.test": upstream.server.serve}
    async with open_world(providers("up"), hosts=hosts) as world:
        answer = await world.ask()
        assert answer.status_code == 502
        assert answer.headers["x-forebay-attempts"] == "7"
        assert answer.headers["x-should-retry"] == "false"


async def test_a_broken_upstream_is_tried_by_one_call_before_the_others_follow(
    autojump_clock: MockClock,
) -> None:
    upstream = Upstream(BROKEN)
    hosts = {"up.test": upstream.server.serve}
    async with open_world(providers("up"), hosts=hosts) as world, trio.open_nursery() as nursery:
        asking = Asking(world, nursery)
        for _ in range(5):
            asking.ask()
            await trio.sleep(20)
        assert asking.statuses == [502] * 5
        (target,) = (await world.gateway.status()).providers[0].targets
        assert target.gates["up/m: circuit breaker"]["state"] == "open"
        upstream.answer = Imitated(ANSWER, pause=20)
        asking.ask(30)
        began = trio.current_time()
        await upstream.next_call()
        await trio.sleep(19)
        # One is out to see, however long that takes.
        assert len(upstream.after(began)) == 1
        await trio.sleep(100)
        assert asking.statuses == [502] * 5 + [200] * 30


# A request larger than a whole limit of one target


@pytest.mark.parametrize(
    "refusal",
    [TOO_LARGE, Imitated(TOO_LARGE.body, status=413)],
    ids=["429 that no waiting cures", "413"],
)
async def test_a_request_too_large_for_one_target_goes_to_another(
    refusal: Imitated, autojump_clock: MockClock
) -> None:
    small, large = Upstream(refusal), Upstream()
    hosts = {"small.test": small.server.serve, "large.test": large.server.serve}
    async with open_world(providers("small", "large"), hosts=hosts) as world:
        began = trio.current_time()
        answer = await world.ask()
        assert answer.status_code == 200
        assert answer.headers["x-forebay-target"] == "large/m"
        assert answer.headers["x-forebay-attempts"] == "2"
        assert trio.current_time() == began
        # Only this job leaves it out.
        small.answer = SERVED
        assert (await world.ask()).headers["x-forebay-target"] == "small/m"
        assert await world.is_at_rest()


async def test_a_request_too_large_for_one_target_waits_for_the_other(
    autojump_clock: MockClock,
) -> None:
    small = Upstream(TOO_LARGE)
    large = Upstream(Imitated(LIMITED.body, status=429, headers={"retry-after": "30"}))
    hosts = {"small.test": small.server.serve, "large.test": large.server.serve}
    async with open_world(providers("small", "large"), hosts=hosts) as world:
        async with trio.open_nursery() as nursery:
            asking = Asking(world, nursery)
            asking.ask()
            await trio.sleep(20)
            large.answer = SERVED
        assert asking.statuses == [200]
        assert len(small.asked_at) == 1
        assert len(large.asked_at) == 2


async def test_a_request_too_large_for_every_target_is_told_so(autojump_clock: MockClock) -> None:
    small, large = Upstream(TOO_LARGE), Upstream(TOO_LARGE)
    hosts = {"small.test": small.server.serve, "large.test": large.server.serve}
    async with open_world(providers("small", "large"), hosts=hosts) as world:
        answer = await world.ask()
        assert answer.status_code == 413
        assert "Limit 1000, Requested 50000" in answer.text
        assert (len(small.asked_at), len(large.asked_at)) == (1, 1)
        assert await world.is_at_rest()


async def test_where_the_other_is_out_who_is_too_small_tells_the_client(
    autojump_clock: MockClock,
) -> None:
    small = Upstream(TOO_LARGE)
    other = Upstream(Imitated(b'{"error":{"message":"wrong key"}}', status=401))
    hosts = {"small.test": small.server.serve, "other.test": other.server.serve}
    async with open_world(providers("other", "small"), hosts=hosts) as world:
        assert (await world.ask()).status_code == 413
        assert world.gateway.providers["other"].out is not None


# A target that says nothing in time


async def test_who_said_nothing_in_time_is_not_asked_again_while_there_is_somebody_else(
    autojump_clock: MockClock,
) -> None:
    slow = Upstream(Imitated(ANSWER, pause=10_000))
    other = Upstream(Imitated(LIMITED.body, status=429, headers={"retry-after": "30"}))
    hosts = {"slow.test": slow.server.serve, "other.test": other.server.serve}
    config = providers("slow", "other", timeouts=TIMES)
    async with open_world(config, hosts=hosts) as world:
        async with trio.open_nursery() as nursery:
            asking = Asking(world, nursery)
            asking.ask()
            await trio.sleep(20)
            other.answer = SERVED
        assert asking.statuses == [200]
        assert asking.answers[0].headers["x-forebay-target"] == "other/m"
        assert len(slow.asked_at) == 1


async def test_who_said_nothing_in_time_is_asked_again_where_the_other_is_out(
    autojump_clock: MockClock,
) -> None:
    slow = Upstream()
    slow.answer = lambda _: Imitated(ANSWER, pause=10_000) if len(slow.asked_at) <= 1 else SERVED
    other = Upstream(Imitated(b'{"error":{"message":"wrong key"}}', status=401))
    hosts = {"slow.test": slow.server.serve, "other.test": other.server.serve}
    async with open_world(providers("other", "slow", timeouts=TIMES), hosts=hosts) as world:
        answer = await world.ask()
        assert answer.status_code == 200
        assert answer.headers["x-forebay-attempts"] == "3"


async def test_a_504_is_such_a_silence(autojump_clock: MockClock) -> None:
    slow, other = Upstream(Imitated(b"Gateway Timeout", "text/plain", status=504)), Upstream()
    hosts = {"slow.test": slow.server.serve, "other.test": other.server.serve}
    async with open_world(providers("slow", "other"), hosts=hosts) as world:
        assert (await world.ask()).headers["x-forebay-target"] == "other/m"
        other.answer = BROKEN
        await trio.sleep(1)
        answer = await world.ask()
        assert answer.status_code == 502
        assert len(slow.asked_at) == 2  # once for each of the two


async def test_the_only_target_is_asked_again_after_a_silence(autojump_clock: MockClock) -> None:
    slow = Upstream()
    slow.answer = lambda _: Imitated(ANSWER, pause=10_000) if len(slow.asked_at) <= 2 else SERVED
    config = providers("slow", timeouts=TIMES)
    async with open_world(config, hosts={"slow.test": slow.server.serve}) as world:
        answer = await world.ask()
        assert answer.status_code == 200
        assert answer.headers["x-forebay-attempts"] == "3"
        slow.answer = Imitated(ANSWER, pause=10_000)
        assert (await world.client.get(f"{GATEWAY}/v1/models")).status_code == 200
        answer = await world.ask()
        assert answer.status_code == 504
        assert "timed out after" in answer.text


async def test_a_pause_of_one_target_keeps_nobody_from_another(autojump_clock: MockClock) -> None:
    boxes = {
        "first": SandboxOptions(fault_every={"503": 1}),
        "second": SandboxOptions(latency_ms=100),
    }
    config = providers("first", "second")
    config["models"] = {"fast": {"targets": ["first/sandbox-chat", "second/sandbox-chat"]}}
    async with open_world(config, sandboxes=boxes) as world, trio.open_nursery() as nursery:
        asking = Asking(world, nursery)
        asking.ask(100)
        await trio.sleep(1)
        assert asking.statuses == [200] * 100
