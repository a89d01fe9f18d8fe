"""Replacing the model's name in a body: the name, the whole name, and nothing but the name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forebay.protocol.jsontext import dumps, loads, loads_object
from forebay.protocol.splice import replace_model

_SPACE = st.text(" \t\r\n", max_size=3)
_CHARACTERS = st.one_of(
    st.sampled_from('{}[]",:\\\n\t\u2028é中😀'),
    st.characters(exclude_categories=["Cs"]),
)
_SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


@st.composite
def _written(draw: st.DrawFn, text: str) -> str:
    """``text`` as a JSON string, with some characters escaped that need not be."""
    pieces: list[str] = []
    for character in text:
        must = character in '"\\' or ord(character) < 0x20
        if must and character in _SHORT_ESCAPES and draw(st.booleans()):
            pieces.append(_SHORT_ESCAPES[character])
        elif must or draw(st.integers(0, 9)) == 0:
            units = character.encode("utf-16-be")
            pieces += (f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
        else:
            pieces.append(character)
    return f'"{"".join(pieces)}"'


_STRINGS = st.text(_CHARACTERS, max_size=8).flatmap(_written)
_NUMBERS = st.sampled_from(["0", "-1", "3.25", "1e9", "-2.5E-3"])
_SCALARS = st.one_of(_STRINGS, _NUMBERS, st.sampled_from(["true", "false", "null"]))
_MODEL_KEYS = st.just("model").flatmap(_written)
_OTHER_KEYS = st.one_of(
    _STRINGS.filter(lambda key: loads(key) != "model"),
    st.sampled_from(['"Model"', '"models"', '"model "', '"\\\\u006dodel"', '"model\\u0000"']),
)


@st.composite
def _collection(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    """An array, or an object in which ``model`` is a member like any other."""

    def spaced(text: str) -> str:
        return draw(_SPACE) + text + draw(_SPACE)

    values = [spaced(value) for value in draw(st.lists(inner, max_size=4))]
    if draw(st.booleans()):
        return f"[{','.join(values)}]" if values else f"[{draw(_SPACE)}]"
    members = [f"{spaced(draw(_MODEL_KEYS | _OTHER_KEYS))}:{value}" for value in values]
    return f"{{{','.join(members)}}}" if members else f"{{{draw(_SPACE)}}}"


_VALUES = st.recursive(_SCALARS, _collection, max_leaves=8)


@dataclass(frozen=True)
class _Body:
    """A JSON object as text, cut where the names of the model stand."""

    pieces: tuple[str, ...]
    names: tuple[str, ...]

    def with_names(self, names: tuple[str, ...]) -> bytes:
        text = self.pieces[0]
        for name, piece in zip(names, self.pieces[1:], strict=True):
            text += name + piece
        return text.encode()


@st.composite
def _bodies(draw: st.DrawFn) -> _Body:
    pieces, names = [draw(_SPACE) + "{" + draw(_SPACE)], []
    for number in range(draw(st.integers(0, 6))):
        if number:
            pieces[-1] += "," + draw(_SPACE)
        is_model = draw(st.booleans())
        key = draw(_MODEL_KEYS if is_model else _OTHER_KEYS)
        pieces[-1] += key + draw(_SPACE) + ":" + draw(_SPACE)
        value = draw(_STRINGS if is_model else _VALUES)
        if is_model:
            names.append(value)
            pieces.append("")
        else:
            pieces[-1] += value
        pieces[-1] += draw(_SPACE)
    pieces[-1] += "}" + draw(_SPACE)
    return _Body(tuple(pieces), tuple(names))


@given(body=_bodies(), model=st.text(_CHARACTERS, max_size=12))
@example(body=_Body(('{"a":"\\\\","model":', "}"), ('"x\\"}"',)), model="y")
@example(body=_Body(('{"model":', ',"\\u006dodel" : ', "}"), ('"x"', '"y"')), model="z")
def test_every_name_of_the_model_is_replaced_and_no_other_byte(body: _Body, model: str) -> None:
    before = body.with_names(body.names)
    after = replace_model(before, model)
    assert after == body.with_names((dumps(model).decode(),) * len(body.names))
    expected = loads_object(before)
    if body.names:
        expected["model"] = model
    assert loads_object(after) == expected


@given(body=_bodies(), model=st.text(_CHARACTERS, max_size=12))
def test_replacing_by_what_is_there_and_replacing_twice(body: _Body, model: str) -> None:
    once = replace_model(body.with_names(body.names), model)
    assert replace_model(once, model) == once


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"messages":[{"model":"x"}]}',
        b'{"a":{"model":"x"},"b":["model","model"]}',
        b'{"a":"model","b":"\\"model\\":\\"x\\""}',
        b'{"model":null}',
        b'{"model":["x"]}',
        b'{"model":{"model":"x"}}',
        b'{"model":1,"a":"x"}',
        b'["model","x"]',
    ],
)
def test_what_is_not_the_models_name_stays(body: bytes) -> None:
    assert replace_model(body, "other") == body


# Work.


def _lines_run(call: Callable[[], object]) -> int:
    """Lines of Python that ``call`` runs."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    "member",
    [b'"a":{"model":["x",{}]}', b'"model":"x"', b'"\\u006dodel":"\\"{"', b'"n":[1,2,[3,[4]]]'],
)
def test_twice_the_body_is_twice_the_work(member: bytes) -> None:
    small, large = (b"{" + b",".join([member] * count) + b"}" for count in (500, 1000))
    work = _lines_run(lambda: replace_model(small, "m"))
    assert _lines_run(lambda: replace_model(large, "m")) < 2.1 * work


@pytest.mark.parametrize("filling", [b"x", b"\\\\", b'\\"', b"{", b'\\"}{,:'])
def test_the_length_of_a_string_is_no_work(filling: bytes) -> None:
    """Of anything but linear time these megabytes would never come to an end."""
    long = filling * (2_000_000 // len(filling))
    body = b'{"a":"' + long + b'","model":"x","b":["' + long + b'"]}'
    assert _lines_run(lambda: replace_model(body, "m")) < 200
    assert replace_model(body, "yy") == body.replace(b'"model":"x"', b'"model":"yy"')
