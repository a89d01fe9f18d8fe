"""The tree as an operator sees it."""

import dataclasses
import json
from dataclasses import dataclass

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from forebay.actors.kernel import (
    Actor,
    ActorSnapshot,
    ActorState,
    Message,
    Ref,
    RestartPolicy,
    open_actor_system,
)


@dataclass(frozen=True, slots=True)
class Bake(Message[None]):
    seconds: float


class Oven(Actor[Bake]):
    async def handle(self, message: Bake) -> None:
        if message.seconds < 0:
            raise LookupError
        self.context.note = f"baking for {message.seconds} s"
        await trio.sleep(message.seconds)
        self.context.note = ""


class Bakery(Actor[Bake]):
    oven: Ref[Bake]

    async def started(self) -> None:
        self.oven = await self.context.start(
            Oven,
            name="oven",
            capacity=1,
            layer=2,
            restart=RestartPolicy(backoff_initial=5, jitter=0),
        )

    async def handle(self, message: Bake) -> None:
        await self.oven.ask(message)


async def test_snapshot_shows_every_place_with_its_numbers(autojump_clock: MockClock) -> None:
    bakery = Bakery()
    async with open_actor_system("town") as system, trio.open_nursery() as nursery:
        await system.start(lambda: bakery, name="bakery", layer=1)
        for _ in range(2):
            await bakery.oven.ask(Bake(1))
        for _ in range(4):
            nursery.start_soon(bakery.oven.tell, Bake(3))
            await wait_all_tasks_blocked()
        oven = ActorSnapshot(
            name="oven",
            path="town/bakery/oven",
            kind="Oven",
            state=ActorState.RUNNING,
            note="baking for 3 s",
            layer=2,
            depth=1,
            capacity=1,
            blocked_senders=2,
            handled=2,
            restarts=0,
            child_count=0,
            children=(),
        )
        assert system.tree() == ActorSnapshot(
            name="town",
            path="town",
            kind="system",
            state=ActorState.RUNNING,
            note="",
            layer=None,
            depth=0,
            capacity=0,
            blocked_senders=0,
            handled=0,
            restarts=0,
            child_count=1,
            children=(
                ActorSnapshot(
                    name="bakery",
                    path="town/bakery",
                    kind="Bakery",
                    state=ActorState.RUNNING,
                    note="",
                    layer=1,
                    depth=0,
                    capacity=16,
                    blocked_senders=0,
                    handled=0,
                    restarts=0,
                    child_count=1,
                    children=(oven,),
                ),
            ),
        )


async def test_snapshot_is_fit_for_json() -> None:
    async with open_actor_system("town") as system:
        await system.start(Oven, name="oven")
        tree = json.loads(json.dumps(dataclasses.asdict(system.tree())))
    assert tree["children"][0]["path"] == "town/oven"
    assert tree["children"][0]["state"] == "running"


async def test_snapshot_does_not_change_afterwards() -> None:
    async with open_actor_system() as system:
        await system.start(Oven, name="oven")
        before = system.tree()
    assert before.children[0].state is ActorState.RUNNING
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.name = "other"  # type: ignore[misc]


async def test_states_from_start_to_stop(autojump_clock: MockClock) -> None:
    class SlowOven(Oven):
        async def started(self) -> None:
            await trio.sleep(1)

    async with open_actor_system() as system, trio.open_nursery() as nursery:

        def state() -> str:
            return system.tree().children[0].state

        refs: list[Ref[Bake]] = []

        async def start() -> None:
            policy = RestartPolicy(backoff_initial=5, jitter=0)
            refs.append(await system.start(SlowOven, name="oven", restart=policy))

        nursery.start_soon(start)
        await wait_all_tasks_blocked()
        assert state() == "starting"
        await trio.sleep(2)
        assert state() == "running"
        (ref,) = refs
        assert (ref.name, ref.path, repr(ref)) == (
            "oven",
            "system/oven",
            "<Ref system/oven running>",
        )
        await ref.tell(Bake(-1))
        await trio.sleep(1)
        assert state() == "starting"  # between two lives
        await trio.sleep(10)
        assert state() == "running"
        await ref.tell(Bake(10))
        nursery.start_soon(ref.drain)
        await wait_all_tasks_blocked()
        assert state() == "draining"
        await ref.wait_stopped()
        assert ref.state == "stopped"
        assert system.tree().children == ()


async def test_note_and_counts_outlive_a_restart(autojump_clock: MockClock) -> None:
    async with open_actor_system() as system:
        policy = RestartPolicy(backoff_initial=5, jitter=0)
        ref = await system.start(Oven, name="oven", restart=policy)
        await ref.ask(Bake(1))
        with trio.move_on_after(1):
            await ref.ask(Bake(7))
        await ref.tell(Bake(-1))
        await trio.sleep(1)
        place = system.tree().children[0]
        assert (place.handled, place.restarts, place.note) == (2, 1, "baking for 7 s")
