"""Random changes of the configuration under load: no job is lost, none is served twice, and in the
end nothing is held."""

from __future__ import annotations

from random import Random

import pytest
import trio
from reloads import config
from trio.testing import MockClock
from worlds import World, open_world

from forebay.endpoints.sandbox import SandboxOptions

NAMES = ("a", "b", "c")
MODELS = ("fast", "slow")


def random_config(random: Random) -> dict[str, object]:
    names = random.sample(NAMES, random.randint(1, 3))
    providers: dict[str, dict[str, object]] = {}
    for name in names:
        limits = {"concurrency": random.randint(1, 4)}
        if random.random() < 0.3:
            limits["rpm"] = random.choice([120, 600])
        providers[name] = {"limits": limits, "api_key": random.choice(["one-key", "two-key"])}
        if random.random() < 0.2:
            providers[name]["base_url"] = f"http://{random.choice(NAMES)}.test/v1"
    more: dict[str, object] = {}
    targets = [f"{name}/sandbox-chat" for name in names]
    if random.random() < 0.3:
        more["groups"] = {"all": names}
        targets = ["all/sandbox-chat"]
    strategy = random.choice(["ordered", "balanced", "fastest"])
    models: dict[str, dict[str, object]] = {"fast": {"targets": targets, "strategy": strategy}}
    if random.random() < 0.7:
        models["slow"] = {"targets": [f"{random.choice(names)}/sandbox-chat"]}
    return config(providers, models, **more)


@pytest.mark.parametrize("seed", range(50))
async def test_random_changes_lose_no_job(seed: int, autojump_clock: MockClock) -> None:
    random = Random(seed)
    boxes = {
        name: SandboxOptions(latency_ms=200, token_interval_ms=5, reply_tokens=8) for name in NAMES
    }
    async with open_world(random_config(random), sandboxes=boxes) as world:
        served: dict[str, int] = {}

        async def ask(number: int) -> None:
            await trio.sleep(random.uniform(0, 3))
            text = f"job {number}"
            if random.random() < 0.1:
                text = f"[[fault: 503, times=1]] {text}"
            scope = trio.CancelScope()
            if random.random() < 0.15:
                scope.deadline = trio.current_time() + random.uniform(0, 2)
            with scope:
                model = random.choice([*MODELS, "fast", "a/sandbox-chat"])
                answer = await world.ask(text, model=model, stream=random.random() < 0.4)
                served[text] = answer.status_code
                assert answer.status_code == 200 or (
                    answer.status_code == 404 and model != "fast"
                ), answer.text
                if answer.status_code == 200:
                    assert text.rpartition("]] ")[2] in answer.text or "data:" in answer.text
            if scope.cancelled_caught:
                served[text] = 0

        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(ask, number)
            for _ in range(random.randint(3, 8)):
                await trio.sleep(random.uniform(0, 0.6))
                await world.gateway.apply(random_config(random))
        assert len(served) == 40
        assert await world.is_at_rest()
        _nothing_is_held(world)
        finished = sum(box.statistics().completed for box in world.sandboxes.values())
        completed = list(served.values()).count(200)
        abandoned = list(served.values()).count(0)
        assert completed <= finished <= completed + abandoned


def _nothing_is_held(world: World) -> None:
    for provider in world.gateway.providers.values():
        assert provider.pool.in_flight == 0
        assert provider.pool.backlogged_clients == 0
        now = trio.current_time()
        gates = [
            *provider.pool.gates,
            *(gate for gates in provider.routes.slots.values() for gate in gates),
        ]
        for gate in gates:
            assert gate.snapshot(now).get("in_use", 0) == 0
