from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.protocol.canonical.requests import Part, Role, Text, ToolCall, ToolResult, Turn
from forebay.protocol.dialects.tool_ids import (
    fitted_id,
    is_short_id,
    issued_id,
    with_short_ids,
    with_tool_ids,
)

_ANTHROPIC = re.compile(r"[a-zA-Z0-9_-]+")


def _call(call_id: str, name: str = "f") -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments="{}")


def _result(call_id: str, name: str | None = None) -> ToolResult:
    return ToolResult(call_id=call_id, name=name, content=(Text("ok"),))


def _assistant(*parts: Part) -> Turn:
    return Turn(role=Role.ASSISTANT, parts=parts)


def _user(*parts: Part) -> Turn:
    return Turn(role=Role.USER, parts=parts)


def _ids(turns: tuple[Turn, ...]) -> list[str]:
    """The ids of calls and results, in the order of the conversation."""
    return [
        part.id if isinstance(part, ToolCall) else part.call_id
        for turn in turns
        for part in turn.parts
        if isinstance(part, ToolCall | ToolResult)
    ]


@pytest.mark.parametrize("call_id", ["a", "call_" + "x" * 35, "toolu_01A-b"])
def test_an_id_that_suits_stays_as_it_is(call_id: str) -> None:
    assert fitted_id(call_id, pattern=_ANTHROPIC, max_length=40) == call_id


@pytest.mark.parametrize("call_id", ["", "functions.Bash:0", "x" * 41, "call\n"])
def test_an_id_that_does_not_suit_gets_a_stand_in_that_does_trap_22(call_id: str) -> None:
    stand_in = fitted_id(call_id, pattern=_ANTHROPIC, max_length=40)
    assert re.fullmatch(r"call_[0-9a-f]{24}", stand_in)
    assert fitted_id(call_id, pattern=_ANTHROPIC, max_length=40) == stand_in
    assert fitted_id(stand_in, pattern=_ANTHROPIC, max_length=40) == stand_in


def test_long_ids_with_a_common_prefix_stay_apart_trap_23() -> None:
    first, second = (
        fitted_id("x" * 52 + end, pattern=_ANTHROPIC, max_length=40) for end in ("1", "2")
    )
    assert first != second


def test_a_client_never_sees_a_call_without_an_id() -> None:
    assert issued_id("call_1", response_id="r", position=0) == "call_1"
    made = {issued_id("", response_id=answer, position=at) for answer in "rs" for at in (0, 1)}
    assert len(made) == 4
    assert all(made)


def test_turns_whose_ids_are_fine_come_back_as_they_are() -> None:
    turns = (_assistant(_call("a"), _call("b")), _user(_result("b"), _result("a")))
    assert with_tool_ids(turns) is turns


def test_calls_and_results_without_ids_are_paired_by_name_then_by_order_trap_24() -> None:
    turns = with_tool_ids(
        (
            _assistant(_call("", "f"), _call("", "g"), _call("", "f")),
            _user(_result("", "g"), _result("", "f"), _result("", "f")),
        )
    )
    first_f, g, second_f, *results = _ids(turns)
    assert len({first_f, g, second_f}) == 3
    assert results == [g, first_f, second_f]


def test_results_without_ids_and_names_are_paired_by_order_trap_24() -> None:
    turns = with_tool_ids(
        (_assistant(_call("a"), _call("b", "g")), _user(_result(""), _result("", "unheard-of")))
    )
    assert _ids(turns) == ["a", "b", "a", "b"]


def test_a_call_that_was_never_answered_takes_no_result_of_a_later_round() -> None:
    turns = with_tool_ids(
        (
            _assistant(_call("old")),
            _user(Text("never mind")),
            _assistant(_call("new")),
            _user(_result("")),
        )
    )
    assert _ids(turns) == ["old", "new", "new"]


def test_ids_that_count_from_zero_in_every_answer_become_distinct() -> None:
    turns = with_tool_ids(
        (
            _assistant(_call("call_0"), _call("call_0")),
            _user(_result("call_0"), _result("call_0")),
            _assistant(_call("call_0")),
            _user(_result("call_0")),
        )
    )
    first, second, *results, third, last = _ids(turns)
    assert first == "call_0"
    assert len({first, second, third}) == 3
    assert results == [first, second]
    assert last == third


def test_a_result_of_no_call_keeps_its_id_or_gets_one() -> None:
    turns = with_tool_ids((_user(_result("stray"), _result(""), _result("")),))
    stray, first, second = _ids(turns)
    assert stray == "stray"
    assert first
    assert second
    assert first != second


def test_a_made_up_id_is_never_one_that_the_conversation_holds_already() -> None:
    [made, _] = _ids(with_tool_ids((_assistant(_call("")), _user(_result("")))))
    [other, taken, answer] = _ids(
        with_tool_ids((_assistant(_call("")), _assistant(_call(made)), _user(_result(made))))
    )
    assert taken == answer == made
    assert other != made


_TURNS = st.lists(
    st.one_of(
        st.lists(
            st.builds(_call, st.sampled_from(["", "a", "b"]), st.sampled_from("fg")), max_size=4
        ).map(lambda parts: _assistant(*parts)),
        st.lists(
            st.builds(_result, st.sampled_from(["", "a", "b"]), st.sampled_from(["f", "g", None])),
            max_size=4,
        ).map(lambda parts: _user(*parts)),
        st.just(_user(Text("hi"))),
    ),
    max_size=8,
).map(tuple)


@given(_TURNS)
def test_no_two_calls_share_an_id_and_nothing_lacks_one(turns: tuple[Turn, ...]) -> None:
    renewed = with_tool_ids(turns)
    calls = [part.id for turn in renewed for part in turn.parts if isinstance(part, ToolCall)]
    assert len(set(calls)) == len(calls)
    assert all(_ids(renewed))


@given(_TURNS, _TURNS)
def test_what_was_said_before_keeps_its_ids_when_the_conversation_goes_on(
    turns: tuple[Turn, ...], more: tuple[Turn, ...]
) -> None:
    """Providers cache prompts by their exact prefix."""
    before = with_tool_ids(turns)
    assert with_tool_ids(turns + more)[: len(turns)] == before


@given(_TURNS)
def test_ids_once_given_are_not_given_again(turns: tuple[Turn, ...]) -> None:
    renewed = with_tool_ids(turns)
    assert with_tool_ids(renewed) == renewed


@given(st.lists(st.text(max_size=12), min_size=1, max_size=6, unique=True))
def test_short_ids_are_nine_letters_and_digits_and_stay_apart(ids: list[str]) -> None:
    turns = (_assistant(*map(_call, ids)), _user(*map(_result, ids)))
    short = with_short_ids(turns)
    called = _ids(short)[: len(ids)]
    assert _ids(short) == called * 2
    assert len(set(called)) == len(ids)
    assert all(map(is_short_id, called))
    assert with_short_ids(short) == short
    assert with_short_ids(turns) == short, "the same in every later request"
