"""Vectors in their two forms, and requests that are cut into several."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.protocol.canonical.embeddings import (
    EmbeddingInput,
    EmbeddingRequest,
    EmbeddingResponse,
    join,
    packed,
    split,
    unpacked,
)
from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.events import Usage

FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
INPUT: st.SearchStrategy[EmbeddingInput] = st.text(
    st.characters(codec="utf-8"), max_size=12
) | st.lists(st.integers(0, 9), min_size=1, max_size=6).map(tuple)


@given(st.lists(FLOAT32, max_size=8))
@settings(deadline=None)
def test_traps_71_and_72_float32_goes_both_ways_without_a_change(numbers: list[float]) -> None:
    data = packed(numbers)
    assert data == struct.pack(f"<{len(numbers)}f", *numbers)
    assert unpacked(data) == numbers
    assert packed(unpacked(data)) == data


@given(st.lists(st.floats(-1e30, 1e30), max_size=8))
@settings(deadline=None)
def test_other_numbers_become_the_nearest_float32(numbers: list[float]) -> None:
    assert packed(numbers) == struct.pack(f"<{len(numbers)}f", *numbers)


def test_a_vector_that_has_the_wanted_form_is_not_touched() -> None:
    data, numbers = b"\x00\x00\x80\x3f", [0.1, 0.2]
    assert packed(data) is data
    assert unpacked(numbers) is numbers


@pytest.mark.parametrize("number", [1e39, -1e39])
def test_a_number_beyond_float32_is_the_upstreams_fault(number: float) -> None:
    with pytest.raises(ApiFailure, match="float32") as failure:
        packed([0.5, number])
    assert failure.value.error.kind is ErrorKind.UPSTREAM_ERROR


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_what_json_can_not_say_is_the_upstreams_fault(number: float) -> None:
    with pytest.raises(ApiFailure, match="no number"):
        unpacked(struct.pack("<3f", 0.5, number, 0.5))


def request_for(*inputs: EmbeddingInput) -> EmbeddingRequest:
    return EmbeddingRequest(model="m", inputs=inputs, dimensions=3)


def test_a_request_that_fits_stays_one() -> None:
    request = request_for("a", "b")
    assert split(request, 2) == [request]
    assert split(request, None) == [request]
    assert split(request, 2, 100)[0] is request


def test_a_request_is_cut_at_the_most_inputs() -> None:
    assert [part.inputs for part in split(request_for("a", "b", "c"), 2)] == [("a", "b"), ("c",)]
    assert all(part.dimensions == 3 for part in split(request_for("a", "b", "c"), 1))


def test_a_request_is_cut_at_the_most_tokens() -> None:
    texts = ("x" * 30, "x" * 30, (1,) * 20, "x" * 3, "x" * 900, "x")
    parts = split(request_for(*texts), None, 21, tokens_per_byte=1 / 3)
    # 10 and 10, 20 and 1, one that is too long by itself, and what is left.
    assert [part.inputs for part in parts] == [texts[:2], texts[2:4], texts[4:5], texts[5:]]


@given(
    st.lists(INPUT, min_size=1, max_size=12).map(tuple),
    st.none() | st.integers(1, 5),
    st.none() | st.integers(1, 10),
)
@settings(deadline=None)
def test_parts_hold_every_input_once_and_in_order(
    inputs: tuple[EmbeddingInput, ...], most_inputs: int | None, most_tokens: int | None
) -> None:
    parts = split(request_for(*inputs), most_inputs, most_tokens)
    assert tuple(entry for part in parts for entry in part.inputs) == inputs
    assert all(part.inputs for part in parts)
    if most_inputs is not None:
        assert all(len(part.inputs) <= most_inputs for part in parts)
    if most_tokens is not None:
        for part in parts:
            size = sum(
                len(entry.encode()) / 3 if isinstance(entry, str) else len(entry)
                for entry in part.inputs
            )
            assert size <= most_tokens + 1e-9 or len(part.inputs) == 1


def test_no_part_can_be_empty() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        split(request_for("a"), 0)


def answer(*vectors: list[float], usage: Usage | None) -> EmbeddingResponse:
    return EmbeddingResponse(model="m", vectors=vectors, usage=usage)


def test_answers_are_joined_in_order_with_the_sum_of_their_usage() -> None:
    joined = join(
        [
            answer([1.0], [2.0], usage=Usage(input_uncached=3, cache_read=1)),
            answer([3.0], usage=Usage(input_uncached=4, counted=False)),
        ]
    )
    assert joined.vectors == ([1.0], [2.0], [3.0])
    assert joined.usage == Usage(input_uncached=7, cache_read=1, counted=False)


def test_a_sum_that_lacks_a_part_is_none() -> None:
    known = answer([1.0], usage=Usage(input_uncached=3))
    assert join([known, answer([2.0], usage=None)]).usage is None
    assert join([known]) is known


def test_nothing_is_no_answer() -> None:
    with pytest.raises(ValueError, match="nothing"):
        join([])
