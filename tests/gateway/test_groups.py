"""Several accounts that go by one name: one lane over several pools."""

from __future__ import annotations

import pytest
import trio
from reloads import config, sandboxes
from trio.testing import MockClock, wait_all_tasks_blocked
from worlds import World, open_world

from forebay.actors.config import ConfigError, parse_settings

ONE_AT_A_TIME = {"limits": {"concurrency": 1}}
TWO = {"a": ONE_AT_A_TIME, "b": ONE_AT_A_TIME}
TARGET = ["all/sandbox-chat"]


def grouped(**model: object) -> dict[str, object]:
    return config(TWO, {"fast": {"targets": TARGET, **model}}, groups={"all": ["a", "b"]})


async def targets_of(world: World, count: int, model: str = "fast") -> list[str]:
    """Who served so many requests that came one after the other, all at one time."""
    served: list[str] = []

    async def ask() -> None:
        answer = await world.ask(model=model)
        served.append(answer.headers["x-forebay-target"])

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
    return served


async def test_a_group_as_target_is_one_queue_for_all_its_providers(
    autojump_clock: MockClock,
) -> None:
    async with open_world(grouped(), sandboxes=sandboxes("a", "b")) as world:
        began = trio.current_time()
        served = await targets_of(world, 6)
        assert sorted(served) == ["a/sandbox-chat"] * 3 + ["b/sandbox-chat"] * 3
        assert trio.current_time() - began < 7 * 3
        model = world.gateway.catalog.models["fast"]
        assert model.lanes == ()
        assert (await targets_of(world, 1)) == ["a/sandbox-chat"]  # in order, while both have room


async def test_a_group_can_be_asked_outright_and_is_balanced(autojump_clock: MockClock) -> None:
    async with open_world(grouped(), sandboxes=sandboxes("a", "b")) as world:
        served = await targets_of(world, 2, "all/sandbox-chat")
        assert sorted(served) == ["a/sandbox-chat", "b/sandbox-chat"]


async def test_lists_show_the_models_of_a_group(autojump_clock: MockClock) -> None:
    async with open_world(grouped(), sandboxes=sandboxes("a", "b")) as world:
        await world.ask(model="all/sandbox-chat")
        listed = (await world.client.get("http://localhost/v1/models")).json()["data"]
        owners = {model["id"]: model["owned_by"] for model in listed}
        assert owners["fast"] == "forebay"
        assert owners["a/sandbox-chat"] == "a"
        assert owners["all/sandbox-chat"] == "all"
        found = await world.client.get("http://localhost/v1/models/all/sandbox-chat")
        assert found.status_code == 200
        missing = await world.client.get("http://localhost/v1/models/all/no-such-model")
        assert missing.status_code == 404


async def test_a_group_that_changes_moves_its_waiting_jobs(autojump_clock: MockClock) -> None:
    async with open_world(grouped(), sandboxes=sandboxes("a", "b")) as world:
        served: list[str] = []

        async def ask() -> None:
            served.append((await world.ask()).headers["x-forebay-target"])

        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(ask)
                await wait_all_tasks_blocked()
            only_b = config(TWO, {"fast": {"targets": TARGET}}, groups={"all": ["b"]})
            await world.gateway.apply(only_b)
        assert sorted(served) == ["a/sandbox-chat"] + ["b/sandbox-chat"] * 5
        assert await world.is_at_rest()


def test_weights_of_a_group_are_shared_by_its_providers() -> None:
    settings = parse_settings(
        config(
            {"a": {}, "b": {}, "c": {}},
            {
                "fast": {
                    "targets": ["all/m", "c/m", "a/m"],
                    "strategy": "weighted",
                    "weights": [6, 3, 1],
                }
            },
            groups={"all": ["b", "a"]},
        )
    )
    assert settings.targets_of("fast") == ("b/m", "a/m", "c/m")
    assert settings.weights_of("fast") == {"b/m": 3.0, "a/m": 4.0, "c/m": 3.0}


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ({"a": ["b"]}, "groups.a: is the name of a provider, too"),
        ({"all": ["a", "nobody"]}, "names a provider that is not configured"),
        ({"all": ["a", "a"]}, "appears twice in the group"),
        ({"all": []}, "groups.all: must not be empty"),
        ({"other": ["a"]}, "models.fast.targets[0]: names a provider that is not configured"),
    ],
)
def test_a_wrong_group_is_told_in_one_line(groups: dict[str, list[str]], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_settings(config(TWO, {"fast": {"targets": TARGET}}, groups=groups))
    assert said in str(caught.value)


def test_default_models_and_lists_of_clients_may_name_a_group() -> None:
    settings = parse_settings(
        config(
            TWO,
            {},
            groups={"all": ["a", "b"]},
            defaults={"openai": "all/m"},
            clients={"alice": {"key": "key", "models": ["all/m"]}},
        )
    )
    assert settings.defaults.openai == "all/m"
