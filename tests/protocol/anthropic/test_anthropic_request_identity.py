"""An Anthropic request that goes to an Anthropic upstream says what it said before."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.protocol.dialects.anthropic import AnthropicMessagesCodec
from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps, loads

CODEC = AnthropicMessagesCodec()

names = st.text("abcXYZ_-09", min_size=1, max_size=8)
said = st.text(min_size=1, max_size=8).map(lambda text: f"{text}.")
scalars: st.SearchStrategy[JsonValue] = (
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | said
)
values: st.SearchStrategy[JsonValue] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2).map(lambda found: [*found]), max_leaves=3
)
json_objects: st.SearchStrategy[JsonObject] = st.dictionaries(names, values, max_size=3)


def objects(
    required: dict[str, st.SearchStrategy[JsonValue]],
    optional: dict[str, st.SearchStrategy[JsonValue]] | None = None,
) -> st.SearchStrategy[JsonValue]:
    return st.fixed_dictionaries(dict(required), optional=dict(optional or {}))


def only(value: JsonValue) -> st.SearchStrategy[JsonValue]:
    return st.just(value)


def listed(
    values: st.SearchStrategy[JsonValue], least: int = 0, most: int = 3
) -> st.SearchStrategy[JsonValue]:
    return st.lists(values, min_size=least, max_size=most).map(lambda found: [*found])


cache: dict[str, st.SearchStrategy[JsonValue]] = {"cache_control": only({"type": "ephemeral"})}
texts = objects({"type": only("text"), "text": said}, {**cache, "citations": only([])})
images = objects(
    {
        "type": only("image"),
        "source": st.sampled_from(
            [
                {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
                {"type": "url", "url": "https://example.com/a.png"},
                {"type": "file", "file_id": "file_1"},
            ]
        ),
    },
    {**cache, "transformations": only({"oversized_image": "error"})},
)
documents = objects(
    {
        "type": only("document"),
        "source": st.sampled_from(
            [
                {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"},
                {"type": "text", "media_type": "text/plain", "data": "abc"},
                {"type": "content", "content": "abc"},
                {"type": "url", "url": "https://example.com/a.pdf"},
                {"type": "file", "file_id": "file_2", "page": 3},
            ]
        ),
    },
    {**cache, "title": said, "context": said, "citations": only({"enabled": True})},
)
searches = objects(
    {
        "type": only("search_result"),
        "source": said,
        "title": said,
        "content": listed(texts, most=2),
    }
)
thoughts = st.one_of(
    objects({"type": only("thinking"), "thinking": said, "signature": said}),
    objects({"type": only("redacted_thinking"), "data": said}),
)
server_calls = objects(
    {"type": only("server_tool_use"), "id": names, "name": said, "input": json_objects}
)


@st.composite
def exchanges(draw: st.DrawFn, number: int) -> list[JsonObject]:
    """An assistant's message and the user's next, which answers its calls."""
    ids = [f"toolu_{number}_{at}" for at in range(draw(st.integers(0, 2)))]
    assistant = draw(st.lists(thoughts, max_size=1)) + draw(
        st.lists(texts | server_calls, min_size=1, max_size=2)
    )
    user: list[JsonValue] = []
    for name in ids:
        assistant.append(
            draw(
                objects(
                    {
                        "type": only("tool_use"),
                        "id": only(name),
                        "name": names,
                        "input": json_objects,
                    },
                    cache,
                )
            )
        )
        user.append(
            draw(
                objects(
                    {"type": only("tool_result"), "tool_use_id": only(name)},
                    {
                        **cache,
                        "content": said
                        | listed(texts | images | documents | searches, least=1, most=2),
                        "is_error": st.booleans(),
                    },
                )
            )
        )
    user += draw(st.lists(texts | images | documents | searches, min_size=1, max_size=2))
    written: list[JsonObject] = [
        {"role": "assistant", "content": [*assistant]},
        {"role": "user", "content": user},
    ]
    if draw(st.booleans()):
        written.append({"role": "system", "content": [*draw(st.lists(texts, min_size=1))]})
    return written


@st.composite
def conversations(draw: st.DrawFn) -> JsonValue:
    first = draw(said | listed(texts | images | documents, least=1))
    messages: list[JsonValue] = [{"role": "user", "content": first}]
    for number in range(draw(st.integers(0, 2))):
        messages += draw(exchanges(number))
    return messages


tools = st.one_of(
    objects(
        {"name": names, "input_schema": json_objects.map(lambda x: {"type": "object", **x})},
        {**cache, "type": only("custom"), "description": said, "strict": st.booleans()},
    ),
    objects({"type": only("web_search_20260318"), "name": only("web_search")}),
)
choices = st.one_of(
    objects(
        {"type": st.sampled_from(["auto", "any"])}, {"disable_parallel_tool_use": st.booleans()}
    ),
    objects({"type": only("tool"), "name": names}, {"disable_parallel_tool_use": st.booleans()}),
    only({"type": "none"}),
)
efforts = objects(
    {},
    {
        "effort": st.sampled_from(["low", "medium", "high", "xhigh", "max"]),
        "format": only({"type": "json_schema", "schema": {"type": "object"}}),
        "task_budget": only({"type": "tokens", "total": 9}),
    },
)
common: dict[str, st.SearchStrategy[JsonValue]] = {
    "system": said | listed(texts, least=1),
    "stop_sequences": listed(said),
    "metadata": objects({}, {"user_id": said, "other": said}),
    "service_tier": st.sampled_from(["auto", "standard_only"]),
    "stream": st.booleans(),
    "output_config": efforts,
    "cache_control": only({"type": "ephemeral", "ttl": "1h"}),
    "container": said,
    "mcp_servers": only([{"type": "url", "url": "https://example.com"}]),
}
needed: dict[str, st.SearchStrategy[JsonValue]] = {
    "model": names,
    "max_tokens": st.integers(0, 9000),
    "messages": conversations(),
}
# What the API takes together: forced tools and sampling only without thinking.
unthinking = objects(
    {**needed, "tools": listed(tools, least=1)},
    {
        **common,
        "tool_choice": choices,
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0, 1),
        "top_k": st.integers(1, 9),
        "thinking": only({"type": "disabled"}),
    },
)
thinking = objects(
    {
        **needed,
        "thinking": st.sampled_from(
            [
                {"type": "adaptive"},
                {"type": "adaptive", "display": "omitted"},
                {"type": "between_tools"},
            ]
        ),
    },
    {**common, "tools": listed(tools, least=1)},
)


@given(unthinking | thinking)
def test_decoding_what_was_encoded_gives_the_same_request(body: JsonValue) -> None:
    assert isinstance(body, dict)
    request = CODEC.decode_request(body)
    encoded = CODEC.encode_request(request, UpstreamTraits())
    assert encoded.dropped == ()
    assert CODEC.decode_request(encoded.body) == request
    again = CODEC.encode_request(CODEC.decode_request(body), UpstreamTraits())
    assert dumps(again.body) == dumps(encoded.body)


def test_replayed_thinking_is_byte_for_byte_the_same_trap_52() -> None:
    replayed = (
        '[{"type":"thinking","thinking":"Ünïcode \\u2028 and \\"quotes\\"","signature":"c2ln+/="},'
        '{"type":"redacted_thinking","data":"b3BhcXVl+/=="},'
        '{"type":"tool_use","id":"toolu_1","name":"f","input":{"z":1.50,"a":[1e2,"ü"]}}]'
    )
    content = loads(replayed)
    body: JsonObject = {
        "model": "claude",
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1"}]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    }
    sent = CODEC.encode_request(CODEC.decode_request(body), UpstreamTraits()).body
    messages = sent["messages"]
    assert isinstance(messages, list)
    message = messages[1]
    assert isinstance(message, dict)
    assert dumps(message["content"]) == dumps(content)


@pytest.mark.parametrize(
    "name",
    [
        "llamacpp-0.7.0-b11669/messages",
        "llamacpp-0.7.0-b11669/messages-toolresult",
        "llamacpp-0.7.0-b11669/messages-tools-stream",
    ],
)
def test_captured_requests_survive(asked: Callable[[str], JsonObject], name: str) -> None:
    request = CODEC.decode_request(asked(name))
    encoded = CODEC.encode_request(request, UpstreamTraits())
    assert encoded.dropped == ()
    assert CODEC.decode_request(encoded.body) == request
