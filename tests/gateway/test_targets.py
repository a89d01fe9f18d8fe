"""Late binding: which target and which host serves a job, in virtual time."""

from __future__ import annotations

import trio
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.endpoints.sandbox import SandboxOptions


def _two(strategy: str) -> dict[str, object]:
    return {
        "providers": {
            name: {
                "kind": "openai_compatible",
                "base_url": f"http://{name}.test/v1",
                "limits": {"concurrency": 2},
            }
            for name in ("first", "second")
        },
        "models": {
            "fast": {
                "targets": ["first/sandbox-chat", "second/sandbox-chat"],
                "strategy": strategy,
            },
            "only-first": {"targets": ["first/sandbox-chat"]},
        },
    }


BOXES = {"first": SandboxOptions(latency_ms=1000), "second": SandboxOptions(latency_ms=1000)}


async def _ask_many(world: World, count: int, model: str = "fast") -> list[str]:
    targets: list[str] = []

    async def ask() -> None:
        answer = await world.ask(model=model)
        assert answer.status_code == 200
        targets.append(answer.headers["x-forebay-target"].split("/")[0])

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(ask)
    return targets


async def test_ordered_prefers_the_first_target_while_it_has_room(
    autojump_clock: MockClock,
) -> None:
    async with open_world(_two("ordered"), sandboxes=BOXES) as world:
        assert await _ask_many(world, 2) == ["first"] * 2
        assert sorted(await _ask_many(world, 4)) == ["first"] * 2 + ["second"] * 2


async def test_all_targets_work_while_jobs_wait(autojump_clock: MockClock) -> None:
    for strategy in ("ordered", "balanced"):
        async with open_world(_two(strategy), sandboxes=BOXES) as world:
            began = trio.current_time()
            targets = await _ask_many(world, 40)
            assert targets.count("first") == targets.count("second") == 20
            assert trio.current_time() - began == 10.0


async def test_jobs_of_one_exhausted_target_delay_nobody_who_has_another(
    autojump_clock: MockClock,
) -> None:
    async with open_world(_two("ordered"), sandboxes=BOXES) as world:
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(lambda: world.ask(model="only-first"))
            await trio.sleep(0.5)
            began = trio.current_time()
            assert await _ask_many(world, 2) == ["second"] * 2
            assert trio.current_time() - began == 1.0
        assert await world.is_at_rest()


async def test_ollama_hosts_have_slots_of_their_own(autojump_clock: MockClock) -> None:
    config = {
        "providers": {
            "local": {
                "kind": "ollama",
                "hosts": ["http://one.test", "http://two.test"],
                "limits": {"concurrency": 1},
            }
        }
    }
    boxes = {"one": SandboxOptions(latency_ms=1000), "two": SandboxOptions(latency_ms=1000)}
    async with open_world(config, sandboxes=boxes) as world:
        began = trio.current_time()
        await _ask_many(world, 10, model="local/sandbox-chat")
        assert trio.current_time() - began == 5.0
        assert {name: box.statistics().completed for name, box in world.sandboxes.items()} == {
            "one": 5,
            "two": 5,
        }


async def test_a_dead_host_leaves_its_work_to_the_other(autojump_clock: MockClock) -> None:
    config = {
        "providers": {"local": {"kind": "ollama", "hosts": ["http://gone.test", "http://one.test"]}}
    }
    async with open_world(config, sandboxes={"one": SandboxOptions()}) as world:
        for _ in range(10):
            answer = await world.ask(model="local/sandbox-chat")
            assert answer.status_code == 200
        assert world.sandboxes["one"].statistics().completed == 10


async def test_a_listed_model_is_found_by_its_id_alone(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        answer = await world.ask(model="sandbox-small")
        assert answer.headers["x-forebay-target"] == "up/sandbox-small"
        assert (await world.ask(model="nobody-has-this")).status_code == 404


async def test_models_named_by_hostile_clients_are_forgotten(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        provider = world.gateway.providers["up"]
        for number in range(1100):
            provider.target(f"made-up-{number}")
        assert len(provider.targets) <= 1024
        assert len(provider.pool.targets) == len(provider.targets)


async def test_anthropics_clients_may_have_lists_in_pages(autojump_clock: MockClock) -> None:
    anthropic = {"anthropic-version": "2023-06-01"}

    async def page(world: World, **query: str) -> tuple[list[str], bool]:
        answer = await world.client.get(f"{GATEWAY}/v1/models", params=query, headers=anthropic)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        ids = [model["id"] for model in body["data"]]
        assert [body["first_id"], body["last_id"]] == ([ids[0], ids[-1]] if ids else [None, None])
        return ids, body["has_more"]

    async with open_world() as world:
        await world.gateway.providers["up"].refresh_listing()
        ids, more = await page(world)
        assert (len(ids), more) == (4, False)
        assert await page(world, limit="3") == (ids[:3], True)
        assert await page(world, limit="3", after_id=ids[2]) == (ids[3:], False)
        assert await page(world, after_id=ids[3]) == ([], False)
        assert await page(world, limit="2", before_id=ids[3]) == (ids[1:3], True)
        assert await page(world, limit="3", before_id=ids[3]) == (ids[:3], False)
        for query, named in (
            ({"limit": "0"}, "limit"),
            ({"limit": "many"}, "limit"),
            ({"limit": "1001"}, "limit"),
            ({"after_id": "nothing"}, "after_id"),
            ({"after_id": ids[0], "before_id": ids[1]}, "after_id"),
        ):
            refused = await world.client.get(
                f"{GATEWAY}/v1/models", params=query, headers=anthropic
            )
            assert (refused.status_code, refused.json()["type"]) == (400, "error")
            assert named in refused.json()["error"]["message"]
        # OpenAI has no pages: what looks like one is left alone.
        whole = await world.client.get(f"{GATEWAY}/v1/models", params={"limit": "1"})
        assert len(whole.json()["data"]) == 4


async def test_trap_1_and_5_models_are_listed_and_found_in_both_shapes(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        anthropic = {"anthropic-version": "2023-06-01"}
        plain = (await world.client.get(f"{GATEWAY}/v1/models")).json()
        assert plain["object"] == "list"
        named = (await world.client.get(f"{GATEWAY}/v1/models", headers=anthropic)).json()
        assert named["data"][0]["type"] == "model"
        assert named["has_more"] is False
        assert {model["id"] for model in plain["data"]} == {model["id"] for model in named["data"]}
        for path in ("up/sandbox-chat", "up%2Fsandbox-chat"):
            one = await world.client.get(f"{GATEWAY}/v1/models/{path}")
            assert one.json()["id"] == "up/sandbox-chat"
        missing = await world.client.get(f"{GATEWAY}/v1/models/up/nothing")
        assert missing.status_code == 404
        assert missing.json()["error"]["code"] == "model_not_found"
