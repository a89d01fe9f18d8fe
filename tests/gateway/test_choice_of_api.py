"""A target that has several APIs is asked in the one that loses least, and written to once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from worlds import GATEWAY, World, open_world

from forebay.actors.config import OnUnsupported
from forebay.actors.jobs.chat_operation import ChatOperation
from forebay.actors.jobs.job import Job
from forebay.actors.jobs.wordings import codecs_of
from forebay.actors.providers.provider import Target
from forebay.actors.routing.eligibility import eligible_targets
from forebay.endpoints.sandbox import SandboxModel, SandboxOptions
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Dialect,
    Image,
    InlineData,
    Role,
    Text,
    Turn,
    UrlSource,
    user_turn,
)
from forebay.protocol.dialects.anthropic import ANTHROPIC
from forebay.protocol.dialects.ollama import OLLAMA_CHAT, OLLAMA_GENERATE
from forebay.protocol.dialects.openai import OPENAI_CHAT, OPENAI_COMPLETIONS
from forebay.protocol.dialects.registry import CODECS
from forebay.protocol.jsontext import JsonObject

VERSION = {"anthropic-version": "2023-06-01"}
REJECT = {"x-forebay-on-unsupported": "reject"}
EVERYTHING: Mapping[str, object] = {"kind": "sandbox", "base_url": "http://up.test"}
OPENAI: Mapping[str, object] = {
    "kind": "openai",
    "base_url": "http://up.test/v1",
    "api_key": "k-secret",
}
OLLAMA: Mapping[str, object] = {"kind": "ollama", "hosts": ["http://up.test"]}
MARK: Mapping[Dialect, JsonObject] = {ANTHROPIC: {"cache_control": {"type": "ephemeral"}}}
LINKED = {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}}


def config(provider: Mapping[str, object], *models: str) -> dict[str, object]:
    targets = [f"up/{model}" for model in models or ("sandbox-chat",)]
    return {"providers": {"up": provider}, "models": {"fast": {"targets": targets}}}


def boxes(*models: str) -> dict[str, SandboxOptions]:
    made = tuple(map(SandboxModel, models or ("sandbox-chat",)))
    return {"up": SandboxOptions(models=made, keep_requests=20)}


def asked(*parts: Text | Image) -> ChatRequest:
    """As a program says it that embeds the gateway, in Anthropic's words."""
    turn = Turn(role=Role.USER, parts=(Text("hello"), *parts))
    return ChatRequest(model="fast", turns=(turn,), max_output_tokens=20, extras={ANTHROPIC: {}})


def paths(world: World) -> list[str]:
    """Of the requests that reached the sandbox."""
    return [one.path for one in world.sandbox.requests if one.method == "POST"]


def targets_of(world: World, *models: str) -> tuple[Target, ...]:
    return tuple(world.gateway.providers["up"].target(model) for model in models)


def job_of(request: ChatRequest, policy: OnUnsupported = OnUnsupported.DROP) -> Job[Any]:
    return Job(
        operation=ChatOperation(request), arrived_at=0.0, deadline=1.0, on_unsupported=policy
    )


async def post_messages(
    world: World, content: object, headers: Mapping[str, str], **fields: object
) -> httpx.Response:
    messages = [{"role": "user", "content": content}]
    return await world.client.post(
        f"{GATEWAY}/v1/messages",
        json={"model": "fast", "max_tokens": 20, "messages": messages, **fields},
        headers={**VERSION, **headers},
    )


@pytest.mark.parametrize("headers", [{}, REJECT])
async def test_what_the_best_api_refuses_goes_by_another(
    headers: Mapping[str, str], autojump_clock: MockClock
) -> None:
    """OpenAI's chats take no links to documents, its responses do."""
    async with open_world(config(OPENAI), sandboxes=boxes()) as world:
        answer = await post_messages(world, [{"type": "text", "text": "sum up"}, LINKED], headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["type"] == "message"
        assert "x-forebay-dropped" not in answer.headers
        await post_messages(world, "hello", headers)
        assert paths(world) == ["/v1/responses", "/v1/chat/completions"]


@pytest.mark.parametrize("policy", OnUnsupported)
async def test_the_api_that_loses_least_is_asked(
    policy: OnUnsupported, autojump_clock: MockClock
) -> None:
    async with open_world(
        {**config(EVERYTHING), "defaults": {"on_unsupported": policy}}, sandboxes=boxes()
    ) as world:
        for part in (Text("marked", MARK), Text("plain")):
            await world.gateway.chat(asked(part)).response()
        assert paths(world) == ["/v1/messages", "/v1/chat/completions"]


async def test_a_refusal_names_what_each_api_loses(autojump_clock: MockClock) -> None:
    async with open_world(config(OPENAI), sandboxes=boxes()) as world:
        answer = await post_messages(world, "hello", REJECT, top_k=3)
        assert answer.status_code == 400
        said = answer.json()["error"]["message"]
        assert "openai.chat can't say 'top_k'; openai.responses can't say 'top_k'" in said


async def test_among_equals_the_clients_own_api_comes_first_and_then_its_dialect(
    autojump_clock: MockClock,
) -> None:
    async with open_world(config(EVERYTHING), sandboxes=boxes()) as world:
        (target,) = targets_of(world, "sandbox-chat")
        apis = [codec.api for codec in codecs_of(target, CODECS, CODECS[OLLAMA_GENERATE])]
        assert apis[:3] == [OLLAMA_GENERATE, OLLAMA_CHAT, OPENAI_CHAT]
        assert codecs_of(target, CODECS)[0].api == OPENAI_CHAT


async def test_a_text_to_be_gone_on_with_is_a_chat_only_where_nothing_else_will_do(
    autojump_clock: MockClock,
) -> None:
    """However little a chat would lose of it."""
    ask = {"model": "fast", "prompt": "Once", "stream": False, "raw": True, "keep_alive": 1}
    async with open_world(
        config({**OPENAI, "kind": "openai_compatible"}), sandboxes=boxes()
    ) as world:
        answer = await world.client.post(f"{GATEWAY}/api/generate", json=ask)
        assert answer.status_code == 200
        assert answer.headers["x-forebay-dropped"] == "keep_alive"
        assert paths(world) == ["/v1/completions"]
        (target,) = targets_of(world, "sandbox-chat")
        request = CODECS[OPENAI_COMPLETIONS].decode_request({"model": "m", "prompt": "Once"})
        wordings = ChatOperation(request).wordings(target)
        assert [(each.api, each.roundabout) for each in wordings] == [
            (OPENAI_COMPLETIONS, False),
            (OPENAI_CHAT, True),
        ]


async def test_targets_that_are_told_the_same_share_what_is_written(
    autojump_clock: MockClock,
) -> None:
    """Written once, as soon as anything depends on it, and not again for a call."""
    models = ("one", "two")
    async with open_world(config(OPENAI, *models), sandboxes=boxes(*models)) as world:
        targets = targets_of(world, *models)
        chosen = eligible_targets(job_of(asked()), targets, "fast")
        assert list(chosen) == list(targets)
        one, two = chosen.values()
        assert one is two
        assert one.encode is not None
        assert one.encode() is one.encode()
        operation = ChatOperation(asked())
        bodies = [operation.prepare(each, chosen[each]).request.body for each in targets]
        assert [b'"one"' in bodies[0], b'"two"' in bodies[1]] == [True, True]
        assert bodies[0].replace(b'"one"', b'"two"') == bodies[1]


@pytest.mark.parametrize(
    "part",
    [
        Text("x" * 65 * 1024),
        Image(source=InlineData(base64="AAAA", media_type="image/png")),
    ],
    ids=["long", "image"],
)
async def test_what_is_large_waits_only_once(part: Text | Image, autojump_clock: MockClock) -> None:
    """As it was read, and not as it is to be written as well."""
    async with open_world(config(OPENAI), sandboxes=boxes()) as world:
        targets = targets_of(world, "sandbox-chat")
        (wording,) = eligible_targets(job_of(asked(part)), targets, "fast").values()
        assert wording.encode is not None
        assert wording.encode() is not wording.encode()


async def test_what_the_only_target_can_not_be_told_is_refused_before_any_wait(
    autojump_clock: MockClock,
) -> None:
    provider = {**OLLAMA, "limits": {"concurrency": 1}}
    async with open_world(config(provider), sandboxes=boxes()) as world:
        world.sandbox.change_options(world.sandbox.options.changed({"latency_ms": 60_000}))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.ask)
            await wait_all_tasks_blocked()
            began = trio.current_time()
            refused = await world.ask(n=2)
            assert (refused.status_code, trio.current_time()) == (400, began)
            assert refused.headers["x-forebay-attempts"] == "0"
        assert await world.is_at_rest()


async def test_a_link_that_one_api_of_a_target_follows_is_not_fetched(
    autojump_clock: MockClock,
) -> None:
    async with open_world(config(EVERYTHING), sandboxes=boxes()) as world:
        (target,) = targets_of(world, "sandbox-chat")
        link = asked(Image(source=UrlSource("http://x.test/a.png")))
        assert ChatOperation(link).unfollowed_links(target) == ()
        assert (
            ChatOperation(ChatRequest(model="m", turns=(user_turn("a"),))).unfollowed_links(target)
            == ()
        )
