"""The model ``auto``: whichever model is able, and has room."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from random import Random

import httpx
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from imitation import Imitated, Imitation, Received
from imitations.answering import openai_chat, whole
from trio.testing import MockClock, wait_all_tasks_blocked
from worlds import GATEWAY, World, open_world

from forebay.actors.config import AutoSettings, NameList, parse_settings
from forebay.actors.jobs.job import Client
from forebay.actors.providers.provider import Provider
from forebay.actors.providers.sizes import RequestSize
from forebay.actors.routing.auto_choice import AutoChoice
from forebay.actors.routing.auto_ranking import MOST_TARGETS, Wanted
from forebay.actors.routing.names import Names
from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.canonical.listed_models import Capability
from forebay.protocol.canonical.needs import Needs, lacks
from forebay.protocol.canonical.request_needs import PLAIN_CHAT
from forebay.protocol.jsontext import JsonObject, loads_object

CHAT = ["chat"]
CLIENT = Client(name="somebody")


def provider(name: str, models: Mapping[str, object], **said: object) -> dict[str, object]:
    return {
        "kind": "openai_compatible",
        "base_url": f"http://{name}.test/v1",
        "targets": dict(models),
        **said,
    }


def priced(dollars: float, *capabilities: str, **facts: object) -> dict[str, object]:
    return {
        "capabilities": [*CHAT, *capabilities],
        "price": {"input": dollars, "output": dollars},
        **facts,
    }


def answering(seconds: float = 0.0) -> Imitation:
    def chat(request: Received) -> Imitated:
        fields: dict[str, object] = dict(loads_object(request.body))
        answer = openai_chat(fields)
        return Imitated(answer.body, answer.content_type, pause=seconds)

    return Imitation({"POST /v1/chat/completions": chat})


def opened(
    providers: Mapping[str, Mapping[str, object]],
    sections: Mapping[str, object] | None = None,
    *,
    seconds: float = 0.0,
    **more: object,
) -> AbstractAsyncContextManager[World]:
    return open_world(
        {"wait": {"max_wait_ms": 300_000}, "providers": providers, **(sections or {}), **more},
        sandboxes={},
        hosts={f"{name}.test": answering(seconds).serve for name in providers},
    )


async def served(world: World, model: str = "auto", **asked: object) -> str:
    answer = await world.ask(model=model, **asked)  # type: ignore[arg-type]
    return str(answer.headers.get("x-forebay-target", answer.status_code))


def said_in(answer: httpx.Response) -> str:
    error = answer.json()["error"]
    return str(error if isinstance(error, str) else error["message"])


TWO = {
    "dear": provider("dear", {"seeing": priced(10, "vision", "tools", context_tokens=200_000)}),
    "cheap": provider("cheap", {"blind": priced(0.1, "tools", context_tokens=32_000)}),
}
NEEDED = {"cost_bias": 1}


async def test_auto_is_served_by_the_cheapest_that_is_able(autojump_clock: MockClock) -> None:
    async with opened(TWO, auto=NEEDED) as world:
        assert await served(world) == "cheap/blind"
        assert await served(world, "auto:latest") == "cheap/blind"
        assert await served(world, "auto:vision") == "dear/seeing"
        assert await served(world, "auto:tools,ctx>=100k") == "dear/seeing"
        assert await served(world, headers={"x-forebay-needs": "ctx>=100k"}) == "dear/seeing"
        assert await served(world, "auto:price<=1,tools") == "cheap/blind"


EXPLAINED = {
    "dear": provider("dear", {"seeing": priced(10, "vision")}),
    "cheap": provider("cheap", {"blind": priced(0.1, lacks=["vision"])}),
}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
async def test_auto_speaks_every_dialect(path: str, autojump_clock: MockClock) -> None:
    said: JsonObject = {"role": "user", "content": "hi"}
    body: JsonObject = {"messages": [said], "max_tokens": 100, "stream": False}
    async with opened(EXPLAINED, auto=NEEDED) as world:
        for model, status, target in (
            ("auto", 200, "cheap/blind"),
            ("auto:vision", 200, "dear/seeing"),
            ("auto:vision,local", 400, None),
            ("auto:visoin", 400, None),
        ):
            answer = await world.client.post(f"{GATEWAY}{path}", json={**body, "model": model})
            assert answer.status_code == status, answer.text
            assert answer.headers.get("x-forebay-target") == target
            if model == "auto:vision,local":
                assert "dear/seeing is not local" in said_in(answer)
                assert "cheap/blind lacks vision, is not local" in said_in(answer)
            if model == "auto:visoin":
                assert "'visoin'" in said_in(answer)
                assert "parallel_tools" in said_in(answer)


async def test_what_the_request_itself_needs_counts_too(autojump_clock: MockClock) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    async with opened(EXPLAINED, auto=NEEDED) as world:
        messages = [{"role": "user", "content": [image]}]
        assert await served(world, messages=messages) == "dear/seeing"


async def test_who_is_known_to_be_able_comes_before_who_may_be(autojump_clock: MockClock) -> None:
    providers = {
        "unknown": provider("unknown", {"m": {"price": {"input": 0}}}),
        "able": provider("able", {"m": priced(50, "tools")}),
        "silent": provider("silent", {"n": {}}, local=True),
    }
    async with opened(providers, auto=NEEDED) as world:
        assert await served(world, "auto:tools") == "able/m"
        # Of a server that says of no model whether it chats, nobody doubts it.
        assert await served(world, "auto:local") == "silent/n"
    async with opened({"unknown": providers["unknown"]}, auto=NEEDED) as world:
        assert await served(world, "auto:tools") == "unknown/m"


async def test_local_models_are_preferred_as_much_as_is_wanted(autojump_clock: MockClock) -> None:
    providers = {
        "far": provider("far", {"m": priced(0.5)}),
        "near": provider("near", {"m": priced(2)}, local=True),
    }
    for auto, target in (
        ({"cost_bias": 1}, "far/m"),
        ({"cost_bias": 1, "prefer_local": True}, "near/m"),
        ({"cost_bias": 1, "prefer_local": 0.2}, "far/m"),
        ({"cost_bias": 1, "prefer_local": 0.4}, "near/m"),
    ):
        async with opened(providers, auto=auto) as world:
            assert await served(world) == target, auto


async def test_without_regard_to_price_the_one_with_most_room_serves(
    autojump_clock: MockClock,
) -> None:
    providers = {
        "dear": provider("dear", {"m": priced(90)}, limits={"concurrency": 4}),
        "cheap": provider("cheap", {"m": priced(0)}, limits={"concurrency": 2}),
    }
    for auto, expected in (({"cost_bias": 0}, [4, 2]), ({"cost_bias": 1}, [0, 2])):
        async with opened(providers, seconds=5, auto=auto) as world, trio.open_nursery() as nursery:
            for _ in range(sum(expected)):
                nursery.start_soon(served, world)
                await wait_all_tasks_blocked()
            calls = [provider.pool.in_flight for provider in world.gateway.providers.values()]
            assert calls == expected


async def test_nobody_waits_while_one_of_the_able_is_free(autojump_clock: MockClock) -> None:
    """Late binding: four jobs of a second each at two targets that take one at a time."""
    one = {"limits": {"concurrency": 1}}
    providers = {
        "dear": provider("dear", {"seeing": priced(10, "vision")}, **one),
        "cheap": provider("cheap", {"seeing": priced(0.1, "vision")}, **one),
        "blind": provider("blind", {"m": priced(0, lacks=["vision"])}, **one),
    }
    targets: list[str] = []

    async def ask(world: World) -> None:
        targets.append(await served(world, "auto:vision"))

    async with opened(providers, seconds=1, auto=NEEDED) as world:
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(ask, world)
                await wait_all_tasks_blocked()
            (model,) = world.gateway.catalog.autos.values()
            (lane,) = model.lanes
            assert {target.full_name for target in lane.targets} == {"dear/seeing", "cheap/seeing"}
            assert lane.waiting == 2
            status = await world.gateway.status()
            assert [each.name for each in status.models if each.waiting] == ["auto"]
        assert trio.current_time() - began == 2.0
        assert sorted(targets) == ["cheap/seeing"] * 2 + ["dear/seeing"] * 2
        assert await world.is_at_rest()


async def test_a_conversation_stays_with_its_model(autojump_clock: MockClock) -> None:
    providers = {
        name: provider(name, {"m": priced(1)}, limits={"concurrency": 2}) for name in ("a", "b")
    }
    async with opened(providers, seconds=1, auto={"cost_bias": 0}) as world:
        first = await served(world, text="one")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(served, world, text="another"))
            await wait_all_tasks_blocked()
            assert await served(world, text="one") == first


CLIENTS: dict[str, dict[str, object]] = {
    "clients": {
        "few": {"key": "few", "models": ["cheap/*"]},
        "named": {"key": "named", "models": ["good"]},
        "near": {"key": "near", "auto": {"prefer_local": True}},
        "none": {"key": "none", "models": ["other/m"]},
        "any": {"key": "any"},
    },
    "models": {"good": {"targets": ["dear/seeing"]}},
    "aliases": {"smart": "auto:vision", "usual": "auto"},
    "auto": {"cost_bias": 1},
}


OF_CLIENTS = {
    **EXPLAINED,
    "near": provider("near", {"m": priced(5)}, local=True),
    "other": provider("other", {"m": priced(0, lacks=["vision"], deprecated=True)}),
}


async def test_auto_is_no_way_around_what_a_client_may_use(autojump_clock: MockClock) -> None:
    async with opened(OF_CLIENTS, CLIENTS) as world:
        assert await served(world, key="any") == "cheap/blind"
        assert await served(world, "usual", key="any") == "cheap/blind"
        assert await served(world, key="few") == "cheap/blind"
        assert await served(world, key="named") == "dear/seeing"
        assert await served(world, key="near") == "near/m"
        assert await served(world, "smart", key="any") == "dear/seeing"
        nobody = await world.ask(model="smart", key="few")
        assert nobody.status_code == 400
        assert "dear" not in nobody.text
        # The only model that it may use is about to be taken away.
        assert (await world.ask(model="auto", key="none")).status_code == 404
        assert await served(world, "other/m", key="none") == "other/m"


async def test_auto_can_be_looked_up_and_its_aliases_are_listed(
    autojump_clock: MockClock,
) -> None:
    """Ollama's clients look a model up before they ask it."""
    async with opened(OF_CLIENTS, CLIENTS) as world:
        for key in ("any", "few"):
            headers = {"authorization": f"Bearer {key}"}
            for name, status in (("auto", 200), ("auto:tools", 200), ("auto:speed", 404)):
                body = {"model": name}
                shown = await world.client.post(f"{GATEWAY}/api/show", json=body, headers=headers)
                assert shown.status_code == status, name
                card = await world.client.get(f"{GATEWAY}/v1/models/{name}", headers=headers)
                assert card.status_code == status, name
            listed = await world.client.get(f"{GATEWAY}/v1/models", headers=headers)
            names = {model["id"] for model in listed.json()["data"]}
            assert {"smart", "usual"} <= names
            assert ("dear/seeing" in names) == (key == "any")


async def test_those_who_need_the_same_wait_in_few_lanes(autojump_clock: MockClock) -> None:
    """However different their prompts are: a lane for each context that some of them outgrow."""
    providers = {
        name: provider(name, {"m": priced(1, context_tokens=context)}, limits={"concurrency": 1})
        for name, context in (("small", 4000), ("middle", 32_000), ("large", 128_000))
    }
    async with opened(providers, seconds=1) as world, trio.open_nursery() as nursery:
        for number in range(60):
            nursery.start_soon(partial(served, world, text="word " * number * 200))
        await wait_all_tasks_blocked()
        (model,) = world.gateway.catalog.autos.values()
        assert model.waiting == 57
        assert len(model.lanes) <= 3


async def test_auto_may_be_kept_to_configured_models(autojump_clock: MockClock) -> None:
    models = {"good": {"targets": ["dear/seeing"]}, "b*": {"targets": ["cheap/b*"]}}
    for candidates, target in (("all", "cheap/blind"), ("configured", "cheap/blind")):
        auto = {"cost_bias": 1, "candidates": candidates}
        async with opened(EXPLAINED, auto=auto, models=models) as world:
            assert await served(world) == target
    del models["b*"]
    async with opened(EXPLAINED, auto=auto, models=models) as world:
        assert await served(world) == "dear/seeing"


async def test_a_model_that_is_called_auto_is_that_model(autojump_clock: MockClock) -> None:
    models = {"auto": {"targets": ["dear/seeing"]}, "*": {"targets": ["dear/seeing"]}}
    async with opened(EXPLAINED, auto=NEEDED, models=models) as world:
        assert await served(world) == "dear/seeing"
        assert await served(world, "auto:tools") == "cheap/blind", "a star does not stand for it"


async def test_the_unknown_may_be_served_by_auto(autojump_clock: MockClock) -> None:
    defaults = {"openai": "auto", "unknown_model": "default"}
    async with opened(EXPLAINED, auto=NEEDED, defaults=defaults) as world:
        assert await served(world, "never-heard-of") == "cheap/blind"


async def test_what_passes_through_needs_a_model_of_a_name(autojump_clock: MockClock) -> None:
    async with opened(EXPLAINED) as world:
        body = {"model": "auto", "query": "a", "documents": ["b"]}
        answer = await world.client.post(f"{GATEWAY}/v1/rerank", json=body)
        assert answer.status_code == 400
        assert "name a model" in said_in(answer)


async def test_those_who_wait_for_auto_move_to_what_is_configured_then(
    autojump_clock: MockClock,
) -> None:
    one = {"limits": {"concurrency": 1}}
    before = {"a": provider("a", {"m": priced(1)}, **one)}
    after = {"b": provider("b", {"m": priced(1)}, **one)}
    async with open_world(
        {"providers": before},
        sandboxes={},
        hosts={"a.test": answering(100).serve, "b.test": answering(1).serve},
    ) as world:
        targets: list[str] = []

        async def ask() -> None:
            targets.append(await served(world))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            await world.gateway.apply({"providers": after})
        assert targets == ["b/m", "a/m"]


async def test_a_client_may_get_settings_of_its_own_while_the_gateway_runs(
    autojump_clock: MockClock,
) -> None:
    async with opened(OF_CLIENTS, {**CLIENTS, "clients": {"near": {"key": "near"}}}) as world:
        assert await served(world, key="near") == "cheap/blind"
        providers = {name: each.settings for name, each in world.gateway.providers.items()}
        await world.gateway.apply({"providers": OF_CLIENTS, **CLIENTS})
        assert {name: each.settings for name, each in world.gateway.providers.items()} == providers
        assert await served(world, key="near") == "near/m"
        assert await served(world, key="any") == "cheap/blind"
        status = await world.gateway.status()
        assert {"auto", "auto for near"} <= {model.name for model in status.models}


async def test_who_cant_be_told_what_is_meant_is_chosen_only_where_there_is_no_other(
    autojump_clock: MockClock,
) -> None:
    """A tool that only one provider runs, among twenty cheaper models that know of no such tool."""
    providers: dict[str, dict[str, object]] = {
        f"p{number}": provider(f"p{number}", {f"m{each}": priced(0) for each in range(4)})
        for number in range(5)
    }
    openai = {
        "kind": "openai",
        "base_url": "http://openai.test/v1",
        "api_key": "sk-12345678",
        "targets": {"gpt-5": priced(20)},
    }
    answer = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-5",
        "status": "completed",
        "output": [],
    }
    server = Imitation({"POST /v1/responses": whole(answer)})
    body: JsonObject = {"model": "auto", "input": "hi", "tools": [{"type": "web_search"}]}
    hosts = {f"{name}.test": answering().serve for name in providers}
    async with open_world(
        {"providers": {**providers, "openai": openai}, "auto": NEEDED},
        sandboxes={},
        hosts={**hosts, "openai.test": server.serve},
    ) as world:
        found = await world.client.post(f"{GATEWAY}/v1/responses", json=body)
        assert found.headers.get("x-forebay-target") == "openai/gpt-5", found.text
    async with open_world({"providers": providers}, sandboxes={}, hosts=hosts) as world:
        refused = await world.client.post(f"{GATEWAY}/v1/responses", json=body)
        assert refused.status_code == 400
        assert "web_search" in said_in(refused)


async def test_accounts_that_are_out_are_chosen_only_where_there_is_no_other(
    autojump_clock: MockClock,
) -> None:
    async with opened(EXPLAINED, auto=NEEDED) as world:
        world.gateway.providers["cheap"].take_out("no credit")
        assert await served(world) == "dear/seeing"
        world.gateway.providers["dear"].take_out("no credit")
        assert await served(world) == "503"


# What is chosen, whatever is known of whom.

KNOWN = st.fixed_dictionaries(
    {},
    optional={
        "capabilities": st.lists(st.sampled_from(["chat", "vision", "tools"]), unique=True),
        "lacks": st.lists(st.sampled_from(["audio", "thinking"]), unique=True),
        "context_tokens": st.sampled_from([4000, 32_000, 128_000]),
        "max_output_tokens": st.sampled_from([1000, 8000]),
        "price": st.fixed_dictionaries({"input": st.sampled_from([0, 1, 30])}),
        "deprecated": st.booleans(),
    },
)
MODELS = st.dictionaries(st.sampled_from([f"m{number}" for number in range(12)]), KNOWN)
NEEDS = st.builds(
    Needs,
    capabilities=st.frozensets(st.sampled_from(Capability), max_size=2),
    context_tokens=st.sampled_from([0, 5000, 100_000]),
    output_tokens=st.sampled_from([0, 4000]),
    local=st.booleans(),
    most_price=st.sampled_from([None, None, 5.0]),
)
AUTO = st.builds(
    AutoSettings,
    cost_bias=st.sampled_from([0.0, 0.5, 1.0]),
    prefer_local=st.sampled_from([0.0, 1.0]),
)


@settings(max_examples=150)
@given(
    models=st.lists(MODELS, min_size=1, max_size=4),
    is_local=st.booleans(),
    needs=NEEDS,
    auto=AUTO,
    size=st.sampled_from([0, 20_000, 400_000]),
    longest=st.sampled_from([None, 500, 5000]),
    allowed=st.sampled_from([None, ["p0/*"], ["*/m1", "p1/m*"]]),
)
def test_nobody_unable_is_chosen_and_somebody_able_always_is(
    models: list[dict[str, dict[str, object]]],
    is_local: bool,
    needs: Needs,
    auto: AutoSettings,
    size: int,
    longest: int | None,
    allowed: list[str] | None,
) -> None:
    configured = parse_settings(
        {
            "providers": {
                f"p{number}": provider(f"p{number}", known, local=is_local and not number)
                for number, known in enumerate(models)
            }
        }
    )
    providers = {
        name: Provider(name, each, httpx.AsyncBaseTransport(), Random(1))
        for name, each in configured.providers.items()
    }
    choice = AutoChoice(configured, providers, Names(configured))
    client = Client(name="c", models=None if allowed is None else NameList(allowed))
    asked = RequestSize(size)
    least = Needs(context_tokens=asked.least_tokens)
    together = PLAIN_CHAT.also(needs).also(least)
    able = {
        f"{name}/{model_id}"
        for name, each in providers.items()
        for model_id in each.settings.targets
        if not lacks(together, each.facts_of(model_id))
        and not each.facts_of(model_id).deprecated
        and client.may_use(f"{name}/{model_id}")
    }
    chosen: list[str] = []

    async def choose() -> None:
        for _ in range(2):
            wanted = Wanted(together, asked, longest)
            if not able:
                with pytest.raises(ApiFailure):
                    await choice.targets("auto", client, auto, wanted, None)
                return
            targets = await choice.targets("auto", client, auto, wanted, None)
            again = [target.name for target in targets]
            assert not chosen or again == chosen, "the same jobs wait in the same lane"
            chosen[:] = again

    trio.run(choose)
    assert set(chosen) <= able
    assert bool(chosen) == bool(able)
    assert len(set(chosen)) == len(chosen) <= MOST_TARGETS


def test_the_chosen_are_of_many_accounts() -> None:
    """Forty cheap models of one account don't keep the two others out."""
    configured = parse_settings(
        {
            "providers": {
                "many": provider("many", {f"m{number}": priced(0) for number in range(40)}),
                "one": provider("one", {"a": priced(5)}),
                "two": provider("two", {"b": priced(9)}),
            }
        }
    )
    providers = {
        name: Provider(name, each, httpx.AsyncBaseTransport(), Random(1))
        for name, each in configured.providers.items()
    }
    choice = AutoChoice(configured, providers, Names(configured))

    async def choose() -> list[str]:
        targets = await choice.targets("auto", CLIENT, AutoSettings(), Wanted(PLAIN_CHAT), None)
        return [target.name for target in targets]

    chosen = trio.run(choose)
    assert chosen[:5] == ["many/m0", "many/m1", "many/m2", "one/a", "two/b"]
    assert len(chosen) == MOST_TARGETS
