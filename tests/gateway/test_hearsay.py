"""What only public tables say of a model chooses among targets, and does not refuse a request that
the model's provider may well serve."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from imitation import Imitated, Imitation, Received
from imitations.answering import openai_chat
from trio.testing import MockClock
from worlds import World, open_world

from forebay.protocol.jsontext import JsonObject, loads_object

# gpt-3.5-turbo calls tools since 2023, and the tables say that it does not.
TOOL: JsonObject = {"type": "function", "function": {"name": "look"}}
IMAGE: JsonObject = {
    "type": "image_url",
    "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="},
}
CALLS = "POST /v1/chat/completions"


@asynccontextmanager
async def openai_world(*models: str, **targets: object) -> AsyncIterator[tuple[World, Imitation]]:
    def chat(request: Received) -> Imitated:
        return openai_chat(dict(loads_object(request.body)))

    server = Imitation({CALLS: chat})
    config: dict[str, object] = {
        "providers": {
            "openai": {
                "kind": "openai",
                "base_url": "http://openai.test/v1",
                "api_key": "sk-12345678",
                "targets": targets,
            }
        },
        "models": {"fast": {"targets": [f"openai/{model}" for model in models]}},
    }
    async with open_world(config, sandboxes={}, hosts={"openai.test": server.serve}) as world:
        facts = world.gateway.providers["openai"].facts_of("gpt-4o")
        assert facts.context_tokens == 128_000, "the tables were read"
        yield world, server


async def test_another_target_is_preferred_to_what_a_table_says_is_unable(
    autojump_clock: MockClock,
) -> None:
    async with openai_world("gpt-3.5-turbo", "gpt-4o") as (world, _):
        answer = await world.ask(tools=[TOOL])
        assert answer.headers["x-forebay-target"] == "openai/gpt-4o"
        assert (await world.ask()).headers["x-forebay-target"] == "openai/gpt-3.5-turbo"


@pytest.mark.parametrize(
    "asked", [{"tools": [TOOL]}, {"max_tokens": 5000}, {"reasoning_effort": "low"}]
)
async def test_where_there_is_no_other_its_provider_is_the_judge(
    asked: dict[str, object], autojump_clock: MockClock
) -> None:
    async with openai_world("gpt-3.5-turbo") as (world, server):
        assert (await world.ask(**asked)).status_code == 200  # type: ignore[arg-type]
        assert len(server.to("/v1/chat/completions")) == 1


async def test_what_a_model_reads_tables_have_right(autojump_clock: MockClock) -> None:
    async with openai_world("gpt-3.5-turbo") as (world, server):
        answer = await world.ask(messages=[{"role": "user", "content": [IMAGE]}])
        assert answer.status_code == 400
        assert "openai/gpt-3.5-turbo lacks vision" in answer.text
        assert not server.to("/v1/chat/completions")


async def test_what_a_client_asks_for_by_name_must_be_known(autojump_clock: MockClock) -> None:
    async with openai_world("gpt-3.5-turbo") as (world, _):
        answer = await world.ask(headers={"x-forebay-needs": "tools"})
        assert answer.status_code == 400
        assert "lacks tools" in answer.text


async def test_what_the_configuration_says_is_no_hearsay(autojump_clock: MockClock) -> None:
    lacking = {"gpt-3.5-turbo": {"lacks": ["tools"]}}
    async with openai_world("gpt-3.5-turbo", **lacking) as (world, _):
        assert (await world.ask(tools=[TOOL])).status_code == 400
