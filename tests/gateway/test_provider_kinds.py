"""Every kind of provider through the whole gateway, against an imitation of its real API."""

from __future__ import annotations

import base64
import json
import struct
from urllib.parse import urlsplit

import pytest
from imitation import Received
from imitations.answering import ARGUMENTS, OUTPUT_TOKENS, PROMPT_TOKENS, SENTENCE, VECTORS
from imitations.asking import (
    OWN_PATHS,
    asking,
    called,
    called_in_stream,
    each_client,
    each_kind,
    frames,
    post,
    said,
    streamed,
    that,
    tools_for,
    world_of,
)
from imitations.kinds import HOST
from imitations.tables import TABLES
from trio.testing import MockClock
from worlds import GATEWAY

from forebay.protocol.providers import PROFILES


def test_every_kind_has_a_table() -> None:
    assert {kind.kind for kind in TABLES.values()} == PROFILES.keys() - {"sandbox"}


@each_kind
def test_the_address_is_the_one_in_the_providers_documents(name: str) -> None:
    kind = TABLES[name]
    if kind.address is not None:
        assert PROFILES[kind.kind].default_base_url == kind.address


@each_kind
async def test_the_listing_is_read(name: str, autojump_clock: MockClock) -> None:
    async with world_of(name) as (world, _, kind):
        models = await world.client.get(f"{GATEWAY}/v1/models")
        await world.gateway.providers["up"].refresh_listing()
        listed = world.gateway.providers["up"].listing.models
        assert tuple(listed.values()) == kind.listed
        (provider,) = (await world.gateway.status()).providers
        assert provider.listing == f"{len(kind.listed)} models"
        assert models.status_code == 200


@that(told_slots=True)
async def test_slots_that_a_server_tells_are_not_exceeded(
    name: str, autojump_clock: MockClock
) -> None:
    async with world_of(name) as (world, _, kind):
        await world.gateway.providers["up"].refresh_listing()
        await post(world, "/v1/chat/completions", asking("/v1/chat/completions"))
        (provider,) = (await world.gateway.status()).providers
        (gate,) = [
            gate
            for target in provider.targets
            for name, gate in target.gates.items()
            if name == "up: slots (told)"
        ]
        assert gate["limit"] == kind.told_slots


@each_kind
@each_client
async def test_a_chat_is_answered(name: str, path: str, autojump_clock: MockClock) -> None:
    async with world_of(name) as (world, server, kind):
        body = asking(path)
        answer = await post(world, path, body)
        assert answer.status_code == 200, answer.text
        assert said(path, answer.json()) == SENTENCE
        (call,) = server.calls
        own = [whole for whole in kind.apis if whole.endswith(OWN_PATHS[path])]
        if own:
            assert call.path in own, "the client's own API is preferred"
            assert call.body == body.replace(b'"fast"', json.dumps(kind.model).encode())


@each_kind
@each_client
async def test_a_chat_is_streamed(name: str, path: str, autojump_clock: MockClock) -> None:
    async with world_of(name) as (world, server, kind):
        answer = await post(world, path, asking(path, stream=True))
        assert answer.status_code == 200, answer.text
        (call,) = server.calls
        if call.path.endswith(OWN_PATHS[path]):
            sent = kind.apis[call.path](json.loads(call.body)).body
            assert isinstance(sent, tuple)
            assert answer.content == b"".join(sent), "bytes pass"
        events = frames(answer.text)
        assert streamed(path, events) == SENTENCE
        if path == "/v1/messages":
            assert events[-1] == {"type": "message_stop"}
        if path == "/api/chat":
            assert events[-1]["done_reason"] == "stop"


@each_kind
async def test_streams_tell_what_was_used_to_whoever_asks(
    name: str, autojump_clock: MockClock
) -> None:
    async with world_of(name) as (world, _, _kind):
        options = {"include_usage": True}
        body = asking("/v1/chat/completions", stream=True, stream_options=options)
        answer = await post(world, "/v1/chat/completions", body)
        (usage,) = [event["usage"] for event in frames(answer.text) if event.get("usage")]
        assert isinstance(usage, dict)
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (
            PROMPT_TOKENS,
            OUTPUT_TOKENS,
        )


@each_kind
@each_client
@pytest.mark.parametrize("tools", [("weather",), ("weather", "time")], ids=["one", "parallel"])
async def test_tools_are_called(
    name: str, path: str, tools: tuple[str, ...], autojump_clock: MockClock
) -> None:
    async with world_of(name) as (world, _, _kind):
        answer = await post(world, path, asking(path, tools=tools_for(path, *tools)))
        assert answer.status_code == 200, answer.text
        assert called(path, answer.json()) == [(tool, ARGUMENTS) for tool in tools]


@each_kind
@each_client
@pytest.mark.parametrize("tools", [("weather",), ("weather", "time")], ids=["one", "parallel"])
async def test_tools_are_called_in_streams(
    name: str, path: str, tools: tuple[str, ...], autojump_clock: MockClock
) -> None:
    async with world_of(name) as (world, _, _kind):
        body = asking(path, tools=tools_for(path, *tools), stream=True)
        answer = await post(world, path, body)
        assert answer.status_code == 200, answer.text
        calls = called_in_stream(path, frames(answer.text))
        assert calls == [(tool, ARGUMENTS) for tool in tools]


@each_kind
async def test_a_response_is_answered(name: str, autojump_clock: MockClock) -> None:
    async with world_of(name) as (world, server, kind):
        body = json.dumps({"model": "fast", "input": "hello"}).encode()
        answer = await post(world, "/v1/responses", body)
        assert answer.status_code == 200, answer.text
        (item,) = answer.json()["output"]
        assert item["content"][0]["text"] == SENTENCE
        own = [path for path in kind.apis if path.endswith("/responses")]
        assert not own or [call.path for call in server.calls] == own


@each_kind
async def test_a_response_is_streamed(name: str, autojump_clock: MockClock) -> None:
    async with world_of(name) as (world, _, _kind):
        body = json.dumps({"model": "fast", "input": "hello", "stream": True}).encode()
        answer = await post(world, "/v1/responses", body)
        assert answer.status_code == 200, answer.text
        events = frames(answer.text)
        deltas = [each for each in events if each["type"] == "response.output_text.delta"]
        assert "".join(each["delta"] for each in deltas) == SENTENCE
        assert events[-1]["type"] == "response.completed"
        assert [each["sequence_number"] for each in events] == [*range(len(events))]


@each_kind
async def test_results_of_another_providers_calls_go_along_in_its_own_api(
    name: str, autojump_clock: MockClock
) -> None:
    async with world_of(name) as (world, server, kind):
        path = "/v1/chat/completions"
        function = {"name": "weather", "arguments": json.dumps(ARGUMENTS)}
        ids = ("call_one_of_another_provider", "abcDEF123")
        turns = [
            {"role": "user", "content": "hello"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": i, "type": "function", "function": function} for i in ids],
            },
            *({"role": "tool", "tool_call_id": i, "content": "rain"} for i in ids),
        ]
        answer = await post(
            world, path, asking(path, messages=turns, tools=tools_for(path, "weather"))
        )
        assert answer.status_code == 200, answer.text
        assert said(path, answer.json()) == SENTENCE
        (call,) = server.calls
        if call.path.endswith("/chat/completions"):
            messages = json.loads(call.body)["messages"]
            sent = [each["id"] for each in messages[1]["tool_calls"]]
            assert sent == [each["tool_call_id"] for each in messages[2:]]
            assert sent[1] == ids[1]
            assert (sent[0] == ids[0]) is (kind.wrong_tool_id(ids[0]) is None)


@each_kind
async def test_results_of_tools_go_back(name: str, autojump_clock: MockClock) -> None:
    async with world_of(name) as (world, _, _kind):
        path = "/v1/messages"
        call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": ARGUMENTS}
        result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}
        turns = [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ]
        answer = await post(
            world, path, asking(path, messages=turns, tools=tools_for(path, "weather"))
        )
        assert said(path, answer.json()) == SENTENCE


@that(embeddings=True)
@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_embeddings_are_made(name: str, encoding: str, autojump_clock: MockClock) -> None:
    async with world_of(name) as (world, server, kind):
        body = {"model": "vectors", "input": ["one", "two"], "encoding_format": encoding}
        answer = await post(world, "/v1/embeddings", json.dumps(body).encode())
        assert answer.status_code == 200, answer.text
        vectors = [item["embedding"] for item in answer.json()["data"]]
        if encoding == "base64":
            vectors = [struct.unpack("<3f", base64.b64decode(vector)) for vector in vectors]
        assert [tuple(vector) for vector in vectors] == list(VECTORS)
        assert kind.embeddings is not None
        assert [call.path for call in server.calls] == [kind.embeddings[0]]


@that(embeddings=False)
async def test_where_there_are_no_embeddings_the_client_is_told(
    name: str, autojump_clock: MockClock
) -> None:
    async with world_of(name) as (world, _, _kind):
        body = {"model": "vectors", "input": ["one"]}
        answer = await post(world, "/v1/embeddings", json.dumps(body).encode())
        assert 400 <= answer.status_code < 500


FOREIGN: dict[str, object] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "seed": 7,
    "user": "somebody",
    "frequency_penalty": 0.1,
    "max_completion_tokens": 50,
    "stream": True,
    "stream_options": {"include_usage": True},
    "parallel_tool_calls": True,
    "reasoning_effort": "low",
    "logit_bias": {"50256": -100},
    "store": False,
    "x_unknown": 1,
}
"""What clients of OpenAI's send to whoever speaks its API."""


@that(known_fields=True)
async def test_fields_that_the_provider_refuses_are_left_out_and_named(
    name: str, autojump_clock: MockClock
) -> None:
    async with world_of(name) as (world, server, kind):
        messages = [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "hi", "reasoning_content": "they greet"},
            {"role": "user", "content": "and?"},
        ]
        path = "/v1/chat/completions"
        answer = await post(world, path, asking(path, messages=messages, **FOREIGN))
        assert answer.status_code == 200, answer.text
        assert streamed(path, frames(answer.text)) == SENTENCE
        sent = json.loads(server.calls[-1].body)
        assert kind.known_fields is not None
        assert sent.keys() <= kind.known_fields
        assert sent["temperature"] == 0.5
        assert 50 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
        dropped = set(answer.headers["x-forebay-dropped"].replace(" ", "").split(","))
        assert {"x_unknown", "logit_bias", "store"} <= dropped
        assert dropped.isdisjoint(kind.known_fields | {"max_completion_tokens", "stream_options"})


@each_kind
async def test_the_free_probe_is_answered(name: str, autojump_clock: MockClock) -> None:
    async with world_of(name) as (world, server, kind):
        profile = PROFILES[kind.kind]
        url = profile.probe_url(kind.configured_at)
        assert url is not None
        assert profile.probe is not None
        assert url.startswith(HOST)
        provider = world.gateway.providers["up"]
        answered = await world.client.get(url, headers=dict(provider.headers))
        assert answered.status_code == 200
        if kind.credential is not None:
            refused = await world.client.get(url, headers={kind.credential[0]: "wrong"})
            assert refused.status_code >= 400 or not profile.probe.checks_key
        assert all(isinstance(request, Received) for request in server.requests)
        assert not server.calls, "nothing that costs"


@each_kind
def test_paths_beside_the_base_url_are_found_from_any_usual_base_url(name: str) -> None:
    kind = TABLES[name]
    profile = PROFILES[kind.kind]
    for api, path in profile.paths.items():
        whole = urlsplit(profile.base_of(kind.configured_at, api) + path).path
        if api in profile.bases and whole not in kind.apis:
            assert api == "openai.completions"
            assert whole == "/beta/completions"
