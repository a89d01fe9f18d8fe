"""Requests only go to targets whose models can serve them, and say so where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from random import Random

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imitation import Imitation, Received
from imitations.answering import openai_chat, whole
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.actors.config import parse_settings
from forebay.actors.jobs.chat_operation import ChatOperation
from forebay.actors.jobs.failures import JobFailure
from forebay.actors.jobs.job import Job
from forebay.actors.providers.provider import Provider
from forebay.actors.providers.sizes import measure
from forebay.actors.routing.ability import able_targets
from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.canonical.errors import ErrorKind
from forebay.protocol.canonical.needs_grammar import read_needs
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Image,
    InlineData,
    Reasoning,
    Role,
    Tool,
    Turn,
    user_turn,
)
from forebay.protocol.jsontext import JsonObject, loads_object

PNG = "iVBORw0KGgo="
DATA_URL = f"data:image/png;base64,{PNG}"
BLIND = {"lacks": ["vision", "tools"], "context_tokens": 8000, "max_output_tokens": 1000}
SEEING = {"capabilities": ["vision"], "lacks": ["thinking"], "context_tokens": 100_000}
LONG = "word " * 50_000
"""A quarter of a million bytes: 15,625 tokens at the very least."""


def provider(name: str, **facts: object) -> dict[str, object]:
    return {
        "kind": "sandbox",
        "base_url": f"http://{name}.test",
        "targets": {"sandbox-chat": facts},
    }


def config(**providers: Mapping[str, object]) -> dict[str, object]:
    return {
        "providers": {name: provider(name, **facts) for name, facts in providers.items()},
        "models": {"fast": {"targets": [f"{name}/sandbox-chat" for name in providers]}},
    }


def opened(settings: dict[str, object]) -> AbstractAsyncContextManager[World]:
    names = settings["providers"]
    assert isinstance(names, dict)
    return open_world(settings, sandboxes={name: SandboxOptions() for name in names})


async def post(world: World, path: str, body: JsonObject, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.client.post(f"{GATEWAY}{path}", json=body, headers=named)


def with_image(path: str) -> JsonObject:
    if path == "/v1/messages":
        source: JsonObject = {"type": "base64", "media_type": "image/png", "data": PNG}
        content: list[object] = [{"type": "image", "source": source}]
        return {
            "model": "fast",
            "max_tokens": 100,
            "messages": [{"role": "user", "content": content}],  # type: ignore[dict-item]
        }
    if path == "/api/chat":
        return {
            "model": "fast",
            "stream": False,
            "messages": [{"role": "user", "content": "what?", "images": [PNG]}],
        }
    return {
        "model": "fast",
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": DATA_URL}}]}
        ],
    }


EACH_DIALECT = pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/messages", "/api/chat"]
)


def message_of(answer: httpx.Response) -> str:
    error = answer.json()["error"]
    return str(error if isinstance(error, str) else error["message"])


@EACH_DIALECT
async def test_a_target_that_lacks_a_capability_is_passed_over(
    path: str, autojump_clock: MockClock
) -> None:
    async with opened(config(blind=BLIND, seeing=SEEING)) as world:
        answer = await post(world, path, with_image(path))
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-forebay-target"] == "seeing/sandbox-chat"
        plain = await world.ask()
        assert plain.headers["x-forebay-target"] == "blind/sandbox-chat"


@EACH_DIALECT
async def test_where_none_is_left_the_client_hears_who_lacks_what(
    path: str, autojump_clock: MockClock
) -> None:
    async with opened(config(blind=BLIND, seeing={"lacks": ["vision"]})) as world:
        answer = await post(world, path, with_image(path))
        assert answer.status_code == 400, answer.text
        message = message_of(answer)
        assert "blind/sandbox-chat lacks vision" in message
        assert "seeing/sandbox-chat lacks vision" in message
        assert "'auto:vision'" in message
        if path == "/v1/chat/completions":
            error = answer.json()["error"]
            assert (error["code"], error["param"]) == ("model_lacks_capability", "model")
        assert world.gateway.in_flight == 0
        assert all(box.statistics().received == 0 for box in world.sandboxes.values())


async def test_what_nobody_says_a_target_lacks_is_left_to_its_provider(
    autojump_clock: MockClock,
) -> None:
    async with opened(config(unknown={}, seeing=SEEING)) as world:
        answer = await post(world, "/v1/chat/completions", with_image("/v1/chat/completions"))
        assert answer.headers["x-forebay-target"] == "unknown/sandbox-chat"


async def test_a_prompt_goes_where_it_fits(autojump_clock: MockClock) -> None:
    async with opened(config(blind=BLIND, seeing=SEEING)) as world:
        answer = await world.ask(LONG)
        assert answer.headers["x-forebay-target"] == "seeing/sandbox-chat"


async def test_a_prompt_that_fits_nowhere_is_told_as_each_dialect_tells_it(
    autojump_clock: MockClock,
) -> None:
    """Agents compact their conversation when they read these words."""
    async with opened(config(blind=BLIND)) as world:
        said: JsonObject = {"role": "user", "content": LONG}
        body: JsonObject = {"model": "fast", "max_tokens": 10, "messages": [said]}
        by_openai = await post(world, "/v1/chat/completions", body)
        assert by_openai.status_code == 400
        assert by_openai.json()["error"]["code"] == "context_length_exceeded"
        by_anthropic = await post(world, "/v1/messages", body)
        assert by_anthropic.status_code == 400
        least = measure(ChatRequest(model="m", turns=(user_turn(LONG),))).least_tokens
        assert message_of(by_anthropic) == f"prompt is too long: {least} tokens > 8000 maximum"
        by_ollama = await post(world, "/api/chat", {"model": "fast", "messages": [said]})
        assert by_ollama.status_code == 400
        assert "8000" in message_of(by_ollama)
        responses = await post(world, "/v1/responses", {"model": "fast", "input": LONG})
        assert responses.json()["error"]["code"] == "context_length_exceeded"
        shortened = await post(
            world, "/v1/responses", {"model": "fast", "input": LONG, "truncation": "auto"}
        )
        assert shortened.status_code == 200, "its server leaves out what is too much"


async def test_a_prompt_that_may_just_fit_is_not_refused(autojump_clock: MockClock) -> None:
    """By the first estimate, three bytes to a token, it has 40,000 tokens of 8,000."""
    async with opened(config(blind=BLIND)) as world:
        assert (await world.ask("x" * 120_000)).status_code == 200


async def test_an_answer_longer_than_the_model_gives_goes_elsewhere(
    autojump_clock: MockClock,
) -> None:
    async with opened(config(blind=BLIND, seeing=SEEING)) as world:
        answer = await world.ask(max_tokens=1001)
        assert answer.headers["x-forebay-target"] == "seeing/sandbox-chat"
        assert (await world.ask(max_tokens=1000)).headers["x-forebay-target"].startswith("blind")
        nowhere = await world.ask(max_tokens=100_001)
        assert nowhere.status_code == 400
        assert "answers with 1000 tokens at most" in message_of(nowhere)


async def test_servers_that_shorten_answers_may_be_asked_for_longer_ones(
    autojump_clock: MockClock,
) -> None:
    settings = config(up=BLIND)
    settings["providers"] = {
        "up": {
            **provider("up", max_output_tokens=10),
            "kind": "openai_compatible",
            "base_url": "http://up.test/v1",
        }
    }
    async with opened(settings) as world:
        assert (await world.ask(max_tokens=1000)).status_code == 200


async def test_the_header_narrows_the_targets_of_a_model(autojump_clock: MockClock) -> None:
    async with opened(config(blind=BLIND, seeing=SEEING)) as world:
        for needs in ("vision", "ctx>=50k", "out>=2000, Tools"):
            answer = await world.ask(headers={"x-forebay-needs": needs})
            assert answer.headers["x-forebay-target"] == "seeing/sandbox-chat", needs
        nowhere = await world.ask(headers={"x-forebay-needs": "vision,thinking"})
        assert nowhere.status_code == 400
        assert "seeing/sandbox-chat lacks thinking" in message_of(nowhere)
        far = await world.ask(headers={"x-forebay-needs": "ctx>=1m"})
        assert far.json()["error"]["code"] == "model_lacks_capability"
        assert "takes 100000 tokens, not 1000000 or more" in message_of(far)


@EACH_DIALECT
async def test_a_header_that_cant_be_read_names_the_part_and_the_words(
    path: str, autojump_clock: MockClock
) -> None:
    async with opened(config(seeing=SEEING)) as world:
        answer = await post(world, path, with_image(path), x_forebay_needs="vision,speed")
        assert answer.status_code == 400
        assert "x-forebay-needs" in message_of(answer)
        assert "'speed'" in message_of(answer)
        assert "parallel_tools" in message_of(answer)


async def test_embeddings_are_not_asked_of_models_that_only_chat(
    autojump_clock: MockClock,
) -> None:
    settings = config(chats={"lacks": ["embedding"]}, embeds={"lacks": ["chat"]})
    async with opened(settings) as world:
        answer = await post(world, "/v1/embeddings", {"model": "fast", "input": "hi"})
        assert answer.headers["x-forebay-target"] == "embeds/sandbox-chat"
        assert (await world.ask()).headers["x-forebay-target"] == "chats/sandbox-chat"


async def test_a_listing_tells_what_models_lack(autojump_clock: MockClock) -> None:
    def chat(request: Received) -> object:
        return openai_chat(loads_object(request.body))  # type: ignore[arg-type]

    entries = [
        {
            "id": f"maker/{name}",
            "context_length": 8192,
            "architecture": {"input_modalities": modalities, "output_modalities": ["text"]},
            "supported_parameters": ["max_tokens"],
        }
        for name, modalities in (("blind", ["text"]), ("seeing", ["text", "image"]))
    ]
    router = Imitation(
        {
            "GET /api/v1/models": whole({"data": entries}),
            "POST /api/v1/chat/completions": chat,  # type: ignore[dict-item]
        }
    )
    settings: dict[str, object] = {
        "providers": {
            "router": {
                "kind": "openrouter",
                "base_url": "http://router.test/api/v1",
                "api_key": "key",
            }
        },
        "models": {"fast": {"targets": ["router/maker/blind", "router/maker/seeing"]}},
    }
    async with open_world(settings, sandboxes={}, hosts={"router.test": router.serve}) as world:
        await world.gateway.providers["router"].listing.first_try()
        seen = await post(world, "/v1/chat/completions", with_image("/v1/chat/completions"))
        assert seen.status_code == 200, seen.text
        assert seen.headers["x-forebay-target"] == "router/maker/seeing"
        outright = with_image("/v1/chat/completions") | {"model": "router/maker/blind"}
        assert "router/maker/blind lacks vision" in message_of(
            await post(world, "/v1/chat/completions", outright)
        )


async def test_a_prompt_that_its_target_finds_too_long_is_put_to_the_next(
    autojump_clock: MockClock,
) -> None:
    """Between what surely doesn't fit and what may, only the provider can tell."""
    refused: JsonObject = {
        "error": {
            "message": "This model's maximum context length is 8000 tokens.",
            "code": "context_length_exceeded",
            "type": "invalid_request_error",
        }
    }
    small = Imitation({"POST /v1/chat/completions": whole(refused, 400)})
    async with open_world(
        config(small={}, seeing=SEEING),
        sandboxes={"seeing": SandboxOptions()},
        hosts={"small.test": small.serve},
    ) as world:
        answer = await world.ask()
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-forebay-target"] == "seeing/sandbox-chat"
        assert answer.headers["x-forebay-attempts"] == "2"


@given(st.text(max_size=300), st.integers(1, 40))
def test_no_text_has_fewer_tokens_than_the_least(text: str, repeats: int) -> None:
    """Even what packs most tightly, a long word of the vocabulary for every run of characters."""
    request = ChatRequest(model="m", turns=(user_turn(text * repeats),))
    size = measure(request)
    assert size.least_tokens * 16 <= len((text * repeats).encode("utf-8", "surrogatepass"))


async def test_weights_are_those_of_the_targets_that_are_left(autojump_clock: MockClock) -> None:
    settings = config(blind=BLIND, seeing={}, other={})
    settings["models"] = {
        "fast": {
            "targets": [f"{name}/sandbox-chat" for name in ("blind", "seeing", "other")],
            "strategy": "weighted",
            "weights": [70, 20, 10],
        }
    }
    async with opened(settings) as world:
        served: list[str] = []
        for _ in range(30):
            answer = await world.ask(headers={"x-forebay-needs": "vision"})
            served.append(answer.headers["x-forebay-target"].partition("/")[0])
        assert [served.count(name) for name in ("blind", "seeing", "other")] == [0, 20, 10]


@pytest.mark.parametrize("strategy", ["ordered", "balanced", "cheapest", "fastest"])
async def test_every_strategy_chooses_among_those_that_are_able(
    strategy: str, autojump_clock: MockClock
) -> None:
    free = {"price": {"input": 0}}
    settings = config(blind={**BLIND, **free}, seeing={**SEEING, "price": {"input": 5}})
    models = settings["models"]
    assert isinstance(models, dict)
    models["fast"]["strategy"] = strategy
    async with opened(settings) as world:
        for _ in range(5):
            answer = await world.ask(headers={"x-forebay-needs": "vision"})
            assert answer.headers["x-forebay-target"] == "seeing/sandbox-chat"


KNOWN = st.fixed_dictionaries(
    {},
    optional={
        "capabilities": st.just(["chat"]),
        "lacks": st.lists(st.sampled_from(["vision", "tools", "thinking"]), unique=True),
        "context_tokens": st.sampled_from([1000, 20_000]),
        "max_output_tokens": st.sampled_from([100, 2000]),
    },
)


@given(
    known=st.lists(KNOWN, min_size=1, max_size=5),
    asked=st.frozensets(st.sampled_from(["vision", "tools", "thinking"])),
    text=st.sampled_from([10, 100_000]),
    longest=st.sampled_from([None, 500]),
    needs=st.sampled_from(["chat", "vision", "ctx>=5k", "out>=1k"]),
)
def test_no_able_target_is_left_out_and_no_unable_one_is_chosen(
    known: list[dict[str, object]],
    asked: frozenset[str],
    text: int,
    longest: int | None,
    needs: str,
) -> None:
    parsed = parse_settings(
        {"providers": {f"p{n}": provider(f"p{n}", **each) for n, each in enumerate(known)}}
    )
    targets = tuple(
        Provider(name, each, httpx.AsyncBaseTransport(), Random(1)).target("sandbox-chat")
        for name, each in parsed.providers.items()
    )
    request = ChatRequest(
        model="m",
        turns=(user_turn("x" * text),),
        tools=(Tool(name="t"),) if "tools" in asked else (),
        reasoning=Reasoning(enabled=True) if "thinking" in asked else None,
        max_output_tokens=longest,
    )
    if "vision" in asked:
        image = Image(source=InlineData(base64=PNG, media_type="image/png"))
        request = replace(request, turns=(*request.turns, Turn(role=Role.USER, parts=(image,))))
    job = Job(
        operation=ChatOperation(request), arrived_at=0.0, deadline=1.0, needs=read_needs(needs)
    )

    def is_able(said: dict[str, object]) -> bool:
        lacking = said.get("lacks", [])
        assert isinstance(lacking, list)
        context, output = (said.get(name) for name in ("context_tokens", "max_output_tokens"))
        wanted = asked | ({"vision"} if needs == "vision" else set())
        least_context = max(5000 if needs == "ctx>=5k" else 0, text // 16)
        least_output = max(1000 if needs == "out>=1k" else 0, longest or 0)
        return (
            wanted.isdisjoint(lacking)
            and (not isinstance(context, int) or context >= least_context)
            and (not isinstance(output, int) or output >= least_output)
        )

    expected = [target for target, said in zip(targets, known, strict=True) if is_able(said)]
    if expected:
        assert list(able_targets(job, targets, "m")) == expected
    else:
        with pytest.raises(JobFailure) as caught:
            able_targets(job, targets, "m")
        kind = caught.value.error.kind
        assert kind in (ErrorKind.BAD_REQUEST, ErrorKind.CONTEXT_OVERFLOW)
