"""What servers tell beyond their listings: when it is asked, how often, and what becomes of it."""

from __future__ import annotations

import json
from functools import partial

import httpx
import pytest
import trio
from imitation import Imitated, Imitation, Received
from imitations.kinds import StrictProvider
from imitations.tables import TABLES
from trio.testing import MockClock
from worlds import World, open_world

from forebay.actors.providers.model_details import ModelDetails
from forebay.actors.upstream import CallTimeouts
from forebay.protocol.canonical.listed_models import Capability, ListedModel
from forebay.protocol.providers import PROFILES

SHOWN = {"capabilities": ["completion", "vision"], "model_info": {}}


class Ollama(Imitation):
    """Lists as many models as it is told to, and shows them slowly."""

    def __init__(self, *models: str) -> None:
        super().__init__({})
        self.models = models
        self.pause = 0.01
        self.status = 200

    def answer_to(self, request: Received) -> Imitated:
        if request.path == "/api/tags":
            told = [{"name": name, "model": name} for name in self.models]
            return Imitated(json.dumps({"models": told}).encode())
        if request.path == "/api/show":
            return Imitated(json.dumps(SHOWN).encode(), status=self.status, pause=self.pause)
        return super().answer_to(request)

    @property
    def shown(self) -> list[str]:
        return [json.loads(each.body)["model"] for each in self.to("/api/show")]


def config(
    kind: str = "ollama", base_url: str = "http://up.test", **more: object
) -> dict[str, object]:
    return {"providers": {"up": {"kind": kind, "base_url": base_url, **more}}}


def can_see(world: World, model: str) -> bool | None:
    return world.gateway.providers["up"].facts_of(model).can(Capability.VISION)


async def test_models_are_listed_at_once_and_told_of_soon(autojump_clock: MockClock) -> None:
    up = Ollama("a", "b")
    up.pause = 3.0
    async with open_world(config(), sandboxes={}, hosts={"up.test": up.serve}) as world:
        listing = world.gateway.providers["up"].listing
        await listing.first_try()
        assert list(listing.models) == ["a", "b"]
        assert can_see(world, "a") is None
        await trio.sleep(4)
        assert can_see(world, "a") is True


async def test_what_was_told_is_kept_until_the_model_changes_or_an_hour_has_passed(
    autojump_clock: MockClock,
) -> None:
    up = Ollama("a")
    async with open_world(config(), sandboxes={}, hosts={"up.test": up.serve}) as world:
        provider = world.gateway.providers["up"]
        await trio.sleep(1)
        for _ in range(3):
            await provider.refresh_listing()
        assert up.shown == ["a"]
        assert can_see(world, "a") is True
        up.models = ("a", "b")
        await provider.refresh_listing()
        assert up.shown == ["a", "b"]
        up.models = ("b",)
        await provider.refresh_listing()
        up.models = ("a", "b")
        await provider.refresh_listing()
        assert up.shown == ["a", "b", "a"]
        await trio.sleep(4300)
        assert sorted(up.shown[3:]) == ["a", "b"]


async def test_who_does_not_answer_is_asked_again_with_the_next_listing(
    autojump_clock: MockClock,
) -> None:
    up = Ollama("a")
    up.status = 500
    async with open_world(config(), sandboxes={}, hosts={"up.test": up.serve}) as world:
        provider = world.gateway.providers["up"]
        await provider.refresh_listing()
        assert can_see(world, "a") is None
        assert provider.listing.describe() == "1 models"
        up.status = 200
        await provider.refresh_listing()
        assert can_see(world, "a") is True


async def test_hundreds_of_models_are_asked_about_a_few_at_a_time(
    autojump_clock: MockClock,
) -> None:
    names = [f"m{number}" for number in range(400)]
    up = Ollama(*names)
    up.pause = 0.1
    async with open_world(config(), sandboxes={}, hosts={"up.test": up.serve}) as world:
        provider = world.gateway.providers["up"]
        await provider.listing.first_try()
        began = trio.current_time()
        await trio.sleep(60)
        assert sorted(up.shown) == sorted(names[:256])
        assert trio.current_time() - began < 61
        await provider.refresh_listing()
        assert sorted(up.shown) == sorted(names)


async def test_models_that_nothing_is_told_of_keep_no_others_from_being_asked_about(
    autojump_clock: MockClock,
) -> None:
    names = [f"m{number}" for number in range(300)]
    up = Ollama(*names)
    up.status = 404
    async with open_world(config(), sandboxes={}, hosts={"up.test": up.serve}) as world:
        await trio.sleep(60)
        assert len(up.shown) == 256
        await world.gateway.providers["up"].refresh_listing()
        assert {*up.shown} == {*names}


async def test_a_server_that_says_nothing_holds_up_nothing(autojump_clock: MockClock) -> None:
    up = Ollama(*(f"m{number}" for number in range(100)))
    up.pause = 1000.0
    async with open_world(config(), sandboxes={}, hosts={"up.test": up.serve}) as world:
        began = trio.current_time()
        await world.gateway.providers["up"].refresh_listing()
        assert trio.current_time() - began <= 61


@pytest.mark.parametrize(("options", "status"), [({}, 400), ({"num_ctx": 32768}, 200)])
async def test_a_request_that_says_its_own_context_is_not_held_against_the_models(
    options: dict[str, object], status: int, autojump_clock: MockClock
) -> None:
    up = StrictProvider(TABLES["ollama"])
    async with open_world(config(), sandboxes={}, hosts={"up.test": up.serve}) as world:
        await world.gateway.providers["up"].refresh_listing()
        body = {
            "model": "up/llama3.2:latest",
            "messages": [{"role": "user", "content": "a river " * 20_000}],
            "options": options,
            "stream": False,
        }
        answer = await world.client.post("http://localhost/api/chat", json=body)
        assert answer.status_code == status, answer.text
        assert len(up.calls) == (status == 200)


def llama(props: object) -> Imitation:
    models = {"object": "list", "data": [{"id": "m", "owned_by": "llamacpp"}]}
    chat = partial(_chat)
    return Imitation(
        {
            "GET /v1/models": Imitated(json.dumps(models).encode()),
            "GET /props": Imitated(json.dumps(props).encode()),
            "POST /v1/chat/completions": chat,
        }
    )


def _chat(request: Received) -> Imitated:
    answer = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}
    return Imitated(json.dumps(answer).encode(), pause=10.0)


async def ask(world: World, times: int) -> float:
    """How long so many requests at once take."""
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(times):
            nursery.start_soon(partial(world.ask, model="up/m"))
    return trio.current_time() - began


PROPS = {"default_generation_settings": {"n_ctx": 2048}, "total_slots": 2}


async def test_no_more_calls_are_under_way_than_a_server_says_that_it_takes(
    autojump_clock: MockClock,
) -> None:
    up = llama(PROPS)
    made = config("openai_compatible", "http://up.test/v1")
    async with open_world(made, sandboxes={}, hosts={"up.test": up.serve}) as world:
        await trio.sleep(1)
        assert await ask(world, 4) == 20.0
        # The server was started anew, with other slots, which counts for those who wait already.
        up.answers["GET /props"] = Imitated(json.dumps({**PROPS, "total_slots": 4}).encode())
        await world.gateway.providers["up"].refresh_listing()
        assert await ask(world, 4) == 10.0


async def test_what_is_configured_is_never_raised_by_what_is_told(
    autojump_clock: MockClock,
) -> None:
    up = llama(PROPS)
    one = {"limits": {"concurrency": 1}}
    made = config("openai_compatible", "http://up.test/v1", **one)
    async with open_world(made, sandboxes={}, hosts={"up.test": up.serve}) as world:
        await trio.sleep(1)
        assert await ask(world, 2) == 20.0
        # What is configured is lifted: what is told counts.
        await world.gateway.apply(config("openai_compatible", "http://up.test/v1"))
        await trio.sleep(1)
        assert await ask(world, 4) == 20.0
        # Another server is there, that tells nothing.
        del up.answers["GET /props"]
        up.answers["GET /v1/models"] = Imitated(b'{"data":[{"id":"m","owned_by":"vllm"}]}')
        await world.gateway.providers["up"].refresh_listing()
        assert await ask(world, 4) == 10.0


async def test_props_of_a_router_over_several_models_tell_nothing(
    autojump_clock: MockClock,
) -> None:
    up = llama({"role": "router", "max_instances": 4})
    made = config("openai_compatible", "http://up.test/v1")
    async with open_world(made, sandboxes={}, hosts={"up.test": up.serve}) as world:
        await trio.sleep(1)
        assert await ask(world, 4) == 10.0
        assert world.gateway.providers["up"].facts_of("m").context_tokens is None


class Recording(httpx.AsyncBaseTransport):
    """Answers everything with an empty object."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        self.asked.append(str(request.url))
        return httpx.Response(200, content=b"{}")


async def test_the_router_of_hugging_face_is_not_asked_for_its_server() -> None:
    transport = Recording()
    details = ModelDetails(PROFILES["huggingface"])
    model = ListedModel("m")
    for host in ("https://router.huggingface.co/v1", "https://x.endpoints.huggingface.cloud/v1"):
        await details.ask(
            transport,
            [host],
            {host: (model,)},
            [model],
            headers={},
            timeouts=CallTimeouts(connect=1, first_byte=1, between_bytes=1),
        )
    assert transport.asked == ["https://x.endpoints.huggingface.cloud/info"]
