"""The published documents are read as strictly as they are written, and reduced without loss."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from published_documents import AMENDMENTS, Amendment, document, misfits, schema_at, schema_of
from reduce_document import facts_of, reduce, references_in

CHAT = "POST /chat/completions application/json"
COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {"role": "assistant", "content": "Hi", "refusal": None},
        }
    ],
}
EVENTS = "POST /responses text/event-stream"
DELTA: dict[str, Any] = {
    "type": "response.output_text.delta",
    "sequence_number": 1,
    "item_id": "msg_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hi",
    "logprobs": [],
}


@pytest.mark.parametrize("dialect", ["openai", "ollama"])
def test_a_reduced_document_is_whole_and_a_schema(dialect: str) -> None:
    read = document(dialect)
    assert read["document"]["licence"] == "MIT"
    Draft202012Validator.check_schema({"$defs": read["$defs"]})
    assert all(schema_of(dialect, operation) for operation in (*read["responses"], "error"))
    assert set(references_in(read)) <= set(read["$defs"])


@pytest.mark.parametrize("amendment", AMENDMENTS, ids=lambda one: ".".join(map(str, one.place)))
def test_an_amendment_is_needed_as_long_as_the_document_refuses_it(amendment: Amendment) -> None:
    published = document(amendment.dialect)
    schema = schema_at(published, amendment.place)
    assert not Draft202012Validator({**schema, "$defs": published["$defs"]}).is_valid(
        amendment.allowed
    )
    assert Draft202012Validator(amendment.schema).is_valid(amendment.allowed)
    assert amendment.why


def test_what_is_right_fits() -> None:
    assert misfits("openai", CHAT, COMPLETION) == []
    assert misfits("openai", EVENTS, DELTA) == []


def test_an_unknown_value_and_a_missing_field_do_not_fit() -> None:
    wrong = copy.deepcopy(COMPLETION)
    wrong["choices"][0]["finish_reason"] = "eos"
    (reason,) = misfits("openai", CHAT, wrong)
    assert reason.startswith(".choices[0].finish_reason: 'eos' is not one of ['stop',")
    for field in ("id", "object", "created", "model", "choices"):
        lacking = {name: value for name, value in COMPLETION.items() if name != field}
        assert misfits("openai", CHAT, lacking) == [f".: '{field}' is a required property"]


def test_in_a_union_the_alternative_of_the_same_type_is_told() -> None:
    assert misfits("openai", EVENTS, {**DELTA, "output_index": "0"}) == [
        ".output_index: '0' is not of type 'integer'"
    ]
    lacking = {name: value for name, value in DELTA.items() if name != "item_id"}
    assert misfits("openai", EVENTS, lacking) == [".: 'item_id' is a required property"]
    assert misfits("openai", EVENTS, {**DELTA, "type": "response.made_up"})


def test_an_amendment_for_one_operation_is_for_no_other() -> None:
    piece = {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "text": "Hi", "logprobs": None, "finish_reason": None}],
    }
    assert misfits("openai", "POST /completions text/event-stream", piece) == []
    assert misfits("openai", "POST /completions application/json", piece)


def test_only_facts_of_what_is_asked_for_are_kept() -> None:
    published = {
        "paths": {
            "/a": {
                "post": {
                    "responses": {
                        "200": {"content": {"application/json": {"schema": _ref("A")}}},
                        "400": {"content": {"application/json": {"schema": _ref("Unused")}}},
                    }
                }
            }
        },
        "components": {
            "schemas": {
                "A": {
                    "type": "object",
                    "description": "Prose.",
                    "required": ["description"],
                    "properties": {
                        # A field may have the name of a keyword.
                        "description": {"type": "string", "title": "T", "nullable": True},
                        "b": {"oneOf": [_ref("B"), {"type": "null"}], "x-more": 1},
                    },
                },
                "B": {"type": "array", "items": _ref("A"), "example": []},
                "Error": {"enum": ["x"], "default": "x"},
                "Unused": {},
            }
        },
    }
    assert reduce(published, ["POST /a"], ["Error"]) == {
        "responses": {"POST /a application/json": {"$ref": "#/$defs/A"}},
        "$defs": {
            "A": {
                "type": "object",
                "required": ["description"],
                "properties": {
                    "description": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    "b": {"oneOf": [{"$ref": "#/$defs/B"}, {"type": "null"}]},
                },
            },
            "B": {"type": "array", "items": {"$ref": "#/$defs/A"}},
            "Error": {"enum": ["x"]},
        },
    }
    assert facts_of(True) is True


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
