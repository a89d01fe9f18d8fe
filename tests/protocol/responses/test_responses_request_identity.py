"""Reading what was written from what was read gives the same request again."""

from __future__ import annotations

from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.openai import OpenAIResponsesCodec
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps, loads_object

_CODEC = OpenAIResponsesCodec()
_Values: TypeAlias = st.SearchStrategy[Any]

_text = st.sampled_from(["", "x", " two words\n", "naïve \U0001f600\u2028", '{"json": 1}'])
_word = st.sampled_from(["f", "g-1", "a_long_name_0"])
_id = st.sampled_from(["a", "b", "msg_1"])
_json: _Values = st.sampled_from([None, True, 2**53, 1.5, "x", [], [{"a": None}], {"b": {"": []}}])
_schema: _Values = st.sampled_from(
    [{}, {"type": "object"}, {"type": "object", "properties": {"a": {"type": "string"}}}]
)
_extra: _Values = st.dictionaries(
    st.sampled_from(["prompt_cache_breakpoint", "weight", "x-y"]), _json, max_size=2
)


def _object(kind: str, required: dict[str, _Values], **optional: _Values) -> _Values:
    fixed = st.fixed_dictionaries({"type": st.just(kind), **required}, optional=optional)
    return st.builds(lambda obj, extra: {**extra, **obj}, fixed, _extra)


_data_url = st.sampled_from(["data:image/png;base64,iVBORw0KGgo=", "data:a/b;base64,aGk="])
_link = st.just("https://example.com/a.png")
_input_text = _object("input_text", {"text": _text})
_input_image = _object(
    "input_image", {"image_url": _data_url | _link}, detail=st.sampled_from(["low", "auto"])
) | _object("input_image", {"file_id": _word})
_input_file = st.one_of(
    _object("input_file", {"file_data": _data_url}, filename=_word),
    _object("input_file", {"file_url": _link}, filename=_word),
    _object("input_file", {"file_id": _word}, filename=_word),
)
_input_audio = _object(
    "input_audio",
    {
        "input_audio": st.fixed_dictionaries(
            {"data": st.just("UklG"), "format": st.just("wav")}, optional={"x": _json}
        )
    },
)
_unknown_part = _object("input_video", {"video": _json})
_output_text = _object(
    "output_text",
    {"text": _text, "annotations": st.sampled_from([[], [{"type": "file_path"}]])},
    logprobs=st.just([]),
)
_refusal = _object("refusal", {"refusal": _word})
_user_content: _Values = st.lists(
    st.one_of(_input_text, _input_image, _input_file, _input_audio, _unknown_part),
    max_size=4,
)


def _message(role: str, content: _Values) -> list[_Values]:
    typed = _object(
        "message",
        {"role": st.just(role), "content": content},
        id=_id,
        status=st.just("completed"),
        phase=st.just("commentary"),
    )
    easy = st.fixed_dictionaries({"role": st.just(role), "content": _text | content})
    return [typed, easy]


_assistant_content: _Values = st.lists(st.one_of(_output_text, _refusal, _input_text), max_size=3)
_said = st.one_of(
    *_message("user", _user_content),
    *_message("system", st.lists(_input_text, max_size=2)),
    *_message("developer", st.lists(_input_text, max_size=2)),
    *_message("assistant", _assistant_content),
    *_message("assistant", st.lists(_unknown_part, min_size=1, max_size=2)),
    _object(
        "reasoning",
        {"summary": st.lists(_object("summary_text", {"text": _text}), max_size=2)},
        id=_id,
        content=st.lists(_object("reasoning_text", {"text": _text}), max_size=2),
        encrypted_content=st.sampled_from(["gAAA", None]),
        status=st.just("completed"),
    ),
    _object("web_search_call", {"id": _id, "status": st.just("completed")}, action=_schema),
    _object("local_shell_call", {"id": _id, "call_id": _id, "action": _schema}),
    _object("local_shell_call_output", {"id": _id, "output": _text}),
    _object("mcp_approval_response", {"approval_request_id": _id, "approve": st.booleans()}),
    _object("item_reference", {"id": _id}),
    _object("compaction", {"encrypted_content": _word}),
)


@st.composite
def _round_of_calls(draw: st.DrawFn, number: int) -> list[JsonValue]:
    items: list[JsonValue] = []
    outputs: list[JsonValue] = []
    for at in range(draw(st.integers(1, 3))):
        call_id = f"call_{number}_{at}"
        custom = draw(st.booleans())
        call: JsonObject = {"call_id": call_id, "name": draw(_word), **draw(_extra)}
        if draw(st.booleans()):
            call["id"] = f"fc_{call_id}"
        if draw(st.booleans()):
            call["namespace"] = draw(_word)
        if custom:
            call |= {"type": "custom_tool_call", "input": draw(_text)}
        else:
            call |= {"type": "function_call", "arguments": draw(st.sampled_from(["{}", "{x"]))}
        items.append(call)
        content: _Values = _text | st.lists(
            st.one_of(_input_text, _input_image, _input_file), min_size=2, max_size=3
        )
        kind = "custom_tool_call_output" if custom else "function_call_output"
        outputs.append({"type": kind, "call_id": call_id, "output": draw(content), **draw(_extra)})
    return [*items, *draw(st.permutations(outputs))]


@st.composite
def _items(draw: st.DrawFn) -> list[JsonValue]:
    items: list[JsonValue] = []
    for number in range(draw(st.integers(1, 5))):
        items += draw(_round_of_calls(number)) if draw(st.booleans()) else [draw(_said)]
    return items


_function_tool = _object(
    "function",
    {"name": _word},
    description=_text,
    parameters=_schema,
    strict=st.booleans(),
    defer_loading=st.booleans(),
)
_custom_tool = _object(
    "custom",
    {"name": st.just("patch")},
    description=_text,
    format=st.sampled_from(
        [{"type": "text"}, {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}]
    ),
)
_namespace = _object(
    "namespace",
    {
        "name": st.sampled_from(["mcp__git__", "files"]),
        "description": _text,
        "tools": st.lists(_function_tool | _custom_tool, max_size=2),
    },
)
_tools = st.lists(
    st.one_of(_function_tool, _custom_tool, _namespace, _object("web_search", {})), max_size=4
).map(lambda tools: tools and [{"type": "function", "name": "f"}, *tools, {"type": "mcp"}])
_tool_fields = st.fixed_dictionaries(
    {"tools": _tools},
    optional={
        "tool_choice": st.sampled_from(
            [
                "none",
                "auto",
                "required",
                {"type": "function", "name": "f"},
                {"type": "allowed_tools", "mode": "auto", "tools": []},
                {"type": "mcp", "server_label": "s"},
            ]
        ),
    },
).map(lambda fields: fields if fields["tools"] else {"tool_choice": "auto"})
_number = st.floats(min_value=-2, max_value=2, allow_nan=False) | st.integers(-2, 2)
_tuning: _Values = st.fixed_dictionaries(
    {},
    optional={
        "instructions": _text.filter(bool),
        "parallel_tool_calls": st.booleans(),
        "max_output_tokens": st.integers(1, 9999),
        "max_tool_calls": st.integers(1, 9),
        "temperature": _number,
        "top_p": _number,
        "top_logprobs": st.integers(0, 20),
        "include": st.lists(
            st.sampled_from(["reasoning.encrypted_content", "message.output_text.logprobs"]),
            max_size=2,
        ),
        "reasoning": st.sampled_from(
            [{"effort": "none"}, {"effort": "high", "summary": "auto"}, {"summary": "concise"}]
        ),
        "text": st.sampled_from(
            [
                {"verbosity": "low"},
                {"format": {"type": "json_object"}, "verbosity": "high"},
                {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True}},
                {"format": {"type": "json_schema", "name": "n", "schema": {}, "x": 1}},
            ]
        ),
        "truncation": st.sampled_from(["auto", "disabled"]),
        "metadata": st.dictionaries(_text, _text, max_size=2),
        "service_tier": _word,
        "store": st.booleans(),
        "background": st.booleans(),
        "prompt": st.just({"id": "pmpt_1", "variables": {"a": "b"}}),
        "prompt_cache_key": _word,
        "user": _text,
        "safety_identifier": _text,
        "stream": st.booleans(),
        "stream_options": st.just({"include_obfuscation": False}),
        "context_management": st.just([{"type": "compaction"}]),
        "chat_template_kwargs": _schema,
    },
)
_past: _Values = st.sampled_from(
    [{}, {"previous_response_id": "resp_1"}, {"conversation": {"id": "conv_1"}}]
)
_bodies = st.builds(
    lambda items, *fields: {
        "model": "m",
        "input": items,
        **{name: value for some in fields for name, value in some.items()},
    },
    _items() | _text,
    _tool_fields,
    _tuning,
    _past,
)


@given(_bodies)
@settings(max_examples=200)
def test_a_request_survives_being_written_and_read_again(body: JsonObject) -> None:
    asked = _CODEC.decode_request(body)
    assert _CODEC.can_relay(asked)
    encoded = _CODEC.encode_request(asked, UpstreamTraits())
    assert encoded.dropped == ()
    again = _CODEC.decode_request(loads_object(dumps(encoded.body)))
    assert again == asked
    for name, value in body.items():
        if name not in ("input", "stream"):
            assert encoded.body[name] == value
    assert _plain(encoded.body["input"]) == _plain(body["input"])


def _plain(value: JsonValue) -> JsonValue:
    """Input in the one form of those that mean the same."""
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    assert isinstance(value, list)
    return [_plain_item(item) for item in value]


def _plain_item(value: JsonValue) -> JsonValue:
    assert isinstance(value, dict)
    item = dict(value)
    by_model = item.get("role") == "assistant"
    for name in ("content", "output"):
        if isinstance(item.get(name), str):
            kind = "output_text" if by_model else "input_text"
            item[name] = [{"type": kind, "text": item[name]}]
    content = item.get("content")
    if isinstance(content, list) and item.get("role"):
        item["content"] = [
            {name: value for name, value in part.items() if value != []}
            for part in content
            if isinstance(part, dict)
        ]
        # A message without content says the empty text.
        empty: JsonObject = {"type": "output_text" if by_model else "input_text", "text": ""}
        item["content"] = item["content"] or [empty]
    if item.get("type") == "function_call" and not item.get("arguments"):
        item["arguments"] = "{}"
    return item


@given(_bodies)
@settings(max_examples=40)
def test_writing_the_same_request_twice_gives_the_same_bytes(body: JsonObject) -> None:
    """Providers cache prompts by their exact prefix."""
    first, second = (
        _CODEC.encode_request(_CODEC.decode_request(body), UpstreamTraits()).body for _ in "ab"
    )
    assert dumps(first) == dumps(second)
