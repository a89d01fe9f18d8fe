"""Whose turn it is when the bodies of waiting requests have taken all the memory they may."""

from __future__ import annotations

import random
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from worlds import GATEWAY, open_world

from forebay.actors.jobs.byte_budget import ByteBudget, ByteLoan
from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.jsontext import dumps


class Borrowers:
    """Borrow, and remember who got what in which order."""

    def __init__(self, budget: ByteBudget, nursery: trio.Nursery) -> None:
        self.budget = budget
        self._nursery = nursery
        self.loans: dict[str, ByteLoan] = {}

    async def come(self, name: str, holder: str, amount: int) -> trio.CancelScope:
        scope = trio.CancelScope()

        async def borrow() -> None:
            with scope:
                self.loans[name] = await self.budget.borrow(amount, holder=holder)

        self._nursery.start_soon(borrow)
        await wait_all_tasks_blocked()
        return scope

    async def go(self, name: str) -> None:
        self.loans.pop(name).give_back()
        await wait_all_tasks_blocked()

    @property
    def served(self) -> list[str]:
        return list(self.loans)


async def test_who_holds_the_least_is_next_and_of_one_holder_who_came_first() -> None:
    async with trio.open_nursery() as nursery:
        borrowers = Borrowers(ByteBudget(10), nursery)
        for number in range(5):
            await borrowers.come(f"greedy {number}", "greedy", 4)
        await borrowers.come("modest 0", "modest", 1)
        assert borrowers.served == ["greedy 0", "greedy 1", "modest 0"]
        await borrowers.come("modest 1", "modest", 2)
        await borrowers.come("late", "third", 1)
        assert borrowers.served == ["greedy 0", "greedy 1", "modest 0", "late"]
        assert borrowers.budget.waiting == 4
        await borrowers.go("greedy 0")
        assert borrowers.served[-1] == "modest 1"
        await borrowers.go("modest 0")
        await borrowers.go("modest 1")
        assert borrowers.served == ["greedy 1", "late", "greedy 2"]
        nursery.cancel_scope.cancel()


async def test_nobody_passes_who_is_next() -> None:
    async with trio.open_nursery() as nursery:
        borrowers = Borrowers(ByteBudget(10), nursery)
        await borrowers.come("first", "a", 6)
        large = await borrowers.come("large", "b", 8)
        await borrowers.come("small", "a", 1)
        assert borrowers.served == ["first"]
        large.cancel()
        await wait_all_tasks_blocked()
        assert borrowers.served == ["first", "small"]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_happens_all_bytes_come_back(seed: int) -> None:
    chance = random.Random(seed)
    budget = ByteBudget(100)

    async def live(holder: str) -> None:
        for _ in range(20):
            with trio.CancelScope() as scope:
                if chance.random() < 0.3:
                    nursery.start_soon(partial(_cancel_later, scope, chance.randrange(5)))
                loan = await budget.borrow(chance.choice([0, 1, 30, 100]), holder=holder)
                with loan.held():
                    assert 0 <= budget.lent <= 100
                    loan.shrink_to(chance.randrange(30))
                    for _ in range(chance.randrange(4)):
                        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for number in range(12):
            nursery.start_soon(live, f"holder {number % 4}")
    assert (budget.lent, budget.waiting) == (0, 0)


async def _cancel_later(scope: trio.CancelScope, steps: int) -> None:
    for _ in range(steps):
        await trio.lowlevel.checkpoint()
    scope.cancel()


async def test_one_clients_many_large_requests_do_not_stand_before_anothers_small_one(
    autojump_clock: MockClock,
) -> None:
    config: dict[str, object] = {
        "server": {"max_body_bytes": 40_000, "waiting_bytes": 100_000},
        "wait": {"max_wait_ms": 600_000},
        "providers": {
            "slow": {
                "kind": "openai_compatible",
                "base_url": "http://slow.test/v1",
                "limits": {"concurrency": 1},
            },
            "up": {"kind": "openai_compatible", "base_url": "http://up.test/v1"},
        },
        "models": {
            "slow": {"targets": ["slow/sandbox-chat"]},
            "fast": {"targets": ["up/sandbox-chat"]},
        },
        "clients": {"greedy": {"key": "greedy-key"}, "modest": {"key": "modest-key"}},
    }
    sandboxes = {"slow": SandboxOptions(latency_ms=10_000), "up": SandboxOptions()}
    async with open_world(config, sandboxes=sandboxes) as world:
        async with trio.open_nursery() as nursery:
            message = {"model": "slow", "messages": [{"role": "user", "content": "hello"}]}
            body = dumps(message).ljust(40_000)  # type: ignore[arg-type]
            for _ in range(20):
                nursery.start_soon(
                    partial(
                        world.client.post,
                        f"{GATEWAY}/v1/chat/completions",
                        content=body,
                        headers={"authorization": "Bearer greedy-key"},
                    )
                )
            await wait_all_tasks_blocked()
            assert world.gateway.waiting_bytes.waiting == 18
            began = trio.current_time()
            answer = await world.ask(model="fast", key="modest-key")
            assert answer.status_code == 200
            assert trio.current_time() - began < 1
            assert world.gateway.waiting_bytes.waiting == 18
            nursery.cancel_scope.cancel()
        assert await world.is_at_rest()
