"""A gateway that is made ready, and asked for fresh listings, over HTTP."""

from __future__ import annotations

import json

import pytest
import trio
from imitation import Imitated, Imitation
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

MODELS = Imitated(b'{"object":"list","data":[{"id":"m","object":"model"}]}')
CONFIG: dict[str, object] = {
    "wait": {"max_wait_ms": 1_000_000},
    "providers": {"gpu": {"kind": "openai_compatible", "base_url": "http://gpu.test/v1"}},
    "models": {"fast": {"targets": ["gpu/m"]}},
}
ANSWER = Imitated(
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}'
)


def server() -> Imitation:
    return Imitation(
        {
            "GET /v1/models": MODELS,
            "GET /health": Imitated(b'{"status":"ok"}'),
            "POST /v1/chat/completions": ANSWER,
        }
    )


async def warmed(world: World, **said: object) -> list[dict[str, object]]:
    answer = await world.client.post(f"{GATEWAY}/forebay/warmup", json=said)
    assert answer.status_code == 200, answer.text
    told = answer.json()["warmed"]
    assert isinstance(told, list)
    return told


async def test_a_server_that_is_away_at_the_warmup_is_not_called_before_it_is_well(
    autojump_clock: MockClock,
) -> None:
    gpu = server()
    async with open_world(CONFIG, hosts={"gpu.test": gpu.serve}) as world:
        await trio.sleep(100)  # no connection is left from the listing
        serve = world.network.unplug("gpu.test")
        (found,) = await warmed(world)
        assert (found["provider"], found["ok"]) == ("gpu", False)
        answers = []

        async def ask() -> None:
            answers.append(await world.ask())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(60)
            assert not answers
            assert world.gateway.waiting == 1
            world.network.plug("gpu.test", serve)
        assert answers[0].status_code == 200
        # A single call, which was not spent on finding out.
        assert answers[0].headers["x-forebay-attempts"] == "1"


async def test_a_warmup_that_finds_all_well_changes_nothing(autojump_clock: MockClock) -> None:
    gpu = server()
    async with open_world(CONFIG, hosts={"gpu.test": gpu.serve}) as world:
        for _ in range(2):
            (found,) = await warmed(world, load=True, keep_alive=-1)
            assert found["ok"]
        assert gpu.to("/v1/chat/completions") == []
        assert (await world.ask()).headers["x-forebay-attempts"] == "1"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[", "not valid JSON"),
        (b'{"load": 1}', "'load' must be true or false"),
        (b'{"keep_alive": [1]}', "'keep_alive' must be a text or a number"),
    ],
)
async def test_a_wrong_request_is_refused(
    autojump_clock: MockClock, body: bytes, message: str
) -> None:
    async with open_world(CONFIG, hosts={"gpu.test": server().serve}) as world:
        answer = await world.client.post(f"{GATEWAY}/forebay/warmup", content=body)
        assert answer.status_code == 400
        assert message in answer.text


async def test_only_clients_that_manage_models_have_them_loaded(autojump_clock: MockClock) -> None:
    clients = {"a": {"key": "key-of-a"}, "b": {"key": "key-of-b", "manage_models": True}}
    async with open_world({**CONFIG, "clients": clients}, hosts={"gpu.test": server().serve}) as it:
        for key, status in (("key-of-a", 403), ("key-of-b", 200), ("nobodys", 401)):
            answer = await it.client.post(
                f"{GATEWAY}/forebay/warmup", headers={"authorization": f"Bearer {key}"}
            )
            assert answer.status_code == status


async def test_listings_are_asked_for_anew_when_somebody_says_so(autojump_clock: MockClock) -> None:
    gpu = server()
    async with open_world(CONFIG, hosts={"gpu.test": gpu.serve}) as world:
        await trio.sleep(30)
        assert len(gpu.to("/v1/models")) == 1
        gpu.answers["GET /v1/models"] = Imitated(b'{"data":[{"id":"m"},{"id":"n"}]}')
        for _ in range(3):
            answer = await world.client.post(f"{GATEWAY}/forebay/listings")
            assert (answer.status_code, json.loads(answer.content)) == (202, {"asked": ["gpu"]})
        await trio.sleep(1)
        assert len(gpu.to("/v1/models")) == 2
        listed = (await world.client.get(f"{GATEWAY}/v1/models")).json()["data"]
        assert [model["id"] for model in listed] == ["fast", "gpu/m", "gpu/n"]


async def test_the_rest_is_served_whatever_is_wrong_with_others(autojump_clock: MockClock) -> None:
    hosts = {
        "gpu.test": server().serve,
        "page.test": Imitation({"GET /v1/models": Imitated(b"<html>")}).serve,
        "huge.test": Imitation({"GET /v1/models": Imitated((b" " * 4_000_000,) * 9)}).serve,
        "odd.test": Imitation({"GET /v1/models": Imitated(b'{"data":7}')}).serve,
        "cut.test": Imitation({"GET /v1/models": Imitated((b"{",), is_cut=True)}).serve,
        "key.test": Imitation({"GET /v1/models": Imitated(b"{}", status=401)}).serve,
    }
    names = [host.partition(".")[0] for host in hosts]
    providers = {
        name: {"kind": "openai_compatible", "base_url": f"http://{name}.test/v1"}
        for name in (*names, "away")
    }
    async with open_world({**CONFIG, "providers": providers}, hosts=hosts) as world:
        assert (await world.ask()).status_code == 200
        await trio.sleep(30)
        listed = (await world.client.get(f"{GATEWAY}/v1/models")).json()["data"]
        assert [model["id"] for model in listed] == ["fast", "gpu/m"]
        status = await world.gateway.status()
        failed = {each.name for each in status.providers if each.listing.startswith("failed: ")}
        assert failed == {*names, "away"} - {"gpu"}
