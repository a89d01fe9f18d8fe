"""Requests that are JSON and yet hostile, over every kind of provider: in memory, because the
way through the codecs is what matters here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spoken_errors import CHAT_PATHS, JSON_TYPES, error_message, request_of
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.protocol.jsontext import InvalidJson, JsonObject, JsonValue, dumps, loads_object

pytestmark = pytest.mark.usefixtures("no_errors_logged")

KINDS: dict[str, dict[str, object]] = {
    "openai": {"base_url": "http://up.test/v1", "api_key": "k"},
    "openai_compatible": {"base_url": "http://up.test/v1"},
    "anthropic": {"base_url": "http://up.test", "api_key": "k"},
    "ollama": {"hosts": ["http://up.test"]},
    "sandbox": {"base_url": "http://up.test"},
}


@asynccontextmanager
async def over(kind: str) -> AsyncIterator[World]:
    config: Mapping[str, object] = {
        "providers": {"up": {"kind": kind, **KINDS[kind]}},
        "models": {"fast": {"targets": ["up/sandbox-chat"]}},
        "wait": {"max_wait_ms": 1000},
    }
    async with open_world(config) as world:
        yield world
        assert await world.is_at_rest()
        assert world.gateway.providers["up"].out is None


async def assert_served_or_told(world: World, path: str, body: bytes) -> int:
    """200, or a 4xx in the dialect's shape; returns which."""
    answer = await world.client.post(GATEWAY + path, content=body)
    if answer.status_code != 200:
        assert 400 <= answer.status_code < 500, (path, body[:500], answer.text)
        assert answer.headers["x-request-id"] == answer.headers["request-id"]
        assert answer.headers["content-type"] == JSON_TYPES[CHAT_PATHS[path]]
        error_message(CHAT_PATHS[path], answer.json(), is_whole=True)
    return answer.status_code


# Depth.


def objects(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def lists(depth: int) -> str:
    return "[" * depth + "]" * depth


def tool_results(depth: int) -> str:
    inner = '{"type":"text","text":"x"}'
    for _ in range(depth):
        inner = '{"type":"tool_result","tool_use_id":"a","content":[' + inner + "]}"
    return inner


_FUNCTION: JsonValue = {"type": "function", "function": {"name": "f", "parameters": "@objects@"}}
_EVERYWHERE: list[JsonObject] = [
    {"unknown": "@objects@"},
    {"unknown": "@lists@"},
    {"format": "@objects@"},
    {"metadata": "@objects@"},
    {"options": "@objects@"},
    {"messages": "@lists@"},
]
_PLACES: list[tuple[str, JsonObject]] = [
    ("/v1/chat/completions", {"tools": [_FUNCTION]}),
    ("/api/chat", {"tools": [_FUNCTION]}),
    ("/v1/messages", {"tools": [{"name": "f", "input_schema": "@objects@"}]}),
    (
        "/v1/messages",
        {"output_config": {"format": {"type": "json_schema", "schema": "@objects@"}}},
    ),
    (
        "/v1/chat/completions",
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": "@objects@"},
            }
        },
    ),
    (
        "/v1/messages",
        {
            "messages": [
                {"role": "user", "content": "x"},
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "a", "name": "f", "input": "@objects@"}],
                },
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "a", "content": "r"}],
                },
            ]
        },
    ),
    ("/v1/messages", {"messages": [{"role": "user", "content": ["@results@"]}]}),
    (
        "/v1/chat/completions",
        {
            "messages": [
                {"role": "user", "content": "x"},
                {
                    "role": "assistant",
                    "tool_calls": [
                        {
                            "id": "a",
                            "type": "function",
                            "function": {"name": "f", "arguments": "@quoted@"},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "a", "content": "r"},
            ]
        },
    ),
    (
        "/api/chat",
        {
            "messages": [
                {"role": "user", "content": "x"},
                {
                    "role": "assistant",
                    "tool_calls": [{"function": {"name": "f", "arguments": "@objects@"}}],
                },
                {"role": "tool", "content": "r"},
            ]
        },
    ),
]


def deep_request(path: str, fields: JsonObject, depth: int) -> bytes:
    """The request with its markers replaced by JSON that is too deep to be written otherwise."""
    text = dumps(request_of(path, **fields))
    for marker, json in (
        (b'"@objects@"', objects(depth)),
        (b'"@lists@"', lists(depth)),
        (b'"@quoted@"', dumps(objects(depth)).decode()),
        (b'"@results@"', tool_results(depth // 2)),
    ):
        text = text.replace(marker, json.encode())
    return text


@pytest.mark.parametrize("kind", KINDS)
async def test_deeply_nested_json_is_served_or_a_400(kind: str, autojump_clock: MockClock) -> None:
    """Over 254 levels can't be written again, over 1024 not even read; Python's own stack ends
    somewhere between."""
    async with over(kind) as world:
        for depth in (240, 300, 900, 1010, 1100):
            everywhere = [(path, fields) for path in CHAT_PATHS for fields in _EVERYWHERE]
            for path, fields in everywhere + _PLACES:
                body = deep_request(path, fields, depth)
                status = await assert_served_or_told(world, path, body)
                assert status == 400 or depth < 1024 or "@quoted@" in str(fields)
        assert (await world.ask()).status_code == 200


async def test_what_passes_through_untouched_may_be_as_deep_as_can_be_read(
    autojump_clock: MockClock,
) -> None:
    async with over("sandbox") as world:
        for path in CHAT_PATHS:
            body = deep_request(path, {"unknown": "@objects@"}, 900)
            assert await assert_served_or_told(world, path, body) == 200


async def test_where_pythons_stack_ends_makes_no_difference(autojump_clock: MockClock) -> None:
    """Each step with the request stands on another depth of the stack: whichever comes upon its
    end first, the client gets a 400."""
    fields: JsonObject = {"messages": [{"role": "user", "content": ["@results@"]}]}
    async with over("openai_compatible") as world:

        async def said_too_deep(depth: int) -> bool:
            body = deep_request("/v1/messages", fields, depth)
            answer = await world.client.post(f"{GATEWAY}/v1/messages", content=body)
            assert answer.status_code == 400
            return "too deeply" in answer.text

        fits, too_deep = 2, 1000
        while too_deep - fits > 2:
            middle = (fits + too_deep) // 4 * 2
            fits, too_deep = (fits, middle) if await said_too_deep(middle) else (middle, too_deep)
        for depth in range(too_deep - 60, too_deep + 60, 2):
            await said_too_deep(depth)


async def test_a_request_that_can_not_be_passed_on_takes_nothing_from_the_limits(
    autojump_clock: MockClock,
) -> None:
    provider = {"limits": {"rpm": 1, "burst": 1}}
    async with open_world(provider=provider) as world:
        body = deep_request("/api/chat", {"format": "@objects@"}, 300)
        assert await assert_served_or_told(world, "/api/chat", body) == 400
        began = trio.current_time()
        assert (await world.ask()).status_code == 200
        assert trio.current_time() == began


# Anything at all.

_words = st.sampled_from(
    ["user", "assistant", "tool", "text", "image", "function", "auto", "none", "json_schema", "a"]
)
_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | _words
)
_KEYS = """
    type text image_url source data url content role name input id arguments function parameters
    tool_calls tool_use_id schema json_schema format images thinking budget_tokens
"""
_json = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_KEYS.split()) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
_FIELDS = """
    messages prompt system tools tool_choice functions stop max_tokens temperature top_p top_k n
    seed stream stream_options response_format reasoning_effort thinking think output_config options
    format images suffix context keep_alive metadata user logit_bias logprobs raw
    parallel_tool_calls service_tier stop_sequences
"""
_messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool", "developer"])},
        optional={
            "content": _json,
            "tool_calls": _json,
            "tool_call_id": _scalars,
            "images": _json,
            "thinking": _json,
            "name": _scalars,
        },
    ),
    max_size=4,
)


def in_a_world(kind: str, test: Callable[[World], Awaitable[None]]) -> None:
    """Run an async ``test`` of one example in a world of its own."""

    async def run() -> None:
        async with over(kind) as world:
            await test(world)

    trio.run(run, clock=MockClock(autojump_threshold=0))


_fast = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("path", CHAT_PATHS)
@_fast
@given(bodies=st.lists(st.binary(max_size=200), min_size=4, max_size=4))
def test_any_bytes_are_a_4xx_in_the_dialect(path: str, bodies: list[bytes]) -> None:
    async def post(world: World) -> None:
        for body in bodies:
            status = await assert_served_or_told(world, path, body)
            assert status == 400 or _is_object(body)

    in_a_world("openai_compatible", post)


def _is_object(body: bytes) -> bool:
    try:
        return bool(loads_object(body))
    except InvalidJson:
        return False


@pytest.mark.parametrize("kind", KINDS)
@_fast
@given(
    path=st.sampled_from(list(CHAT_PATHS)),
    fields=st.lists(
        st.dictionaries(st.sampled_from(_FIELDS.split()), _json, max_size=4), min_size=4, max_size=4
    ),
    messages=st.none() | _messages,
)
def test_any_values_in_known_fields_are_served_or_told(
    kind: str, path: str, fields: list[JsonObject], messages: list[JsonValue] | None
) -> None:
    async def post(world: World) -> None:
        for changed in fields:
            body = {**request_of(path), **changed}
            if messages is not None:
                body["messages"] = messages
            try:
                text = dumps(body)
            except InvalidJson:  # integers beyond what can be written
                continue
            await assert_served_or_told(world, path, text)

    in_a_world(kind, post)
