"""Pure parts: tokens and pieces of text, and values made for JSON schemas."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.endpoints.sandbox._schema_filler import fill
from forebay.endpoints.sandbox._words import cut, split_pieces, token_count, words
from forebay.protocol.jsontext import JsonObject, JsonValue


@given(st.text())
def test_pieces_join_to_the_text_and_none_is_larger_than_a_token(text: str) -> None:
    pieces = split_pieces(text)
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= 4 for piece in pieces)


@given(st.text(), st.integers(0, 50))
def test_a_cut_keeps_whole_characters_within_the_limit(text: str, tokens: int) -> None:
    kept, was_cut = cut(text, tokens)
    assert text.startswith(kept)
    assert token_count(kept) <= tokens
    assert was_cut == (token_count(text) > tokens)
    assert was_cut == (kept != text)


@given(st.integers(0, 2**32), st.integers(1, 500))
def test_words_have_the_size_that_was_asked_for(seed: int, size: int) -> None:
    text = words(seed, size)
    assert len(text) == size
    assert text.isascii()
    assert text.endswith(".")
    assert words(seed, size) == text


def fits(value: JsonValue, schema: JsonObject) -> bool:
    """A small validator of its own, for the keywords that the schemas below use."""
    match schema.get("type"):
        case "integer":
            return (
                isinstance(value, int) and not isinstance(value, bool) and _in_range(value, schema)
            )
        case "number":
            return isinstance(value, int | float) and _in_range(value, schema)
        case "string":
            low, high = schema.get("minLength", 0), schema.get("maxLength", 10**6)
            assert isinstance(low, int)
            assert isinstance(high, int)
            return isinstance(value, str) and low <= len(value) <= high
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "array":
            low, high = schema.get("minItems", 0), schema.get("maxItems", 10**6)
            items = schema["items"]
            assert isinstance(low, int)
            assert isinstance(high, int)
            assert isinstance(items, dict)
            return (
                isinstance(value, list)
                and low <= len(value) <= high
                and all(fits(one, items) for one in value)
            )
        case "object":
            properties, required = schema["properties"], schema["required"]
            assert isinstance(properties, dict)
            assert isinstance(required, list)
            if not isinstance(value, dict) or not set(map(str, required)) <= set(value):
                return False
            for key, one in value.items():
                part = properties[key]
                assert isinstance(part, dict)
                if not fits(one, part):
                    return False
            return True
        case _:
            choices = schema["enum"]
            assert isinstance(choices, list)
            return value in choices


def _in_range(value: float, schema: JsonObject) -> bool:
    low, high = schema.get("minimum", -(10**9)), schema.get("maximum", 10**9)
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    return low <= value <= high


def bounds(low: str, high: str, values: st.SearchStrategy[int]) -> st.SearchStrategy[JsonObject]:
    pairs = st.tuples(values, values).map(sorted)
    both = pairs.map(lambda pair: {low: pair[0], high: pair[1]})
    return st.one_of(st.just({}), both, values.map(lambda one: {low: one}))


leaves: st.SearchStrategy[JsonObject] = st.one_of(
    bounds("minimum", "maximum", st.integers(-500, 500)).map(lambda b: {"type": "integer", **b}),
    bounds("minimum", "maximum", st.integers(-500, 500)).map(lambda b: {"type": "number", **b}),
    bounds("minLength", "maxLength", st.integers(0, 40)).map(lambda b: {"type": "string", **b}),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"enum": ["a", 5, None]}]),
)


def _branches(parts: st.SearchStrategy[JsonObject]) -> st.SearchStrategy[JsonObject]:
    arrays = st.tuples(parts, bounds("minItems", "maxItems", st.integers(0, 4)))
    objects = st.dictionaries(st.sampled_from("abcd"), parts)
    return st.one_of(
        arrays.map(lambda pair: {"type": "array", "items": pair[0], **pair[1]}),
        objects.map(lambda one: {"type": "object", "properties": one, "required": sorted(one)}),
    )


@given(st.recursive(leaves, _branches, max_leaves=10), st.integers(0, 2**32))
def test_a_filled_value_fits_its_schema(schema: JsonObject, seed: int) -> None:
    value = fill(schema, seed=seed)
    assert fits(value, schema)
    assert fill(schema, seed=seed) == value


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ({"const": "x"}, "'x'"),
        ({"type": ["null", "string"]}, "'[a-z]+'"),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, "True|False"),
        ({"oneOf": [{"const": 1}, {"const": 2}]}, "1"),
        ({"type": "string", "format": "date"}, r"'\d{4}-\d\d-\d\d'"),
        ({"type": "string", "format": "email"}, r"'[^@]+@[^@]+'"),
        ({"type": "integer", "multipleOf": 7, "minimum": 50, "maximum": 60}, "56"),
        ({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5}, "4"),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, r"0\.[1-9]\d*"),
        ({"prefixItems": [{"const": 1}, {"const": 2}], "type": "array"}, r"\[1, 2\]"),
        ({"properties": {"a": {"const": 1}}}, r"\{'a': 1\}"),
        (
            {
                "type": "object",
                "allOf": [{"properties": {"a": {"const": 1}}}, {"$ref": "#/$defs/b"}],
                "$defs": {"b": {"properties": {"b": {"const": 2}}}},
            },
            r"\{'a': 1, 'b': 2\}",
        ),
        ({"$ref": "#/definitions/x~1y", "definitions": {"x/y": {"const": 3}}}, "3"),
        ({"$ref": "#/nowhere"}, "'[a-z]+'"),
        ({"type": "unheard-of"}, "'[a-z]+'"),
        (True, "'[a-z]+'"),
    ],
)
def test_special_schemas(schema: JsonValue, pattern: str) -> None:
    assert re.fullmatch(pattern, repr(fill(schema, seed=1)))


def test_a_schema_that_refers_to_itself_ends() -> None:
    tree: JsonObject = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#"}},
            "parent": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        },
        "required": ["name", "children", "parent"],
    }
    value = fill(tree, seed=1)
    assert isinstance(value, dict)
    assert len(str(value)) < 20_000
    endless: JsonObject = {"$ref": "#"}
    assert isinstance(fill(endless, seed=1), str)
