"""What is bounded here, bounded anew: bytes that are lent out, and connections that are kept."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from worlds import open_world

from forebay.actors.jobs.byte_budget import ByteBudget


async def test_bytes_that_are_lent_stay_lent_when_there_are_fewer(
    autojump_clock: MockClock,
) -> None:
    budget = ByteBudget(100)
    first = await budget.borrow(60)
    lent: list[int] = []

    async def borrow(amount: int) -> None:
        loan = await budget.borrow(amount)
        lent.append(amount)
        loan.give_back()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(borrow, 90)
        await wait_all_tasks_blocked()
        budget.change_total(50)
        await wait_all_tasks_blocked()
        assert (budget.lent, lent) == (60, [])
        first.give_back()  # more than there is now is lent alone
    assert lent == [90]
    assert budget.lent == 0


async def test_more_bytes_go_at_once_to_who_waits(autojump_clock: MockClock) -> None:
    budget = ByteBudget(100)
    await budget.borrow(80)
    with trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(budget.borrow, 50)
            await wait_all_tasks_blocked()
            budget.change_total(130)
    assert budget.lent == 130


async def test_connections_that_are_kept_no_more_still_serve(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await world.ask()
        stack = world.connections_to_sandboxes
        assert stack.stats()["http://up.test:80"].idle > 0
        await stack.keep_none()
        assert stack.stats()["http://up.test:80"].idle == 0
        assert (await world.ask()).status_code == 200
        assert await world.is_at_rest()
        assert stack.stats()["http://up.test:80"].idle == 0
