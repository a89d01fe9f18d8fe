"""Tool calls in streams of upstreams: told apart and put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from forebay.protocol.canonical.assembly import assemble
from forebay.protocol.canonical.events import (
    ArgumentsDelta,
    Finish,
    FinishReason,
    PartKind,
    PartStart,
    PartStop,
    StreamEvent,
)
from forebay.protocol.canonical.requests import Opaque, Text, ToolCall
from forebay.protocol.dialects.openai import OPENAI
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps

_DONE = b"[DONE]"


class DecodesStream(Protocol):
    def __call__(self, stream: bytes) -> list[StreamEvent]: ...


Sse = Callable[[Sequence[bytes]], bytes]


def _chunk(delta: JsonValue = None, finish: JsonValue = None, **fields: JsonValue) -> bytes:
    choice: JsonObject = {"index": 0, "delta": {} if delta is None else delta}
    choice["finish_reason"] = finish
    return dumps({"id": "chatcmpl-1", "created": 7, "model": "m", "choices": [choice], **fields})


def _calls(*fragments: JsonValue) -> bytes:
    return _chunk({"tool_calls": [*fragments]})


def _fragment(arguments: JsonValue, **fields: JsonValue) -> JsonObject:
    function: JsonObject = {} if arguments is None else {"arguments": arguments}
    if "name" in fields:
        function["name"] = fields.pop("name")
    return {**fields, "function": function}


def _parts(decoded: DecodesStream, sse: Sse, *chunks: bytes) -> tuple[object, ...]:
    answer = assemble(decoded(sse([*chunks, _chunk({}, "stop"), _DONE])))
    # The reason follows from the calls, not from the server's word (trap 65).
    assert answer.finish is FinishReason.TOOL_CALLS
    return answer.parts


def _call(call_id: str, name: str, arguments: str) -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments=arguments)


_A = _call("a", "f", '{"x":1}')
_B = _call("b", "g", '{"y":{}}')


def test_a_call_in_fragments_is_streamed_as_it_comes(decoded: DecodesStream, sse: Sse) -> None:
    events = decoded(
        sse(
            [
                _chunk({"content": "let me see"}),
                _calls(_fragment("", index=0, id="a", type="function", name="f")),
                _calls(_fragment('{"x"', index=0)),
                _calls(_fragment(":1}", index=0)),
                _chunk({}, "tool_calls"),
            ]
        )
    )
    assert events[3:] == [
        PartStop(0),
        PartStart(index=1, kind=PartKind.TOOL_CALL, call_id="a", call_name="f"),
        ArgumentsDelta(1, '{"x"'),
        ArgumentsDelta(1, ":1}"),
        PartStop(1),
        Finish(reason=FinishReason.TOOL_CALLS),
    ]


def test_fragments_of_two_calls_may_interleave_trap_80(decoded: DecodesStream, sse: Sse) -> None:
    assert _parts(
        decoded,
        sse,
        _calls(_fragment("", index=0, id="a", name="f"), _fragment("", index=1, id="b", name="g")),
        _calls(_fragment('{"y":', index=1), _fragment('{"x":', index=0)),
        _calls(_fragment("1}", index=0), _fragment("{}}", index=1)),
    ) == (_A, _B)


def test_id_and_name_may_be_repeated_in_every_fragment_trap_81(
    decoded: DecodesStream, sse: Sse
) -> None:
    assert _parts(
        decoded,
        sse,
        _calls(_fragment("", index=0, id="a", name="f")),
        _calls(_fragment('{"x"', index=0, id="a", name="f")),
        _calls(_fragment(":1}", index=0, id="a", name="f")),
        _calls(_fragment('{"y":', index=1, id="b", name="g")),
        _calls(_fragment("{}}", index=1, id="b", name="g")),
    ) == (_A, _B)


def test_the_index_may_be_missing_trap_81(decoded: DecodesStream, sse: Sse) -> None:
    assert _parts(
        decoded,
        sse,
        _calls(_fragment("", id="a", name="f")),
        _calls(_fragment('{"x"')),
        _calls(_fragment(":1}")),
        _calls(_fragment('{"y":', id="b", name="g")),
        _calls(_fragment("{}}")),
    ) == (_A, _B)


def test_without_index_the_id_tells_interleaved_calls_apart(
    decoded: DecodesStream, sse: Sse
) -> None:
    assert _parts(
        decoded,
        sse,
        _calls(_fragment('{"x"', id="a", name="f")),
        _calls(_fragment('{"y":', id="b", name="g")),
        _calls(_fragment(":1", id="a", name="f")),
        _calls(_fragment("}")),
        _calls(_fragment("{}}", id="b", name="g")),
    ) == (_A, _B)


def test_all_calls_may_be_number_zero_with_new_ids(decoded: DecodesStream, sse: Sse) -> None:
    assert _parts(
        decoded,
        sse,
        _calls(_fragment('{"x":1}', index=0, id="a", name="f")),
        _calls(_fragment('{"y":', index=0, id="b", name="g")),
        _calls(_fragment("{}}", index=0)),
    ) == (_A, _B)


def test_whole_calls_without_ids_are_told_apart(decoded: DecodesStream, sse: Sse) -> None:
    assert _parts(
        decoded,
        sse,
        _calls(_fragment('{"x":1}', index=0, name="f")),
        _calls(_fragment('{"x":2}', index=0, name="f")),
        _calls(_fragment("{}", index=0, name="g")),
    ) == (_call("", "f", '{"x":1}'), _call("", "f", '{"x":2}'), _call("", "g", "{}"))


def test_a_whole_call_may_come_in_one_fragment_with_arguments_as_an_object(
    decoded: DecodesStream, sse: Sse
) -> None:
    assert _parts(
        decoded,
        sse,
        _calls(_fragment({"x": 1}, id="a", name="f"), _fragment({"y": {}}, id="b", name="g")),
    ) == (_A, _B)


def test_the_name_may_come_after_the_first_arguments(decoded: DecodesStream, sse: Sse) -> None:
    assert _parts(
        decoded,
        sse,
        _calls(_fragment(None, index=0, id="a")),
        _calls(_fragment('{"x"', index=0)),
        _calls(_fragment(":1", index=0, name="f")),
        _calls(_fragment("}", index=0)),
    ) == (_A,)


def test_a_call_without_arguments_has_none(decoded: DecodesStream, sse: Sse) -> None:
    assert _parts(decoded, sse, _calls(_fragment(None, index=0, id="a", name="f"))) == (
        _call("a", "f", ""),
    )


def test_text_may_come_after_a_call(decoded: DecodesStream, sse: Sse) -> None:
    assert _parts(
        decoded,
        sse,
        _calls(_fragment('{"x":1}', index=0, id="a", name="f")),
        _chunk({"content": "done"}),
    ) == (_A, Text("done"))


def test_empty_fragments_make_no_call(decoded: DecodesStream, sse: Sse) -> None:
    chunks = [_calls({}, {"index": 0}, "x", _fragment("", index=1)), _chunk({}, "tool_calls")]
    answer = assemble(decoded(sse(chunks)))
    assert answer.parts == ()
    assert answer.finish is FinishReason.END


def test_the_form_before_tools_is_a_call_without_an_id(decoded: DecodesStream, sse: Sse) -> None:
    assert _parts(
        decoded,
        sse,
        _chunk({"function_call": {"name": "f", "arguments": ""}}),
        _chunk({"function_call": {"arguments": '{"x":1}'}}),
    ) == (_call("", "f", '{"x":1}'),)


def test_a_custom_call_is_kept_whole(decoded: DecodesStream, sse: Sse) -> None:
    custom: JsonObject = {"name": "sql", "input": "select "}
    assert _parts(
        decoded,
        sse,
        _calls({"index": 0, "id": "a", "type": "custom", "custom": custom}),
        _calls({"index": 0, "custom": {"input": "1"}}),
        _calls(_fragment("{}", index=0)),
    ) == (
        Opaque(
            OPENAI,
            {"id": "a", "type": "custom", "custom": {"name": "sql", "input": "select 1"}},
        ),
    )


def test_a_length_cut_inside_a_call_stays_a_length(decoded: DecodesStream, sse: Sse) -> None:
    stream = sse([_calls(_fragment('{"x', index=0, id="a", name="f")), _chunk({}, "length"), _DONE])
    answer = assemble(decoded(stream))
    assert answer.finish is FinishReason.LENGTH
    assert answer.parts == (_call("a", "f", '{"x'),)
