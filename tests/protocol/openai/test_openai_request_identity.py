"""Reading what was written from what was read gives the same request again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.openai import OPENAI, OpenAIChatCodec
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps, loads_object

_CODEC = OpenAIChatCodec()
_Values: TypeAlias = st.SearchStrategy[Any]

_text = st.sampled_from(["", "x", " two words\n", "naïve \U0001f600\u2028", '{"json": 1}'])
_word = st.sampled_from(["f", "g-1", "a_long_name_0"])
_number = st.floats(min_value=-2, max_value=2, allow_nan=False) | st.integers(-2, 2)
_json: _Values = st.sampled_from([None, True, 2**53, 1.5, "x", [], [{"a": None}], {"b": {"": []}}])
_schema: _Values = st.sampled_from(
    [{}, {"type": "object"}, {"type": "object", "properties": {"a": {"type": "string"}}}]
)
_extra: _Values = st.dictionaries(
    st.sampled_from(["cache_control", "weight", "x-y"]), _json, max_size=2
)


def _with_extra(strategy: _Values) -> _Values:
    return st.builds(lambda obj, extra: {**extra, **obj}, strategy, _extra)


_text_part = _with_extra(st.fixed_dictionaries({"type": st.just("text"), "text": _text}))
_base64 = st.sampled_from(["", "aGk=", "iVBORw0KGgo="])
_data_url = st.builds("data:{};base64,{}".format, st.sampled_from(["image/png", "a/b"]), _base64)
_image_part = _with_extra(
    st.fixed_dictionaries(
        {
            "type": st.just("image_url"),
            "image_url": _with_extra(
                st.fixed_dictionaries(
                    {"url": _data_url | st.just("https://example.com/a.png")},
                    optional={"detail": st.sampled_from(["low", "original"])},
                )
            ),
        }
    )
)
_audio_part = st.fixed_dictionaries(
    {
        "type": st.just("input_audio"),
        "input_audio": st.fixed_dictionaries(
            {"data": st.just("UklG"), "format": st.just("wav")}, optional={"x": _json}
        ),
    }
)
_file_part = st.fixed_dictionaries(
    {
        "type": st.just("file"),
        "file": st.fixed_dictionaries({"file_data": _data_url}, optional={"filename": _word})
        | st.fixed_dictionaries({"file_id": _word}, optional={"filename": _word}),
    }
)
_unknown_part = st.fixed_dictionaries({"type": st.just("video_url"), "video_url": _json})
_user_content: _Values = _text | st.lists(
    st.one_of(_text_part, _image_part, _audio_part, _file_part, _unknown_part),
    min_size=1,
    max_size=4,
)
_text_content: _Values = _text | st.lists(_text_part, min_size=1, max_size=3)
_assistant_content: _Values = _text | st.lists(
    _text_part | st.fixed_dictionaries({"type": st.just("refusal"), "refusal": _word}),
    min_size=1,
    max_size=3,
)


def _message(role: str, content: _Values, **optional: _Values) -> _Values:
    return _with_extra(
        st.fixed_dictionaries({"role": st.just(role), "content": content}, optional=optional)
    )


_said = st.one_of(
    _message("system", _text_content, name=_word),
    _message("developer", _text_content, name=_word),
    _message("user", _user_content, name=_word),
    _message(
        "assistant",
        _assistant_content,
        name=_word,
        refusal=_word,
        reasoning=_text,
        reasoning_content=_text,
        reasoning_details=st.lists(_schema, max_size=2),
    ),
    _message("assistant", st.none(), reasoning_content=_text.filter(bool), refusal=st.just("no")),
).filter(
    lambda message: (
        message["content"] is not None
        or bool(message.get("refusal") or message.get("reasoning_content"))
    )
)


@st.composite
def _round_of_calls(draw: st.DrawFn, number: int) -> list[JsonObject]:
    ids = [f"call_{number}_{at}" for at in range(draw(st.integers(1, 3)))]
    calls: list[JsonValue] = []
    for call_id in ids:
        if draw(st.booleans()):
            function: JsonObject = {
                "name": draw(_word),
                "arguments": draw(_schema.map(lambda value: dumps(value).decode()) | st.just("{x")),
            }
            calls.append({"id": call_id, "type": "function", "function": function, **draw(_extra)})
        else:
            custom: JsonObject = {"name": draw(_word), "input": draw(_text)}
            calls.append({"id": call_id, "type": "custom", "custom": custom})
    answer: JsonObject = {
        "role": "assistant",
        "content": draw(_text | st.none()),
        "tool_calls": calls,
    }
    results: list[JsonObject] = [
        {"role": "tool", "tool_call_id": call_id, "content": draw(_text_content), **draw(_extra)}
        for call_id in draw(st.permutations(ids))
    ]
    return [answer, *results]


@st.composite
def _messages(draw: st.DrawFn) -> list[JsonValue]:
    messages: list[JsonValue] = []
    for number in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            messages += draw(_round_of_calls(number))
        else:
            messages.append(draw(_said))
    return messages


_function_tool = st.fixed_dictionaries(
    {
        "type": st.just("function"),
        "function": _with_extra(
            st.fixed_dictionaries(
                {"name": st.just("f") | _word},
                optional={"description": _text, "parameters": _schema, "strict": st.booleans()},
            )
        ),
    }
)
_tools = st.lists(
    _function_tool
    | st.just({"type": "custom", "custom": {"name": "sql", "format": {"type": "text"}}}),
    max_size=3,
).map(
    lambda tools: (
        tools and [{"type": "function", "function": {"name": "f", "description": ""}}, *tools]
    )
)
_tool_fields = st.fixed_dictionaries(
    {"tools": _tools},
    optional={
        "tool_choice": st.sampled_from(
            [
                "none",
                "auto",
                "required",
                {"type": "function", "function": {"name": "f"}},
                {"type": "custom", "custom": {"name": "sql"}},
                {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
            ]
        ),
        "parallel_tool_calls": st.booleans(),
    },
).map(lambda fields: fields if fields["tools"] else {})
_response_format = st.one_of(
    st.just({"type": "text"}),
    st.just({"type": "json_object"}),
    st.just({"type": "json_object", "schema": {"type": "object"}}),
    st.fixed_dictionaries(
        {
            "type": st.just("json_schema"),
            "json_schema": st.fixed_dictionaries(
                {"name": _word, "schema": _schema},
                optional={"strict": st.booleans(), "description": _text},
            ),
        }
    ),
)
_tuning: _Values = st.fixed_dictionaries(
    {},
    optional={
        "max_tokens": st.integers(1, 9999),
        "temperature": _number,
        "top_p": _number,
        "top_k": st.integers(0, 99),
        "min_p": _number,
        "seed": st.integers(-(2**53), 2**53),
        "frequency_penalty": _number,
        "presence_penalty": _number,
        "repetition_penalty": _number,
        "repeat_penalty": _number,
        "logit_bias": st.dictionaries(_word, _number, max_size=2),
        "stop": _text | st.lists(_text, max_size=5),
        "n": st.integers(1, 128),
        "response_format": _response_format,
        "user": _text,
        "safety_identifier": _text,
        "metadata": st.dictionaries(_text, _text, max_size=2),
        "service_tier": _word,
        "verbosity": st.just("low"),
        "top_a": _json,
        "chat_template_kwargs": _schema,
    },
)
_reasoning: _Values = st.one_of(
    st.just({}),
    st.sampled_from(["none", "low", "max"]).map(lambda effort: {"reasoning_effort": effort}),
    st.just({"reasoning": {"effort": "low", "exclude": True}}),
    st.just({"thinking": {"type": "enabled", "clear_thinking": False}}),
)
_logprobs = st.sampled_from([{}, {"logprobs": False}, {"logprobs": True, "top_logprobs": 2}])
_stream = st.sampled_from(
    [
        {},
        {"stream": False},
        {"stream": True},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"stream": True, "stream_options": {"include_obfuscation": False}},
    ]
)
_bodies = st.builds(
    lambda messages, *fields: {
        "model": "m",
        "messages": messages,
        **{name: value for some in fields for name, value in some.items()},
    },
    _messages(),
    _tool_fields,
    _tuning,
    _reasoning,
    _logprobs,
    _stream,
)


def _without_the_wish_for_usage(request: ChatRequest) -> ChatRequest:
    # Upstreams are always asked for it.
    return replace(request, stream_usage=False)


@given(_bodies)
@settings(max_examples=150)
def test_a_request_survives_being_written_and_read_again(body: JsonObject) -> None:
    asked = _CODEC.decode_request(body)
    encoded = _CODEC.encode_request(asked, UpstreamTraits(developer_role=True))
    assert encoded.dropped == ()
    for name in asked.extras[OPENAI]:
        assert name == "stream_options" or encoded.body[name] == body[name]
    again = _CODEC.decode_request(loads_object(dumps(encoded.body)))
    assert _without_the_wish_for_usage(again) == _without_the_wish_for_usage(asked)


@given(_bodies)
@settings(max_examples=50)
def test_writing_the_same_request_twice_gives_the_same_bytes(body: JsonObject) -> None:
    """Providers cache prompts by their exact prefix."""
    first, second = (
        _CODEC.encode_request(_CODEC.decode_request(body), UpstreamTraits()).body for _ in "ab"
    )
    assert dumps(first) == dumps(second)
