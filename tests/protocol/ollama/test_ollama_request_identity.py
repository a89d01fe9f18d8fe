"""Whatever an Ollama client asks comes out the same after a way through the gateway."""

from __future__ import annotations

import base64

from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.ollama import OllamaChatCodec, OllamaCodec, OllamaGenerateCodec
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps, loads_object

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
WORD = st.text("abcdef_", min_size=1, max_size=6)
NUMBER = st.floats(-2, 2) | st.integers(-3, 50)
JSON: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3),
    max_leaves=5,
)
OBJECT: st.SearchStrategy[JsonObject] = st.dictionaries(WORD, JSON, max_size=3)
IMAGE = st.binary(min_size=1, max_size=12).map(lambda data: base64.b64encode(data).decode())
UNKNOWN = st.dictionaries(WORD.map("x_{}".format), JSON, max_size=2)


def records(
    required: dict[str, st.SearchStrategy[JsonValue]],
    optional: dict[str, st.SearchStrategy[JsonValue]],
) -> st.SearchStrategy[JsonObject]:
    said = st.fixed_dictionaries(required, optional=optional)
    return st.tuples(UNKNOWN, said).map(lambda pair: {**pair[0], **pair[1]})


def listed(inner: st.SearchStrategy[JsonValue]) -> st.SearchStrategy[JsonValue]:
    return st.lists(inner, max_size=3).map(lambda values: [*values])


OPTIONS = records(
    {},
    {
        "num_predict": st.integers(-2, 99),
        "temperature": NUMBER,
        "top_p": NUMBER,
        "top_k": st.integers(0, 9),
        "min_p": NUMBER,
        "seed": st.integers(-1, 9),
        "stop": listed(TEXT) | TEXT,
        "repeat_penalty": NUMBER,
        "presence_penalty": NUMBER,
        "frequency_penalty": NUMBER,
        "num_ctx": st.integers(1, 9),
    },
)
SHARED: dict[str, st.SearchStrategy[JsonValue]] = {
    "stream": st.booleans() | st.none(),
    "options": OPTIONS,
    "format": st.sampled_from(["", "json"]) | OBJECT,
    "keep_alive": st.sampled_from([0, -1, 2.5, "5m", "-1h", "0"]),
    "think": st.booleans() | st.sampled_from(["low", "medium", "high", "max"]),
    "logprobs": st.booleans(),
    "top_logprobs": st.integers(0, 20),
    "truncate": st.booleans(),
    "shift": st.booleans(),
}
TOOL = records(
    {"function": records({"name": WORD}, {"description": TEXT, "parameters": OBJECT})},
    {"type": st.just("function")},
)
CALL = records(
    {"function": records({"name": WORD}, {"arguments": OBJECT, "index": st.integers(0, 3)})},
    {"id": WORD},
)
MESSAGE = records(
    {"role": st.sampled_from(["system", "user", "assistant", "User", "control"])},
    {
        "content": TEXT,
        "thinking": TEXT,
        "images": listed(IMAGE),
        "tool_calls": listed(CALL),
    },
) | records(
    {"role": st.just("tool")},
    {"content": TEXT, "images": listed(IMAGE), "tool_name": WORD, "tool_call_id": WORD},
)
CHATS = records({"model": WORD, "messages": listed(MESSAGE)}, {"tools": listed(TOOL), **SHARED})
COMPLETIONS = records(
    {"model": WORD},
    {
        "prompt": TEXT,
        "system": TEXT,
        "images": listed(IMAGE),
        "suffix": TEXT,
        "context": listed(st.integers(0, 9)),
        **SHARED,
    },
)


def check_identity(codec: OllamaCodec, body: JsonObject) -> None:
    request = codec.decode_request(body)
    encoded = codec.encode_request(request, UpstreamTraits())
    again = codec.decode_request(loads_object(dumps(encoded.body)))
    assert again == request
    assert encoded.dropped == ()
    # And the bytes are stable from there on, so that the prompt caches of a server hit.
    assert codec.encode_request(again, UpstreamTraits()) == encoded


@given(CHATS)
@settings(max_examples=150, deadline=None)
def test_a_chat_request_survives_the_way_through(body: JsonObject) -> None:
    check_identity(OllamaChatCodec(), body)


@given(COMPLETIONS)
@settings(max_examples=80, deadline=None)
def test_a_completion_request_survives_the_way_through(body: JsonObject) -> None:
    check_identity(OllamaGenerateCodec(), body)
