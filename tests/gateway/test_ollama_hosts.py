"""Several Ollama hosts as one provider: who has which model, and who has it loaded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from imitation import Imitated, Imitation, Received
from imitations.answering import ollama_chat
from trio.testing import MockClock
from worlds import World, open_world


class Host(Imitation):
    """One Ollama server."""

    def __init__(self, *models: str, seconds: float = 1.0) -> None:
        self.models: Sequence[str] = models
        self.loaded: Mapping[str, str] = {}
        """When each goes, by name."""
        self.seconds = seconds
        self.lists = True
        super().__init__({})

    def answer_to(self, request: Received) -> Imitated:
        match request.path:
            case "/api/tags" if self.lists:
                return _json({"models": [{"name": name, "model": name} for name in self.models]})
            case "/api/ps":
                told = [{"model": name, "expires_at": at} for name, at in self.loaded.items()]
                return _json({"models": told or None})
            case "/api/chat":
                body = json.loads(request.body)
                assert isinstance(body, dict)
                plain = body["model"].removesuffix(":latest")
                if not {plain, f"{plain}:latest"} & {*self.models}:
                    return Imitated(b'{"error":"model not found"}', status=404)
                answer = ollama_chat(body)
                return Imitated(answer.body, content_type=answer.content_type, pause=self.seconds)
            case _:
                return Imitated(b'{"error":"404 page not found"}', status=404)

    @property
    def asked_for(self) -> list[str]:
        return [json.loads(each.body)["model"] for each in self.to("/api/chat")]


def _json(body: object) -> Imitated:
    return Imitated(json.dumps(body).encode())


@asynccontextmanager
async def world_of(*hosts: Host, slots: int | None = 2, **more: object) -> AsyncIterator[World]:
    names = [f"h{number}.test" for number in range(len(hosts))]
    limits = {} if slots is None else {"limits": {"concurrency": slots}}
    gpu = {"kind": "ollama", "hosts": [f"http://{name}" for name in names], **limits, **more}
    serving = {name: host.serve for name, host in zip(names, hosts, strict=True)}
    async with open_world({"providers": {"gpu": gpu}}, sandboxes={}, hosts=serving) as world:
        await trio.sleep(0.1)  # they have told what they have, and what is loaded
        yield world


async def ask(world: World, model: str, times: int = 1) -> None:
    """So many requests at once."""

    async def is_answered() -> None:
        answer = await world.ask(model=f"gpu/{model}")
        assert answer.status_code == 200, answer.text

    async with trio.open_nursery() as nursery:
        for _ in range(times):
            nursery.start_soon(is_answered)


async def test_a_host_without_the_model_is_not_asked_for_it(autojump_clock: MockClock) -> None:
    both, one = Host("a:latest", "b:latest"), Host("b:latest")
    async with world_of(one, both) as world:
        await ask(world, "a", 5)
        assert one.asked_for == []
        await ask(world, "b:latest", 4)
        assert len(one.asked_for) == 2


async def test_a_tag_that_is_left_out_is_the_latest(autojump_clock: MockClock) -> None:
    other, holder = Host("b:latest"), Host("a", "a:latest")
    async with world_of(other, holder) as world:
        await ask(world, "a")
        await ask(world, "a:latest")
        assert other.asked_for == []
        assert len(holder.asked_for) == 2


async def test_where_nobody_lists_the_model_all_may_be_asked(autojump_clock: MockClock) -> None:
    one, other = Host("hidden"), Host("hidden")
    async with world_of(one, other) as world:
        one.models = other.models = ("seen",)
        await world.gateway.providers["gpu"].refresh_listing()
        one.models = other.models = ("hidden",)
        await ask(world, "hidden", 4)
        assert len(one.asked_for) == len(other.asked_for) == 2


async def test_a_host_whose_listing_never_came_may_be_asked(autojump_clock: MockClock) -> None:
    silent, other = Host("a"), Host("a")
    silent.lists = False
    async with world_of(silent, other) as world:
        await ask(world, "a", 4)
        assert len(silent.asked_for) == len(other.asked_for) == 2


async def test_a_model_that_a_host_gets_later_is_asked_for_there_by_those_who_wait(
    autojump_clock: MockClock,
) -> None:
    late, first = Host("b"), Host("a", seconds=30.0)
    async with world_of(late, first, slots=1) as world, trio.open_nursery() as nursery:
        nursery.start_soon(ask, world, "a", 3)
        await trio.sleep(1)
        assert (late.asked_for, len(first.asked_for)) == ([], 1)
        late.models = ("a", "b")
        await world.gateway.providers["gpu"].refresh_listing()
        await trio.sleep(0.5)
        assert late.asked_for == ["a"]


async def test_a_model_goes_where_it_is_loaded_already(autojump_clock: MockClock) -> None:
    cold, warm = Host("a", "b"), Host("a", "b")
    warm.loaded = {"a": "2318-01-01T00:00:00Z"}
    async with world_of(cold, warm) as world:
        for _ in range(3):
            await ask(world, "a")
        assert (cold.asked_for, warm.asked_for) == ([], ["a"] * 3)
        (provider,) = (await world.gateway.status()).providers
        assert provider.loaded == {"http://h0.test": (), "http://h1.test": ("a",)}
        await ask(world, "b")
        assert cold.asked_for == ["b"]


async def test_nobody_waits_for_the_loaded_host_while_another_has_room(
    autojump_clock: MockClock,
) -> None:
    cold, warm = Host("a"), Host("a")
    warm.loaded = {"a": "2318-01-01T00:00:00Z"}
    async with world_of(cold, warm) as world:
        began = trio.current_time()
        await ask(world, "a", 4)
        assert trio.current_time() - began < 2
        assert len(cold.asked_for) == len(warm.asked_for) == 2


async def test_who_has_answered_has_the_model_loaded_until_its_time_is_over(
    autojump_clock: MockClock,
) -> None:
    one, other = Host("a", "b"), Host("a", "b")
    async with world_of(one, other) as world:
        await ask(world, "a")
        await ask(world, "b", 2)
        assert (one.asked_for, other.asked_for) == (["a", "b"], ["b"])
        # The hosts say that nothing is loaded; what has answered since they were asked is.
        await ask(world, "a", 1)
        assert one.asked_for.count("a") == 2
        await trio.sleep(61)
        await ask(world, "b")
        assert other.asked_for == ["b"], "by the hosts' own word it is loaded nowhere"


@pytest.mark.parametrize(
    ("fields", "stays"), [({}, True), ({"keep_alive": 0}, False), ({"keep_alive": "2s"}, False)]
)
async def test_a_request_says_how_long_its_model_stays(
    fields: dict[str, object], stays: bool, autojump_clock: MockClock
) -> None:
    one, other = Host("a", "b"), Host("a", "b")
    async with world_of(one, other) as world:
        client, url = world.client, "http://localhost/api/chat"
        said = [{"role": "user", "content": "hello"}]

        async def chat(model: str, **fields: object) -> None:
            body = {"model": f"gpu/{model}", "messages": said, "stream": False, **fields}
            assert (await client.post(url, json=body)).status_code == 200

        async with trio.open_nursery() as nursery:
            nursery.start_soon(chat, "b")
            await trio.sleep(0.1)
            await chat("a", **fields)
        assert (one.asked_for, other.asked_for) == (["b"], ["a"])
        await trio.sleep(3)
        await chat("a")
        assert other.asked_for == (["a", "a"] if stays else ["a"])


async def test_hosts_without_configured_slots_share_a_flood(autojump_clock: MockClock) -> None:
    cold, warm = Host("a"), Host("a")
    warm.loaded = {"a": "2318-01-01T00:00:00Z"}
    async with world_of(cold, warm, slots=None) as world:
        await ask(world, "a", 20)
        assert min(len(cold.asked_for), len(warm.asked_for)) >= 7


async def test_hosts_that_do_not_tell_are_served_all_the_same(autojump_clock: MockClock) -> None:
    one, other = Host("a"), Host("a")
    one.loaded = other.loaded = {"a": "nonsense"}
    async with world_of(one, other) as world:
        await ask(world, "a", 4)
        assert len(one.asked_for) == len(other.asked_for) == 2


async def test_a_single_host_is_not_asked_what_it_has_loaded(autojump_clock: MockClock) -> None:
    only = Host("a")
    async with world_of(only) as world:
        await ask(world, "a")
        await trio.sleep(200)
        assert not only.to("/api/ps")
