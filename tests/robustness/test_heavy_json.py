"""JSON that is small in bytes and large in objects stops nobody: it is told before it is parsed."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from spoken_errors import CHAT_PATHS, assert_spoken, request_of
from trio.testing import MockClock
from worlds import GATEWAY, open_world

from forebay.endpoints import json_values
from forebay.endpoints.bodies import MOST_VALUES
from forebay.endpoints.json_values import holds_more_values
from forebay.protocol.jsontext import dumps

trees = st.recursive(
    st.none() | st.integers() | st.text(alphabet='ab"\\,[]{}:\n', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(alphabet='a"\\,[{', max_size=3), inner, max_size=4)
    ),
    max_leaves=40,
)


def count(tree: object) -> int:
    """What comes before values: commas, and the beginnings of lists and objects."""
    match tree:
        case list():
            return 1 + max(0, len(tree) - 1) + sum(map(count, tree))
        case dict():
            return 1 + max(0, len(tree) - 1) + sum(map(count, tree.values()))
        case _:
            return 0


@given(trees, st.integers(1, 20))
@example(['"', "\\", '\\"', ",,,,"], 1)
@example({"\\\\": [",", "[[", "{"]}, 3)
def test_values_are_counted_outside_of_strings_wherever_the_text_is_cut(
    tree: object, piece: int
) -> None:
    text = json.dumps(tree, separators=(",", ":")).encode()
    held = count(tree)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_values, "_PIECE_BYTES", piece)
        assert not holds_more_values(text, held)
        assert held == 0 or holds_more_values(text, held - 1)


@given(st.binary(), st.integers(0, 5))
def test_any_bytes_get_an_answer(text: bytes, limit: int) -> None:
    assert isinstance(holds_more_values(text, limit), bool)


@pytest.mark.parametrize(
    "unit", [b"[],", b'{"a":{}},', b'"",', b'",",', b'"\\",",', b'\\"', b'"', b"[", b'\\\\",']
)
def test_counting_is_linear(unit: bytes) -> None:
    def seconds(size: int) -> float:
        text = b'{"x":[' + unit * (size // len(unit))
        began = time.process_time()
        for _ in range(3):
            holds_more_values(text, 1000)
        return time.process_time() - began

    seconds(200_000)
    small, large = seconds(500_000), seconds(4_000_000)
    assert large < 40 * small + 0.05


@pytest.mark.parametrize("path", CHAT_PATHS)
async def test_a_request_of_too_many_values_is_a_413_at_once(
    path: str, autojump_clock: MockClock
) -> None:
    heavy = dumps(request_of(path))[:-1] + b',"x":[' + b"[]," * MOST_VALUES + b"[]]}"
    async with open_world() as world:
        began = time.process_time()
        answer = await world.client.post(GATEWAY + path, content=heavy)
        assert time.process_time() - began < 0.5
        message = assert_spoken(
            CHAT_PATHS[path], 413, answer.status_code, answer.headers, answer.content
        )
        assert message == "the request holds more than 500000 JSON values"
        assert await world.is_at_rest()
        assert (await world.ask()).status_code == 200


async def test_a_long_text_full_of_commas_is_one_value(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        body = dumps(request_of("/v1/chat/completions", "1,2,[3],{4}\n" * 50_000))
        padded = body[:-1] + b',"user":"' + b"," * MOST_VALUES + b'"}'
        answer = await world.client.post(f"{GATEWAY}/v1/chat/completions", content=padded)
        assert answer.status_code != 413
        assert "JSON values" not in answer.text
