"""What requests say of their priority and class, and what is made of it; in virtual time."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from worlds import GATEWAY, World, one_provider, open_world

from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.jsontext import loads_object

_CLIENTS = {
    "ana": {"key": "ana-key"},
    "bob": {"key": "bob-key"},
    "nightly": {"key": "nightly-key", "class": "batch"},
}


def _config(**more: object) -> dict[str, object]:
    return {**one_provider(limits={"rpm": 60, "burst": 1}), "clients": _CLIENTS, **more}


class _Line:
    """Requests that are sent one after the other and answered one a second."""

    def __init__(self, world: World, nursery: trio.Nursery) -> None:
        self._world = world
        self._nursery = nursery
        self.answered: list[str] = []

    async def stand(
        self,
        name: str,
        client: str = "ana",
        headers: Mapping[str, str] | None = None,
        service_tier: str = "auto",
    ) -> None:
        async def ask() -> None:
            answer = await self._world.ask(
                name, key=f"{client}-key", headers=headers, service_tier=service_tier
            )
            assert answer.status_code == 200, answer.text
            self.answered.append(name)

        self._nursery.start_soon(ask)
        await wait_all_tasks_blocked()


async def test_a_client_orders_its_requests_by_header_or_tier(autojump_clock: MockClock) -> None:
    async with open_world(_config()) as world:
        async with trio.open_nursery() as nursery:
            line = _Line(world, nursery)
            await line.stand("at once")
            await line.stand("low", headers={"x-forebay-priority": "low"})
            await line.stand("flex", service_tier="flex")
            await line.stand("usual")
            await line.stand("default", service_tier="default")
            await line.stand("priority", service_tier="priority")
            await line.stand("high", headers={"x-forebay-priority": "HIGH"})
            await line.stand(
                "low after all", service_tier="priority", headers={"x-forebay-priority": "low"}
            )
            status = await world.gateway.status()
            (lane,) = status.models[0].lanes
            assert lane.clients == {"ana": 7}
        assert line.answered == [
            *("at once", "priority", "high", "usual", "default", "low", "flex", "low after all"),
        ]
        assert await world.is_at_rest()


async def test_priority_takes_no_turn_of_another_client(autojump_clock: MockClock) -> None:
    async with open_world(_config()) as world:
        async with trio.open_nursery() as nursery:
            line = _Line(world, nursery)
            await line.stand("at once")
            for number in range(3):
                await line.stand(f"bob {number}", "bob")
            for number in range(3):
                await line.stand(f"ana {number}", headers={"x-forebay-priority": "high"})
        assert line.answered[1:3] == ["bob 0", "ana 0"]
        for client in ("ana", "bob"):
            own = [name for name in line.answered if name.startswith(client)]
            assert own == [f"{client} {number}" for number in range(3)]
            assert sum(name in line.answered[1:5] for name in own) == 2


async def test_a_request_can_be_sent_as_batch(autojump_clock: MockClock) -> None:
    """Then it waits with those of the batch class: one in five turns is theirs."""
    async with open_world(_config()) as world:
        async with trio.open_nursery() as nursery:
            line = _Line(world, nursery)
            await line.stand("at once")
            for number in range(4):
                await line.stand(f"batch {number}", headers={"x-forebay-class": "batch"})
            for number in range(16):
                await line.stand(f"interactive {number}", "bob")
            await wait_all_tasks_blocked()
            status = await world.gateway.status()
            (lane,) = status.models[0].lanes
            assert lane.clients == {"ana (batch)": 4, "bob": 16}
        batch = [name.startswith("batch") for name in line.answered[1:]]
        assert sum(batch[:10]) in (1, 2, 3)
        assert await world.is_at_rest()


@pytest.mark.parametrize("share", [5, 50])
async def test_the_share_of_batch_is_as_configured(autojump_clock: MockClock, share: int) -> None:
    config = _config(scheduling={"batch_share": share})
    async with open_world(config) as world, trio.open_nursery() as nursery:
        line = _Line(world, nursery)
        for number in range(41):
            await line.stand(f"batch {number}", "nightly")
            await line.stand(f"interactive {number}")
        await trio.sleep(40)
        batch = sum(name.startswith("batch") for name in line.answered)
        assert abs(batch - len(line.answered) * share / 100) <= 2
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("client", "header", "value", "words"),
    [
        ("ana", "x-forebay-priority", "urgent", "must be one of high, normal, low, not 'urgent'"),
        ("ana", "x-forebay-class", "realtime", "must be one of interactive, batch, not 'realtime'"),
        ("nightly", "x-forebay-class", "interactive", "the class of this key is batch"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
async def test_what_can_not_be_is_refused_by_name_before_it_waits(
    autojump_clock: MockClock, path: str, client: str, header: str, value: str, words: str
) -> None:
    async with open_world(_config()) as world:
        answer = await world.client.post(
            GATEWAY + path,
            json={"model": "fast", "messages": [{"role": "user", "content": "hello"}]},
            headers={"authorization": f"Bearer {client}-key", header: value},
        )
        assert answer.status_code == 400
        assert header in answer.text
        assert words in answer.text
        assert world.sandbox.statistics().received == 0


@pytest.mark.parametrize(
    ("client", "asked"), [("nightly", "batch"), ("ana", "interactive"), ("ana", "batch")]
)
async def test_a_class_that_is_no_higher_than_the_clients_own_is_taken(
    autojump_clock: MockClock, client: str, asked: str
) -> None:
    async with open_world(_config()) as world:
        answer = await world.ask(key=f"{client}-key", headers={"x-forebay-class": asked})
        assert answer.status_code == 200


async def test_what_is_said_to_the_gateway_is_not_said_to_the_provider(
    autojump_clock: MockClock,
) -> None:
    """And what is said to both is."""
    sandboxes = {"up": SandboxOptions(keep_requests=1)}
    async with open_world(_config(), sandboxes=sandboxes) as world:
        headers = {"x-forebay-priority": "high", "x-forebay-class": "batch"}
        await world.ask(key="ana-key", headers=headers, service_tier="flex")
        (request,) = world.sandbox.requests
        assert not any(name.startswith("x-forebay") for name in request.headers)
        assert loads_object(request.body)["service_tier"] == "flex"
